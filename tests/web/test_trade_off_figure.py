"""The figure and the table of what style costs, on made-up findings of which some arms were treated."""

import csv
import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_up_findings import made_up_findings

from epigone.records import Arm, Estimate, Findings, Result
from epigone.reporting.document import render

HOSTILE = "KL <b>to</b> base & back"
PLACES = {"": (0.9, -0.3), HOSTILE: (0.6, -0.1), "LoRA": (0.5, -0.2), "averaged": (0.3, 0.02)}


def treated(findings: Findings) -> Findings:
    """With four arms of the middle base at made-up places; LoRA is beaten by KL on both axes."""
    plain = next(r.arm for r in findings.results if r.arm.name == "w64 broad 120K")
    own = [(replace(plain, treatment=name), place) for name, place in PLACES.items()]
    return replace(findings, results=(*findings.results, *(r for arm, place in own for r in results(arm, *place))))


def results(arm: Arm, style: float, capability: float) -> list[Result]:
    values = {"style_gained": style, "capability_change": capability, "frontier_share": 0.5}
    return [
        Result(arm, metric, Estimate(v, v - 0.05, v + 0.05, 900, "made up", 3), "made up", (v, v, v), 0.04)
        for metric, v in values.items()
    ]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes | str]:
    return render(treated(made_up_findings()))


@pytest.fixture(scope="module")
def untreated() -> dict[str, bytes | str]:
    return render(made_up_findings())


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_and_the_figure_have_every_arm_and_the_frontier(files):
    found = {row["arm"].partition(", ")[2]: row for row in rows(str(files["tables/treatments.csv"]))}
    assert {name: row["on_frontier"] for name, row in found.items()} == {
        "": "True", HOSTILE: "True", "LoRA": "False", "averaged": "True",
    }  # fmt: skip
    assert [float(found["LoRA"][key]) for key in ("style_gained", "capability_change")] == [0.5, -0.2]
    assert (found["LoRA"]["num_seeds"], found["LoRA"]["minimum_difference"]) == ("3", "0.04")
    assert files["figures/trade_off.csv"] == files["tables/treatments.csv"]
    drawing = ET.fromstring(str(files["figures/trade_off.svg"]))
    titles = [e.text for e in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert [t for t in titles if t and t.startswith(HOSTILE)] == [
        f"{HOSTILE}: style gained 60.0 % [55, 65], capability −10.0 pts [−15, −5]"
    ]


class Tags(HTMLParser):
    """Names of the tags of a page, and the ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]


def test_names_are_escaped_and_ids_stay_apart(files):
    page = Tags(str(files["report.html"]))
    assert "b" not in page.tags or "<b>to</b>" not in str(files["report.html"])
    assert len(page.ids) == len(set(page.ids)) and {"trade_off", "treatments", "treatments-tried"} <= set(page.ids)


def test_without_treated_arms_the_report_says_nothing_of_them(untreated):
    assert "trade_off" not in str(untreated["report.html"]).replace("#trade_off .panel", "")
    assert not {"figures/trade_off.svg", "tables/treatments.csv"} & set(untreated)


def test_the_figures_of_amounts_show_untreated_arms_alone(files, untreated):
    for name in ("figures/figure_1.csv", "figures/plane.csv", "tables/table_1.csv", "tables/table_2.csv"):
        assert files[name] == untreated[name]
