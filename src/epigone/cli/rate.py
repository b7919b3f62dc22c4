"""The verbs `epigone rate` and `epigone crowd`: argv -> command; no logic.

In: argv. Out: what `commands.rate` and `commands.crowd` do, loaded when they run.
"""

from pathlib import Path
from typing import Annotated

import typer

from epigone import discover
from epigone.cli.options import Json, Root, told

Answers = Annotated[
    list[str] | None, typer.Argument(help="Answers of two models or more: PATH, or NAME=PATH; the first beside each.")
]
Only = Annotated[Path | None, typer.Option(help="Only these prompts, in this order: JSON lines of id and prompt.")]
EveryPair = Annotated[bool, typer.Option("--every-pair", help="Each model beside each, not the first alone.")]
Checks = Annotated[Path | None, typer.Option(help="Practice items and attention checks, in place of our own.")]


def rate(
    answers: Answers = None,
    *,
    database: Annotated[str, typer.Option(help="A file, made if need be, or postgresql://...")] = "rating.db",
    raters: Annotated[int | None, typer.Option(help="Different raters of every comparison (3).")] = None,
    codes: Annotated[int, typer.Option(help="Personal links to have, each for one rater.", min=0)] = 0,
    most: Annotated[int | None, typer.Option(help="Comparisons that one rater gets at most (0: all).")] = None,
    lease_minutes: Annotated[float | None, typer.Option(help="How long one is kept for a rater (30).")] = None,
    attention_every: Annotated[int | None, typer.Option(help="Comparisons to a check (10; 0: none).")] = None,
    repeat_every: Annotated[int | None, typer.Option(help="Comparisons to a repeated one (15; 0: none).")] = None,
    practice: Annotated[bool | None, typer.Option(help="Practice items first.")] = None,
    instructions: Annotated[Path | None, typer.Option(help="Markdown in place of our instructions.")] = None,
    consent: Annotated[Path | None, typer.Option(help="Markdown in place of our consent.")] = None,
    completion_code: Annotated[str | None, typer.Option(help="Shown at the end, for a platform.")] = None,
    only: Only = None,
    every_pair: EveryPair = False,
    checks: Checks = None,
    host: Annotated[str, typer.Option(help="Where to listen; loopback alone unless named.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen; 0: any free port.", min=0, max=65535)] = 8080,
    export: Annotated[bool, typer.Option("--export", help="Serve nothing: the votes as a judgments artifact.")] = False,
    release: Annotated[Path | None, typer.Option(help="Serve nothing: an anonymous dataset goes here.")] = None,
    licence: Annotated[str, typer.Option(help="Of a release, e.g. cc-by-4.0.")] = "",
    prolific: Annotated[Path | None, typer.Option(help="Its export: whoever withdrew is left out.")] = None,
    without_flagged: Annotated[
        bool, typer.Option("--without-flagged", help="Of --export: leave flagged raters out.")
    ] = False,
    name: Annotated[str, typer.Option(help="What the judgments are called.")] = "rating",
    root: Root = Path("runs"),
    as_json: Json = False,
) -> None:
    """Have people compare answers blind, in a browser (dashboard: EPIGONE_RATE_KEY; open link: EPIGONE_RATE_CODE)."""
    command = discover.load("epigone.commands.rate")
    sources = command.Sources(answers or [], every_pair, only, checks)
    given = {
        "num_raters": raters,
        "most_per_rater": most,
        "lease_minutes": lease_minutes,
        "attention_every": attention_every,
        "repeat_every": repeat_every,
        "with_practice": practice,
        "instructions": command.text_of(instructions),
        "consent": command.text_of(consent),
        "completion_code": completion_code,
    }
    rules = {key: value for key, value in given.items() if value is not None}
    wanted = command.Wanted(sources, database, rules, codes)
    if export:
        options = {"name": name, "without_flagged": without_flagged, "prolific": prolific}
        told(command.run_export(wanted, root, **options, quiet=as_json), as_json)
    elif release is not None:
        told(
            command.run_release(wanted, release, name=name, licence=licence, prolific=prolific, quiet=as_json), as_json
        )
    else:
        command.run_rate(wanted, host=host, port=port, quiet=as_json)


def crowd(
    answers: Answers = None,
    *,
    platform: Annotated[str, typer.Option(help="mechanical_turk or prolific.")] = "mechanical_turk",
    out: Annotated[Path | None, typer.Option(help="New folder for what the platform is given.")] = None,
    seconds: Annotated[float, typer.Option(help="Median time of a comparison, by a pilot; the pay follows.")] = 60.0,
    hourly_usd: Annotated[float, typer.Option(help="Pay an hour at the median time.")] = 15.0,
    raters: Annotated[int, typer.Option(help="Different raters of every comparison.", min=1)] = 3,
    most: Annotated[int, typer.Option(help="Of prolific: comparisons of one person.", min=1)] = 20,
    url: Annotated[str, typer.Option(help="Of prolific: the open link of a running `epigone rate`.")] = "",
    completion_code: Annotated[str, typer.Option(help="Of prolific: the code that `epigone rate` shows.")] = "",
    fee: Annotated[float | None, typer.Option(help="The platform's share on top, 0-1; else as last published.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell the cost alone; write nothing.")] = False,
    review: Annotated[Path | None, typer.Option(help="A results file of the platform: approve or reject, why.")] = None,
    database: Annotated[str, typer.Option(help="Of prolific's --review: the rating's database.")] = "rating.db",
    fewest_seconds: Annotated[float, typer.Option(help="Of --review: quicker work is not accepted.")] = 5.0,
    release: Annotated[
        Path | None, typer.Option(help="Of mechanical_turk's --review: an anonymous dataset in this new folder.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Of a release, e.g. cc-by-4.0.")] = "",
    name: Annotated[str, typer.Option(help="What a release is called.")] = "ratings",
    only: Only = None,
    every_pair: EveryPair = False,
    checks: Checks = None,
    as_json: Json = False,
) -> None:
    """Ready files for Mechanical Turk or Prolific with the paper's settings, and look through what comes back."""
    command = discover.load("epigone.commands.crowd")
    if review is not None and release is not None:
        options = {"fewest_seconds": fewest_seconds, "num_raters": raters, "title": name, "licence": licence}
        told(command.run_release(review, release, **options, quiet=as_json), as_json)
        return
    if review is not None:
        limits = {"database": database, "fewest_seconds": fewest_seconds}
        told(command.run_review(review, platform, out, **limits, quiet=as_json), as_json)
        return
    offer = {"platform": platform, "seconds": seconds, "hourly_usd": hourly_usd, "num_raters": raters, "fee_share": fee}
    wanted = command.Wanted(command.Sources(answers or [], every_pair, only, checks), offer, most, url, completion_code)
    told(command.run_crowd(wanted, out, dry_run=dry_run, quiet=as_json), as_json)
