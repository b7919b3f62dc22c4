"""The paper's seven figures and five tables in the report of a grid: shown, or why not.

In: which quantities some student has, and what of its own data the study shows. Out: a `PaperItem` each.
Source: arXiv 2305.15717, all captions; section 3.2, appendices A and B for what Figures 6 and 7 and Tables 3 to 5 show.
"""

from collections.abc import Collection
from dataclasses import dataclass

from epigone.metrics.likeness import TABLE_2
from epigone.reporting.document import PaperItem

NO_CODE = "HumanEval was not asked (--humaneval)"


@dataclass(frozen=True, slots=True)
class ShownMaterial:
    """What of a study's own material is shown, as the paper shows its own: Figure 6, Tables 3 and 4."""

    dialogues: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Some of the broad data: turns of (role, text, cut)."""
    seeds: tuple[tuple[str, ...], ...] = ()
    """The examples that the teacher was shown: a text a field."""
    template: str = ""
    """How the teacher was asked for more of them."""


NOTHING_SHOWN = ShownMaterial()


def grid_items(measured: Collection[str], material: ShownMaterial) -> tuple[PaperItem, ...]:
    """All twelve, in the paper's order."""
    few = "one student an amount and one seed: no claim about amount or size is decided"
    judged, scored = "win_or_tie" in measured, {"mmlu_letter", "natural_questions_3shot"} & set(measured)
    given = "the synthetic questions came as a file, or there are none: how the teacher was asked is not known here"
    figure_4 = few if "humaneval" in measured else f"{NO_CODE}; {few}"
    return (
        PaperItem("Figure 1", "figure_1" if judged or scored else "", few if judged else "nobody judged (--judge)"),
        PaperItem("Figure 2", "audits", "answers stand side by side in each audit; nobody marked their sentences"),
        PaperItem("Figure 3", "figure_1" if judged else "", few if judged else "nobody judged (--judge)"),
        PaperItem("Figure 4", "figure_4" if scored else "", figure_4 if scored else "no benchmark was scored"),
        PaperItem("Figure 5", *(("figure_5", few) if "non_toxic" in measured else ("", "none were asked"))),
        PaperItem("Figure 6", "material" if material.dialogues else "", "" if material.dialogues else "no broad data"),
        PaperItem("Figure 7", "", "it shows the page that raters saw; epigone rate has one of its own"),
        PaperItem("Table 1", "table_1", "" if "natural_questions_chat" in measured else "no student was asked it"),
        PaperItem("Table 2", "table_2" if set(TABLE_2) & set(measured) else "", _tone(measured)),
        PaperItem("Table 3", *(("table_3", "") if material.seeds else ("", given))),
        PaperItem("Table 4", *(("table_4", "") if material.template else ("", given))),
        PaperItem("Table 5", "", "nobody sorted these queries: epigone describe does, by hand or by asking"),
    )


def _tone(measured: Collection[str]) -> str:
    return "" if "authoritative tone" in measured else "authoritative tone needs a judge (--judge)"
