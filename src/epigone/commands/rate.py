"""What `epigone rate` does: people compare answers in a web application; their votes become judgments or a release.

In: answers, a database, rules. Out: a server that runs until it is stopped; or, by --export, a judgments artifact, and
by --release a folder that can be published. SIGTERM or Ctrl-C lets what runs finish and refuses what is new.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import uvicorn
from rich.console import Console

from epigone.commands.listening import listening_at
from epigone.commands.rating_sources import Sources, compared, fewest_of_a_pair, new_folder, text_of
from epigone.commands.run import build
from epigone.errors import SpecError
from epigone.rating.app import RatingApp
from epigone.rating.campaign import Campaign, add_codes, found, founded
from epigone.rating.database import opened
from epigone.rating.offers import power_of, power_told
from epigone.rating.pairs import read_known
from epigone.rating.prolific import WITHDREW, read_export
from epigone.rating.ratings import Ratings, names_by_joining, ratings_of, without
from epigone.rating.release import released
from epigone.rating.rules import Rules
from epigone.spec import Input
from epigone.stages.rate import Rate
from epigone.store import write_json, write_text

__all__ = ["Sources", "Wanted", "run_export", "run_rate", "run_release", "text_of"]
KEY, OPEN_CODE = "EPIGONE_RATE_KEY", "EPIGONE_RATE_CODE"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE_SECONDS = 20
FEWEST_KEY_CHARS = 8


@dataclass(frozen=True)
class Wanted:
    """What was given on the command line. `rules` holds only the options that were given."""

    sources: Sources
    database: str
    rules: Mapping[str, object] = field(default_factory=dict)
    codes: int = 0


def run_rate(wanted: Wanted, *, host: str = "127.0.0.1", port: int = 8080, quiet: bool = False) -> None:
    """Serve until a signal comes; the address and the personal links are told on standard error.

    Raises SpecError for a port that is taken, a key that is too short, and a rating that nobody could join.
    """
    key, open_code = os.environ.get(KEY, ""), os.environ.get(OPEN_CODE, "")
    if key and len(key) < FEWEST_KEY_CHARS:
        raise SpecError(f"{KEY} has {len(key)} characters; give {FEWEST_KEY_CHARS} or more, or leave it unset")
    if open_code and not re.fullmatch(r"[\w-]{4,64}", open_code, re.ASCII):
        raise SpecError(f"{OPEN_CODE} is {open_code!r}; a code has 4 to 64 letters, digits, - or _")
    campaign = opened_campaign(wanted, Console(stderr=True, quiet=quiet))
    codes = add_codes(campaign.database, wanted.codes)
    if not codes and not open_code:
        raise SpecError(f"nobody could join: ask for personal links with --codes N, or set {OPEN_CODE} to an open code")
    listening = listening_at(host, port)
    address = f"http://{host}:{listening.getsockname()[1]}"
    _tell(campaign, address, codes, key=key, open_code=open_code, host=host)
    app = RatingApp(campaign, open_code, key).app()
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        campaign.database.close()


def opened_campaign(wanted: Wanted, console: Console) -> Campaign:
    """The rating: put into the database where answers are given, else the one that is there. Raises EpigoneError."""
    database = opened(wanted.database)
    if not wanted.sources.answers:
        campaign = found(database)
        given = replace(campaign.rules, **dict(wanted.rules))  # pyright: ignore[reportArgumentType]
        if given != campaign.rules:
            raise SpecError(
                f"{wanted.database}: its rating runs with other options; leave out {', '.join(wanted.rules)}"
            )
        return campaign
    pairs, drops = compared(wanted.sources)
    rules = Rules(**dict(wanted.rules))  # pyright: ignore[reportArgumentType]
    campaign = founded(database, pairs, read_known(wanted.sources.checks), rules)
    reasons = [drop.reason for drop in drops]
    told = ", ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons))
    masked = sum(pair.num_masked for pair in pairs)
    console.print(
        f"{len(pairs)} comparisons, {rules.num_raters} raters each; left out: {told or 'none'}", soft_wrap=True
    )
    if pairs:
        console.print(power_told(power_of(fewest_of_a_pair(pairs))), soft_wrap=True)
    console.print(f"names hidden in {masked} places of the answers", soft_wrap=True)
    return campaign


def run_export(
    wanted: Wanted, root: Path, *, name: str, without_flagged: bool, prolific: Path | None, quiet: bool
) -> dict[str, object]:
    """The votes so far as a judgments artifact; the same votes are the same artifact."""
    console = Console(stderr=True, quiet=quiet)
    source = root / "ratings" / f"{name}.json"
    write_json(source, asdict(leaving(opened_campaign(wanted, console), prolific, console)))
    folder = build(Rate(Input(str(source)), name, leave_out_flagged=without_flagged), root, console, 1)
    console.print(f"{folder}", highlight=False, soft_wrap=True)
    return {"artifact": str(folder)}


def run_release(
    wanted: Wanted, out: Path, *, name: str, licence: str, prolific: Path | None, quiet: bool
) -> dict[str, object]:
    """The votes so far as an anonymous dataset with its card, in a new folder."""
    console = Console(stderr=True, quiet=quiet)
    campaign = opened_campaign(wanted, console)
    files = released(leaving(campaign, prolific, console), campaign.comparisons, title=name, licence=licence)
    new_folder(out)
    for file, text in files.items():
        write_text(out / file, text)
    console.print(f"{', '.join(files)} in {out}", highlight=False, soft_wrap=True)
    return {"release": str(out), "files": list(files)}


def leaving(campaign: Campaign, prolific: Path | None, console: Console) -> Ratings:
    """Everything that leaves the database; without those who withdrew, where a platform's export tells."""
    found = ratings_of(campaign)
    if prolific is None:
        return found
    names = names_by_joining(campaign.database)
    submissions = read_export(prolific, campaign.database.digest)
    withdrew = {names[one.who] for one in submissions if one.status in WITHDREW and one.who in names}
    console.print(f"{len(withdrew)} raters withdrew or were rejected; their ratings are left out", soft_wrap=True)
    return without(found, withdrew)


def _tell(campaign: Campaign, address: str, codes: Sequence[str], *, key: str, open_code: str, host: str) -> None:
    lines = [f"personal link {address}/join/{code}" for code in codes]
    lines += [f"open link {address}/join/{open_code}"] if open_code else []
    lines += [f"dashboard {address}/dashboard" if key else f"no dashboard: set {KEY} to have one"]
    if host not in LOOPBACK:
        lines += ["pages go over plain HTTP: put a proxy with HTTPS before them"]
    lines += [f"rating at {address}"]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
