"""An anonymous dataset of ratings with a card, as the paper released its own.

In: Ratings, the pairs. Out: the files of a folder: ratings.jsonl and prompts.jsonl in the koala_eval format,
raters.jsonl, README.md. Raters are numbered in an order that says nothing; no reason that somebody wrote, no clock, no
code and no platform's id is in it. The responses are as they were shown, names hidden.
Source: arXiv 2305.15717, section 4 ("we release ... anonymized human evaluations"); dataset cards as in
https://huggingface.co/docs/hub/datasets-cards.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median

import epigone
from epigone.errors import SpecError
from epigone.rating.koala import prompt_rows, rating_row
from epigone.rating.overview import ALL, Overview, overview
from epigone.rating.pairs import Pair
from epigone.rating.ratings import Ratings
from epigone.records import Prompt

FIELDS = {
    "id": "of the prompt",
    "prompt": "what was asked",
    "model_a, response_a": "one model and its response, as it was shown",
    "model_b, response_b": "the other one",
    "rating": "a, b or tie",
    "first": "which of the two was shown first",
    "rater": "a number; raters.jsonl has the rest",
    "strength": "a little, clearly, or empty where the rater did not say",
    "marks": "sentences that were marked as wrong: a0 is the first of response_a",
    "seconds": "how long the rater took",
}


def released(found: Ratings, pairs: Sequence[Pair], *, title: str, licence: str) -> dict[str, str]:
    """Every file by its name. Raises SpecError where nothing was rated or no licence is named."""
    if not licence:
        raise SpecError("a release needs a licence: say which by --licence, e.g. cc-by-4.0")
    if not found.ratings:
        raise SpecError("nobody has rated yet: there is nothing to release")
    numbers = {name: f"r{number:03d}" for number, name in enumerate(sorted({f.rater for f in found.raters}), start=1)}
    by_comparison = {(pair.prompt_id, pair.a, pair.b): pair for pair in pairs}
    rows = [
        rating_row(by_comparison[r.judgment.prompt_id, r.judgment.a, r.judgment.b], r, numbers[r.judgment.rater])
        for r in found.ratings
    ]
    prompts = {pair.prompt_id: Prompt(pair.prompt_id, messages=pair.messages) for pair in pairs}
    raters = [{**asdict(facts), "rater": numbers[facts.rater]} for facts in found.raters]
    return {
        "ratings.jsonl": _lines(rows),
        "prompts.jsonl": _lines(prompt_rows(prompts.values())),
        "raters.jsonl": _lines(raters),
        "README.md": _card(found, overview(found), title, licence),
    }


def _lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _card(found: Ratings, seen: Overview, title: str, licence: str) -> str:
    times = [r.judgment.seconds for r in found.ratings if r.judgment.seconds is not None]
    domains = Counter(facts.domain for facts in found.raters)
    told = [
        f"- {seen.num_given:,} ratings of {seen.num_pairs:,} comparisons by {len(found.raters)} raters; "
        f"{seen.num_pairs_complete:,} comparisons have all of theirs",
        f"- Krippendorff's alpha: {seen.agreement.alpha.value:.2f} [{seen.agreement.alpha.low:.2f}, "
        f"{seen.agreement.alpha.high:.2f}]" if seen.agreement else "- agreement: not known, nothing was rated twice",
        f"- median time of a rating: {median(times):.0f} seconds" if times else "- time of a rating: not known",
        f"- names of models hidden in {seen.num_masked:,} places of the responses",
        f"- raters by the field that they declared: {', '.join(f'{d} {n}' for d, n in sorted(domains.items()))}",
        f"- raters with something to look into: {sum(bool(line.flag) for line in seen.raters)} "
        "(none is left out here)",
    ]  # fmt: skip
    rates = [
        f"| {line.a} | {line.b} | {line.preference.wins} | {line.preference.ties} | {line.preference.losses} "
        f"| {line.preference.win_or_tie.value:.0%} [{line.preference.win_or_tie.low:.0%}, "
        f"{line.preference.win_or_tie.high:.0%}] |"
        for line in seen.rates
        if line.domain == ALL
    ]
    fields = [f"| {name} | {words} |" for name, words in FIELDS.items()]
    return "\n".join(
        [
            "---",
            f"license: {json.dumps(licence)}",
            f"pretty_name: {json.dumps(title)}",
            "configs:",
            *(f"- config_name: {name}\n  data_files: {name}.jsonl" for name in ("ratings", "prompts", "raters")),
            "---",
            f"# {title}",
            "",
            "People compared two unlabelled responses to one instruction, in an order that was random for each person,",
            "and said which is better overall or that both are equal.",
            "",
            *told,
            "",
            "| model | against | wins | ties | losses | win or tie rate, majority of each comparison |",
            "|---|---|---|---|---|---|",
            *rates,
            "",
            "## ratings.jsonl",
            "",
            "| field | |",
            "|---|---|",
            *fields,
            "",
            "Raters have numbers in no order; what they wrote, when they rated and who they are is not part of this",
            "dataset. Please do not train on the prompts.",
            "",
            f"Made with epigone {epigone.__version__}.",
            "",
        ]
    )
