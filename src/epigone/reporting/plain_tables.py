"""Tables for papers and pull requests: the same cells as Markdown and as LaTeX.

In: a Table. Out: text. Everything from data is escaped for its language; an interval stands behind its value.
Source: GitHub Flavored Markdown, https://github.github.com/gfm/#tables-extension-; booktabs,
https://ctan.org/pkg/booktabs.
"""

import re

from epigone.reporting.tables import Cell, Table

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "±": r"$\pm$", "≥": r"$\geq$", "’": "'",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#])")


def _text(cell: Cell) -> str:
    return " ".join(f"{cell.text} {cell.sub}".split())


def markdown(table: Table) -> str:
    """A GitHub-flavoured table under its title; numbers stand right."""
    numeric = [any(row[i].numeric for row in table.rows if i < len(row)) for i in range(len(table.columns))]
    lines = [
        f"**{_escaped(table.title)}**",
        "",
        _row([_escaped(column) for column in table.columns]),
        _row(["---:" if right else "---" for right in numeric]),
        *(_row([_escaped(_text(cell)) for cell in row], len(table.columns)) for row in table.rows),
    ]
    if table.caption:
        lines += ["", _escaped(table.caption)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _row(cells: list[str], width: int = 0) -> str:
    return f"| {' | '.join([*cells, *[''] * (width - len(cells))])} |"


def latex(table: Table) -> str:
    r"""A `table` with booktabs rules; needs `\usepackage{booktabs}`."""
    numeric = [any(row[i].numeric for row in table.rows if i < len(row)) for i in range(len(table.columns))]
    body = [_tex_row([_text(cell) for cell in row], len(table.columns)) for row in table.rows]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(table.title)} {_tex(table.caption)}}}",
        rf"\label{{tab:{table.id.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        _tex_row(list(table.columns), len(table.columns)),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex_row(cells: list[str], width: int) -> str:
    return " & ".join([*map(_tex, cells), *[""] * (width - len(cells))]) + r" \\"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)
