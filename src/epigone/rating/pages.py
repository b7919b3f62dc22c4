"""The pages as HTML: what a rater sees of a comparison, and the templates that everything is written with.

In: pairs, seats, progress. Out: HTML. All that comes from data is escaped by the templates or cleaned in `markup`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from epigone.rating.markup import safe_html, sentences
from epigone.rating.pairs import PRACTICE, Pair
from epigone.rating.rules import Rules
from epigone.rating.seats import Seat

INSTRUCTIONS = """\
You see an instruction and two responses to it. Choose the one that is **better overall**: is what it says right, does
it do what was asked, is it clear? A long or tidy response is not better because of that. Where both are equally good,
or equally bad, choose *equal*.

Judge for yourself, without asking a chatbot. Look things up where you are not sure. You can stop at any time and go on
later with the same link."""
CONSENT = """\
You take part of your own will and may stop at any time. What is kept: your choices, the time they took, what you write
in the boxes, and the field that you name below. Your name, address or device are not kept. The choices may be published
without anything that points to you."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One response on the page: its place (A or B), its HTML and its sentences."""

    label: str
    html: Markup
    sentences: tuple[str, ...]


def render(name: str, **values: object) -> str:
    """A template of this folder, filled in."""
    return _environment().get_template(f"{name}.html.j2").render(**values)


def rating_page(pair: Pair, seat: Seat, *, num_done: int, num_all: int, **more: object) -> str:
    """One comparison. `more`: form token, the ticket that can be taken back, the note of the last practice item."""
    return render(
        "rate",
        asked=pair.asked,
        responses=responses(pair, seat),
        ticket=seat.ticket,
        is_practice=seat.kind == PRACTICE,
        num_done=num_done,
        num_all=num_all,
        **more,
    )


def responses(pair: Pair, seat: Seat) -> Sequence[Shown]:
    """The two answers in the order of the seat."""
    texts = (pair.text_a, pair.text_b) if seat.first == "a" else (pair.text_b, pair.text_a)
    return [Shown(label, Markup(safe_html(text)), sentences(text)) for label, text in zip("AB", texts)]


def instructions(rules: Rules) -> Markup:
    """What raters are told to do."""
    return Markup(safe_html(rules.instructions or INSTRUCTIONS, breaks=False))


def consent(rules: Rules) -> Markup:
    """What raters agree to."""
    return Markup(safe_html(rules.consent or CONSENT, breaks=False))


@cache
def _environment() -> Environment:
    loader = PackageLoader("epigone.rating", "templates")
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
