"""What `epigone crowd` does: the cost first, then what a crowd platform is given; and looking through what comes back.

In: answers and an offer, or a platform's results. Out: a folder of files; the cost, or counts of what to accept.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from epigone.commands.rating_sources import Sources, compared, fewest_of_a_pair, new_folder
from epigone.errors import SpecError
from epigone.rating import prolific, turk
from epigone.rating.campaign import found
from epigone.rating.database import opened
from epigone.rating.offers import PLATFORMS, Cost, Offer, cost_of, power_of, power_told
from epigone.rating.pairs import ATTENTION, Pair, read_known
from epigone.rating.ratings import names_by_joining, ratings_of
from epigone.rating.release import released
from epigone.rating.turk_ratings import batch_ratings
from epigone.store import write_text

__all__ = ["Sources", "Wanted", "run_crowd", "run_release", "run_review"]


@dataclass(frozen=True)
class Wanted:
    """What was given on the command line. `offer` holds the options of an Offer."""

    sources: Sources
    offer: Mapping[str, object]
    most: int = 20
    url: str = ""
    completion_code: str = ""


def run_crowd(wanted: Wanted, out: Path | None, *, dry_run: bool, quiet: bool) -> dict[str, object]:
    """Tell the cost, and without `dry_run` write the platform's files into a new folder. Raises EpigoneError."""
    offer = Offer(**dict(wanted.offer))  # pyright: ignore[reportArgumentType]
    pairs, drops = compared(wanted.sources)
    cost = cost_of(offer, len(pairs))
    console = Console(stderr=True, quiet=quiet)
    console.print(_told(offer, cost), highlight=False, soft_wrap=True)
    power = power_of(fewest_of_a_pair(pairs)) if pairs else None
    if power:
        console.print(power_told(power), highlight=False, soft_wrap=True)
    if not dry_run:
        if out is None:
            raise SpecError("say where the platform's files go by --out, or ask for the cost alone by --dry-run")
        files = _files(wanted, offer, cost, pairs)
        new_folder(out)
        for name, text in files.items():
            write_text(out / name, text)
        console.print(f"{', '.join(files)} in {out}", highlight=False, soft_wrap=True)
    found: dict[str, object] = {"platform": offer.platform, "num_left_out": len(drops), **asdict(cost)}
    return found | ({"power": asdict(power)} if power else {})


def run_review(
    results: Path,
    platform: str,
    out: Path | None,
    *,
    database: str,
    fewest_seconds: float | int,
    quiet: bool,
) -> dict[str, object]:
    """What to accept of a platform's results, as files in a new folder; counts by reason. Raises EpigoneError.

    These files hold the platform's ids of people, since it is the platform that reads them: keep them to yourself.
    """
    if platform not in PLATFORMS:
        raise SpecError(f"platform {platform!r}: there is {', '.join(PLATFORMS)}")
    if out is None:
        raise SpecError("say by --out in which new folder the lists go")
    if platform == "mechanical_turk":
        files, counts = _turk_review(results, fewest_seconds)
    else:
        files, counts = _prolific_review(results, database, fewest_seconds)
    new_folder(out)
    for name, text in files.items():
        write_text(out / name, text)
    console = Console(stderr=True, quiet=quiet)
    for reason, count in counts.items():
        console.print(f"{count:6d}  {reason}", highlight=False, soft_wrap=True)
    console.print(
        f"{', '.join(files)} in {out}: for {platform} alone, they name people", highlight=False, soft_wrap=True
    )
    return {"platform": platform, "counts": counts}


def run_release(
    results: Path, out: Path, *, fewest_seconds: float | int, num_raters: int, title: str, licence: str, quiet: bool
) -> dict[str, object]:
    """The accepted ratings of a batch as an anonymous dataset with its card, in a new folder. Raises EpigoneError."""
    ratings, pairs = batch_ratings(results, fewest_seconds, num_raters)
    files = released(ratings, pairs, title=title, licence=licence)
    new_folder(out)
    for name, text in files.items():
        write_text(out / name, text)
    Console(stderr=True, quiet=quiet).print(f"{', '.join(files)} in {out}", highlight=False, soft_wrap=True)
    return {"release": str(out), "files": list(files)}


def _files(wanted: Wanted, offer: Offer, cost: Cost, pairs: Sequence[Pair]) -> dict[str, str]:
    if offer.platform == "mechanical_turk":
        checks = [pair for pair in read_known(wanted.sources.checks) if pair.kind == ATTENTION]
        return {
            "input.csv": turk.as_csv(turk.batch_rows(pairs, checks)),
            "layout.html": turk.layout(),
            "hit.json": _json(turk.hit(offer)),
            "README.md": turk.readme(offer, cost),
        }
    people = prolific.num_people(cost, wanted.most)
    study = prolific.study(offer, wanted.url, wanted.completion_code, num_people=people, num_each=wanted.most)
    return {"study.json": _json(study), "README.md": prolific.readme(offer, cost, wanted.most)}


def _told(offer: Offer, cost: Cost) -> str:
    return (
        f"{cost.num_comparisons} comparisons and {cost.num_checks} attention checks, {offer.num_raters} raters each: "
        f"{cost.num_ratings} ratings, {cost.hours} hours\n"
        f"${cost.reward_usd:.2f} a rating (${offer.hourly_usd:.2f} an hour at {offer.seconds:.0f} seconds): "
        f"${cost.raters_usd:,.2f} for raters, ${cost.fee_usd:,.2f} for the platform, ${cost.total_usd:,.2f} in all"
    )


def _turk_review(results: Path, fewest_seconds: float | int) -> tuple[dict[str, str], dict[str, int]]:
    names, rows, decisions = turk.reviewed(results, fewest_seconds)
    counts = Counter("accepted" if decision.accepted else decision.reason for decision in decisions)
    return {"reviewed.csv": turk.as_csv(rows, names)}, dict(counts)


def _prolific_review(results: Path, where: str, fewest_seconds: float | int) -> tuple[dict[str, str], dict[str, int]]:
    campaign = found(opened(where))
    database = campaign.database
    by_name = {facts.rater: facts for facts in ratings_of(campaign).raters}
    facts = {who: by_name[name] for who, name in names_by_joining(database).items() if name in by_name}
    submissions = prolific.read_export(results, database.digest)
    decisions = prolific.decided(submissions, facts, share=campaign.share_of(), fewest_seconds=fewest_seconds)
    listed = {word: [d for d in decisions if d.word == word] for word in ("approve", "reject", "look")}
    files = {"approve.txt": "".join(f"{decision.participant}\n" for decision in listed["approve"])}
    for word in ("reject", "look"):
        told = io.StringIO(newline="")
        writer = csv.writer(told)
        writer.writerow(["Participant id", "Category", "Reason"])
        writer.writerows([decision.participant, decision.category, decision.reason] for decision in listed[word])
        files[f"{word}.csv"] = told.getvalue()
    others = Counter(one.status for one in submissions if one.status != prolific.REVIEWED)
    counts = Counter(f"{d.word} {d.reason}".strip() for d in decisions)
    return files, dict(counts + Counter({f"status {status}: left alone": n for status, n in others.items()}))


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
