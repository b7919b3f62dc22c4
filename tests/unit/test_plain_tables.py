"""Tables as Markdown and LaTeX: read back by a Markdown parser, braces and specials of LaTeX balanced."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from epigone.reporting.plain_tables import latex, markdown
from epigone.reporting.tables import Cell, Table


def table(*cells: str) -> Table:
    rows = tuple((Cell(cell), Cell("50.0 %", "[40, 60]", numeric=True)) for cell in cells)
    return Table("style_parts", "Style, 100 %", "A caption.", ("Model", "Share"), rows, "")


def cells_of(text: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [
        "".join(c.content if c.type != "softbreak" else " " for c in t.children or [])
        for before, t in pairwise(tokens)
        if before.type in ("td_open", "th_open")
    ]


def test_markdown() -> None:
    row = r"| vicuna-13b | 50.0 % \[40, 60\] |"
    wanted = f"**Style, 100 %**\n\n| Model | Share |\n| --- | ---: |\n{row}\n\nA caption.\n"
    assert markdown(table("vicuna-13b")) == wanted


@given(st.lists(st.text("ab|\\`*_<>[]{}# -", min_size=1).filter(str.strip), min_size=1, max_size=3))
def test_markdown_reads_back(names: list[str]) -> None:
    found = cells_of(markdown(table(*names)))
    assert found[:2] == ["Model", "Share"]
    assert found[2::2] == [" ".join(name.split()) for name in names]


def test_latex() -> None:
    text = latex(table("a_b & 50% {x} ~ \\ −1 ±"))
    assert r"a\_b \& 50\% \{x\} \textasciitilde{} \textbackslash{} $-$1 $\pm$ & 50.0 \% [40, 60] \\" in text
    assert r"\begin{tabular}{lr}" in text and r"\label{tab:style-parts}" in text


@given(st.text(min_size=1, max_size=30))
def test_latex_specials_are_escaped(name: str) -> None:
    row = latex(table(name)).split(r"\midrule")[1].split(r"\bottomrule")[0]
    bare = re.sub(r"\\[a-zA-Z]+\{\}|\\[&%$#_{}]|\$[^$]+\$|\\\\", "", row)
    assert not re.search(r"[%$#_{}~^]", bare) and bare.count("&") == 1
