"""Curves over the audits of a grid: which number is which, which models share a line, what is missing."""

import csv
from dataclasses import replace

from epigone.reporting.curves import Family, Grid, Spot, by_amount, by_base, missing, render


def number(value: float) -> dict[str, object]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50, "method": "made up", "protocol": "p"}


def family(base: str, size: int, start: float) -> Family:
    """A base with students on 1K and 2K; each thousand of tokens adds 0.1 to Natural Questions."""
    spots = (Spot(base, "base", 0), Spot(f"{base}-1", "broad", 1000), Spot(f"{base}-2", "broad", 2000))
    scores = {
        spot.model: {"nq-3shot": number(start + spot.num_tokens / 10_000), "nq-3shot/abstained": number(0.9)}
        for spot in spots
    }
    scores[base] |= {"humaneval-completion": number(0.7), "humaneval-completion/pass_at_1": number(0.2)}
    audit = {
        "teacher": "T",
        "ceiling": None,
        "capability": scores,
        "style": {},
        "preference": {f"{base}-2": number(0.4)},
        "verdict": {f"{base}-1": {"word": "style only", "sentence": "Because <so>."}},
        "missing": {"base": "none"},
    }
    return Family(base, spots, {"parameters": size}, audit)


GRID = Grid("A <grid>", "studies/x", (family("large", 2000, 0.5), family("small", 1000, 0.2)))


def test_lines_join_what_differs_in_the_amount_alone():
    panel = by_amount(GRID, "natural_questions_3shot")
    assert {line.name: [(p.x, round(p.estimate.value, 3)) for p in line.points] for line in panel.series} == {
        "large, broad": [(1000, 0.6), (2000, 0.7)],
        "small, broad": [(1000, 0.3), (2000, 0.4)],
    }


def test_bases_stand_in_the_order_of_their_size():
    panel = by_base(GRID, "natural_questions_3shot", "parameters")
    assert {line.name: [(p.x, round(p.estimate.value, 3)) for p in line.points] for line in panel.series} == {
        "base model": [(1000, 0.2), (2000, 0.5)],
        "broad, 2K": [(1000, 0.4), (2000, 0.7)],
    }


def test_programs_count_by_those_that_pass():
    found = GRID.families[0].measured("humaneval", "large")
    assert found and found.value == 0.2


def test_the_report_says_what_is_missing_and_escapes_what_it_is_given():
    files = render(GRID)
    page = str(files["report.html"])
    assert "A &lt;grid&gt;" in page and "Because &lt;so&gt;." in page and "<so>" not in page
    assert {"MMLU by letter", "Non-toxic score", "base"} <= set(missing(GRID))
    paper = [*(f"Figure {number}" for number in range(1, 8)), *(f"Table {number}" for number in range(1, 6))]
    assert [name for name in paper if f">{name}<" not in page] == []
    assert "HumanEval, zero-shot" in missing(GRID)  # of a base alone: no student was scored
    rows = list(csv.DictReader(str(files["tables/verdicts.csv"]).splitlines()))
    assert [(row["model"], row["word"]) for row in rows][:2] == [("large-1", "style only"), ("large-2", "")]


def test_the_papers_values_are_laid_over_curves_that_reach_its_amounts_alone():
    def larger(spot: Spot) -> Spot:
        return replace(spot, num_tokens=spot.num_tokens * 20_000)

    def styled(family: Family) -> Family:
        audit = {**family.audit, "style": {spot.model: {"list": number(0.5)} for spot in family.spots}}
        return replace(family, audit=audit)

    near = replace(GRID, families=tuple(map(styled, GRID.families)))
    far = replace(near, families=tuple(replace(f, spots=tuple(map(larger, f.spots))) for f in near.families))
    curves = [[line for line in by_amount(grid, "list").series if line.is_published] for grid in (near, far)]
    assert curves[0] == []
    # Table 2 of the paper, its first row: 50 %, 67 % and 81 % after 20M, 80M and 150M tokens
    assert [(p.x, p.estimate.value) for p in curves[1][0].points] == [(2e7, 0.50), (8e7, 0.67), (1.5e8, 0.81)]
    rows = list(csv.DictReader(str(render(near)["tables/table_1.csv"]).splitlines()))
    assert [row["value"] for row in rows if row["model"] == "paper: 13B, NQ-Synthetic"] == ["0.27"]


def test_numbers_lead_to_the_items_of_their_audit_where_these_lie_beside():
    pages = [str(render(replace(GRID, has_items=beside))["report.html"]) for beside in (False, True)]
    wanted = "audits/large/items.html#benchmark=nq-3shot&amp;show=T&amp;show=large&amp;show=large-2"
    assert [wanted in page for page in pages] == [False, True]
