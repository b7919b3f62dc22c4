"""Colours, marks and type of the figures: one Style a kind of arm, the same in every panel, legend and file.

The hues are told apart by colour-blind readers (blue, vermilion, green, purple on white; after Okabe & Ito,
https://jfly.uni-koeln.de/color/) and never alone: each has its own mark or dash. All are at least 3 : 1 on white, text
is at least 4.5 : 1.
"""

from dataclasses import dataclass
from html import escape

INK = "#1d1d1b"
SOFT_INK = "#575652"
GRID = "#e9e7e1"
PAPER = "#ffffff"
WASH = "#f7f5f0"
FONT = "-apple-system, 'Segoe UI', 'Helvetica Neue', Roboto, 'Liberation Sans', Arial, 'DejaVu Sans', sans-serif"
TEXT_SIZE = 11.5
TITLE_SIZE = 13

_MARKS = {
    "circle": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "square": "M-3.6,-3.6h7.2v7.2h-7.2z",
    "diamond": "M0,-5l5,5l-5,5l-5,-5z",
    "triangle-up": "M0,-4.6l4.6,8.4h-9.2z",
    "triangle-down": "M0,4.6l4.6,-8.4h-9.2z",
    "cross": "M-1.6,-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z",
}


@dataclass(frozen=True, slots=True)
class Style:
    """How one kind of arm looks: a line with marks, or, where `mark` is empty, a reference line."""

    colour: str
    mark: str = "circle"
    dash: tuple[int, ...] = ()
    hollow: bool = False


STYLES: dict[str, Style] = {
    "teacher": Style(INK, "", (6, 4)),
    "second_sample": Style(INK, "", (2, 3)),
    "base": Style("#77756f", "square", (10, 3, 2, 3)),
    "broad": Style("#0b5fa5"),
    "broad_replay": Style("#b3470b", "diamond"),
    "replay_only": Style("#7a3f8f", "cross", (4, 2)),
    "local_strict": Style("#00705a", "triangle-up"),
    "local_supported": Style("#00705a", "triangle-down", (4, 2), hollow=True),
    "letter": Style("#0b5fa5", "circle", (2, 3), hollow=True),
    "unknown": Style("#b3470b", "triangle-up", (5, 3), hollow=True),
    "treated": Style("#8f2d56"),
    "student": Style("#0b5fa5"),
    "ceiling": Style(INK, "diamond", hollow=True),
    "floor": Style("#77756f", "cross"),
    "teacher_mark": Style(INK, "diamond"),
    "other": Style("#8d8b84", "circle", hollow=True),
}
EXPERTISE: tuple[Style, ...] = (
    Style("#a97fc4"),
    Style("#9263b3", "square"),
    Style("#78489f", "triangle-up"),
    Style("#592c83", "diamond"),
    Style("#33104f", "cross"),
)


def glyph(style: Style) -> str:
    """A legend sign, 30 x 12 px, as an SVG fragment."""
    dash = f' stroke-dasharray="{",".join(map(str, style.dash))}"' if style.dash else ""
    line = f'<path d="M1,6h28" stroke="{style.colour}" stroke-width="2" fill="none"{dash}/>'
    if not style.mark:
        return line
    fill = PAPER if style.hollow else style.colour
    mark = _MARKS[style.mark]
    return (
        f'{line}<path transform="translate(15,6)" d="{mark}" fill="{fill}" stroke="{style.colour}" stroke-width="1.5"/>'
    )


def text_element(x: int | float, y: int | float, text: str, *, bold: bool = False) -> str:
    """One line of SVG text in the report's type; bold for titles."""
    size, weight = (TITLE_SIZE, ' font-weight="600"') if bold else (TEXT_SIZE, "")
    return (
        f'<text x="{x:g}" y="{y:g}" font-family="{escape(FONT, quote=True)}" font-size="{size}"{weight} fill="{INK}">'
        f"{escape(text)}</text>"
    )
