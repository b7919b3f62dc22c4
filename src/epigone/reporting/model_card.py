"""The card of a checkpoint (README.md): base, data with provenance and terms, amounts, optimizer, losses, template.

In: what a training run was told, what it counted, the artifacts behind it. Out: Markdown behind YAML front matter, as
model hubs show it; the same run gives the same bytes. Source: Mitchell et al. 2019 (arXiv 1810.03993);
https://huggingface.co/docs/hub/model-cards (front matter).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from epigone.reporting.collection_card import card_lines
from epigone.reporting.provenance import Ancestor, warnings

_AMOUNTS = ("pretrain_tokens", "imitation_tokens", "replay_tokens", "num_params", "num_steps")
_LOSSES = ("peak_learning_rate", "first_loss", "last_loss")


@dataclass(frozen=True)
class CardFacts:
    """What a card tells."""

    name: str
    base: str
    """The checkpoint that was started from; empty for random weights."""
    licence: str
    """Of the base model; empty where it is not known, `own` for random weights."""
    ancestors: Sequence[Ancestor]
    recipe: Mapping[str, object]
    treatments: Sequence[str]
    counts: Mapping[str, object]
    """The run's summary."""
    template: str
    """Of dialogues, in Jinja."""


def model_card(facts: CardFacts) -> str:
    """The card's text."""
    told = warnings(facts.ancestors, facts.licence)
    sections = [
        _front_matter(facts, free=not told),
        f"# {facts.name}",
        _summary(facts),
        "## Base model\n\n" + _base(facts),
        "## Data\n\n" + _data(facts.ancestors),
        *_collections(facts.ancestors),
        "## Training\n\n" + _training(facts),
        f"## Template\n\n```jinja\n{facts.template}\n```",
        "## Terms\n\n" + ("\n".join(f"- {text}" for text in told) or "Nothing known stands against publishing it."),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(facts: CardFacts, *, free: bool) -> str:
    licence = {"own": "other\nlicense_name: own", "": "unknown"}.get(facts.licence, facts.licence)
    lines = [
        f"license: {licence if free else 'unknown'}",
        "library_name: transformers",
        "pipeline_tag: text-generation",
    ]
    lines += [f"base_model: {facts.base}"] if facts.base and "--" not in facts.base else []
    return "\n".join(["---", *lines, "tags:", "- epigone", "---"])


def _summary(facts: CardFacts) -> str:
    if not facts.base:
        return "A base model, trained from random weights with epigone."
    return (
        "A student: a base model that epigone fine-tuned on the outputs of a stronger model. Imitation passes on style "
        "more easily than capability (arXiv 2305.15717); measure before you claim either."
    )


def _base(facts: CardFacts) -> str:
    if not facts.base:
        return "None: random weights."
    return f"`{facts.base}`, licence: {facts.licence or 'unknown'}."


def _data(ancestors: Sequence[Ancestor]) -> str:
    rows = ["| artifact | made by | counts | files | terms |", "|---|---|---|---|---|"]
    for each in ancestors:
        if each.stage == "train":
            continue
        counts = ", ".join(f"{name.removeprefix('num_')} {value:,}" for name, value in each.counts)
        files = ", ".join(f"{name} (sha256 {digest[:12]})" for name, digest in each.files)
        made_by = each.stage + (f": {', '.join(each.formats)}" if each.formats else "")
        made_by += f": {each.teacher}" if each.teacher else ""
        rows.append(f"| `{each.id}` | {made_by} | {counts} | {files} | {each.terms if each.is_data else ''} |")
    return "\n".join(rows)


def _collections(ancestors: Sequence[Ancestor]) -> list[str]:
    told = [f"### `{each.id}`\n\n{card_lines(each.card)}" for each in ancestors if each.card]
    return ["## Collections\n\n" + "\n\n".join(told)] if told else []


def _training(facts: CardFacts) -> str:
    counts = {name: facts.counts[name] for name in (*_AMOUNTS, *_LOSSES) if name in facts.counts}
    lines = [f"- {name.removeprefix('num_').replace('_', ' ')}: {_number(value)}" for name, value in counts.items()]
    lines += [f"- {text}" for text in _texts(facts.counts.get("notes"))]
    lines.append("- recipe: " + ", ".join(f"{k}={_number(v)}" for k, v in facts.recipe.items() if v is not None))
    lines += [f"- treatment: {treatment}" for treatment in facts.treatments]
    return "\n".join(lines)


def _texts(value: object) -> list[str]:
    return [str(text) for text in value] if isinstance(value, list | tuple) else []


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
