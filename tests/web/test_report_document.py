"""The report's files without a browser: complete, self-contained, escaped, and the same bytes every time."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_findings import extreme_findings, made_up_findings

from epigone.records import Findings
from epigone.reporting.document import paper_items, render
from epigone.reporting.evidence import Evidence
from epigone.reporting.headline import headline
from epigone.reporting.items.telling import Telling
from epigone.reporting.links import Beside
from epigone.reporting.panels import y_domain
from epigone.reporting.wording import chip, number

PAPER = [*(f"Figure {i}" for i in range(1, 8)), *(f"Table {i}" for i in range(1, 6))]


class Page(HTMLParser):
    """Tags, attributes and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def findings() -> Findings:
    return made_up_findings()


@pytest.fixture(scope="module")
def files(findings: Findings) -> dict[str, bytes | str]:
    return render(findings)


@pytest.fixture(scope="module")
def page(files: dict[str, bytes | str]) -> Page:
    return Page(str(files["report.html"]))


def empty() -> Findings:
    return Findings("Empty", "none", 0, (), (), (), (), ())


def test_the_same_findings_give_the_same_bytes(findings: Findings, files: dict[str, bytes | str]) -> None:
    assert render(findings) == files


def test_files_come_in_pairs(files: dict[str, bytes | str]) -> None:
    drawings = {name.removesuffix(".svg") for name in files if name.endswith(".svg")}
    assert {"figures/figure_1", "figures/figure_3", "figures/figure_4", "figures/figure_5", "figures/plane"} <= drawings
    assert {f"{name}.csv" for name in drawings} <= set(files)
    assert {"tables/table_1.csv", "tables/table_2.csv", "tables/results.csv"} <= set(files)


def test_every_drawing_is_well_formed_and_every_id_is_its_own(files: dict[str, bytes | str], page: Page) -> None:
    for name, content in files.items():
        if name.endswith(".svg"):
            assert ET.fromstring(content).tag.endswith("svg")
    ids = Counter(value for name, value in page.attributes if name == "id")
    assert [name for name, count in ids.items() if count > 1] == []
    wanted = re.findall(r"url\(#([^)]+)\)", str(files["report.html"]))
    assert set(wanted) <= set(ids)


def test_the_page_needs_nothing_from_outside(page: Page) -> None:
    places = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "data")]
    assert [place for place in places if not place.startswith(("#", "data:"))] == []
    assert not {"script", "iframe", "object", "img"} & set(page.tags)


BESIDE = Beside(
    7,
    (Telling("lama", "Cloze", 3, "<i>3</i>", "lost", "… <b>end", (("T", "right", "yes"), ("B", "right", ""))),),
    {"w64 broad 300K": ("w64 broad 300K s0", "w64 broad 300K s1")},
    ("T", "B"),
    (("the teacher", "lama", "scores/t--01234567"),),
)


def test_with_items_beside_it_every_measured_number_leads_to_them(findings: Findings) -> None:
    files = render(findings, BESIDE)
    page = Page(str(files["report.html"]))
    assert "script" not in page.tags
    places = [value for name, value in page.attributes if name == "href"]
    assert all(place.startswith(("#", "data:", "items.html", "../../scores/t--01234567/")) for place in places)
    assert "items.html#benchmark=lama&show=T&show=B&item=3" in places
    wanted = "items.html#benchmark=lama&show=T&show=B&show=w64+broad+300K+s0&show=w64+broad+300K+s1"
    assert wanted in places and "items.html#benchmark=natural_questions_3shot" in places  # of a row, and of a figure
    rows = str(files["report.html"]).split('id="results"')[1].split("</table>")[0].split("<tr>")[2:]
    assert len(rows) == len(findings.results) and all("<a href" in row for row in rows)
    assert "<i>3</i>" in page.text and "an empty answer" in page.text
    assert {"tables/telling.csv", "tables/artifacts.csv"} <= set(files)


def test_links_lead_somewhere(page: Page) -> None:
    ids = {value for name, value in page.attributes if name == "id"}
    assert {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")} <= ids


def test_data_is_never_markup() -> None:
    page = Page(str(render(extreme_findings())["report.html"]))
    assert not {"script", "img", "b"} & set(page.tags)
    for text in (
        "<script>alert(1)</script>",
        "<script>alert(2)</script>",
        "<script>alert(3)</script>",
        "<img src=x onerror=alert(1)>",
    ):
        assert text in page.text


def test_every_figure_and_table_of_the_paper_is_shown_or_excused(findings: Findings, page: Page) -> None:
    items = {item.name: item for item in paper_items(Evidence(findings))}
    assert list(items) == PAPER
    assert [name for name, item in items.items() if not item.anchor] == [
        "Figure 6",
        "Figure 7",
        "Table 3",
        "Table 4",
        "Table 5",
    ]
    assert items["Figure 6"].why == findings.not_measured["Figure 6"]
    assert items["Table 3"].why == findings.not_measured["table-3"]
    assert findings.not_measured["Figure 4 (HumanEval)"] in page.text
    assert all(item.why and not item.anchor for item in paper_items(Evidence(empty())))


def test_what_was_not_measured_is_said_in_its_place() -> None:
    files = render(empty())
    text = Page(str(files["report.html"])).text
    assert "No verdict" in text
    drawn = " ".join(ET.fromstring(files["figures/figure_1.svg"]).itertext())
    assert "no arm of this study has natural_questions_3shot" in " ".join(drawn.split())


def test_a_missing_metric_leaves_a_gap_and_no_zero(findings: Findings) -> None:
    kept = tuple(r for r in findings.results if r.metric != "natural_questions_chat")
    files = render(replace(findings, results=kept))
    assert "natural_questions_chat," not in str(files["tables/table_1.csv"])
    table = str(files["report.html"]).split('id="table_1"')[1].split("</table>")[0]
    assert table.count("not measured") == table.count("<tr>") - 1


def test_figures_hold_the_results_they_were_drawn_from(findings: Findings, files: dict[str, bytes | str]) -> None:
    known = {(r.metric, r.estimate.value, r.estimate.low, r.estimate.high, r.estimate.n) for r in findings.results}
    for name in ("figure_1", "figure_3", "figure_4", "figure_5", "replay", "base_quality", "knowledge"):
        rows = list(csv.DictReader(io.StringIO(str(files[f"figures/{name}.csv"]))))
        assert rows
        for row in rows:
            drawn = (row["metric"], float(row["value"]), float(row["low"]), float(row["high"]), int(row["n"]))
            assert drawn in known, (name, row)


def test_figure_1_has_amounts_in_one_row_and_bases_in_the_other(files: dict[str, bytes | str]) -> None:
    rows = list(csv.DictReader(io.StringIO(str(files["figures/figure_1.csv"]))))
    of = {(row["x_axis"].split()[0], row["series"], row["metric"]): [] for row in rows}
    for row in rows:
        of[row["x_axis"].split()[0], row["series"], row["metric"]].append(row["x"])
    assert of["Imitation", "broad imitation", "natural_questions_3shot"] == [
        "10000.0",
        "40000.0",
        "120000.0",
        "300000.0",
    ]
    assert of["Size", "broad imitation", "preference_e0"] == ["71000.0", "221000.0", "732000.0"]
    assert of["Imitation", "simulated teacher", "natural_questions_3shot"] == [""]


def test_broad_imitation_at_the_largest_amount_on_the_middle_base_leads(findings: Findings) -> None:
    told = headline(Evidence(findings))
    assert told.lead is not None and told.lead.label == "w64 · broad 300K"
    labels = [told.lead.label, *(line.label for _, lines in told.groups for line in lines)]
    assert len(labels) == len(set(labels)) == len(findings.verdicts)
    assert [name for name, _ in told.groups][-1] == "Bases with less pre-training"


def test_simulated_and_undecided_are_said(page: Page) -> None:
    assert "raters are simulated" in page.text and "teacher is simulated" in page.text
    two = Page(str(render(replace(empty(), num_seeds=2))["report.html"]))
    assert "fewer than three seeds" in two.text


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.sampled_from(["percent", "number"]))
def test_a_y_axis_holds_all_values_and_zero(values: list[float], unit) -> None:
    low, high, ticks = y_domain(values, unit)
    room = (high - low) * 1e-6 + 1e-6
    shares = unit == "percent" and min(values) >= 0
    assert low - room <= min(0.0, *values) and (max(values) <= high + room or (shares and high == 1.0))
    assert ticks == sorted(ticks) and 2 <= len(ticks) <= 9


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.531, "percent", "53.1 %"), (-0.0001, "percent", "0.0 %"), (-0.2, "percent", "−20.0 %"),
     (0.625, "number", "0.62"), (1234567.0, "count", "1,234,567"), (0.125, "ratio", "1 : 8"), (0.0, "ratio", "none")],
)  # fmt: skip
def test_numbers_are_written_as_people_read_them(value: float, unit, text: str) -> None:
    assert number(value, unit) == text


def test_words_get_their_chip() -> None:
    words = (
        "broad gain",
        "local gain",
        "style only, forgot",
        "regression",
        "fails",
        "undecided",
        "not measured",
        "no gain",
    )
    assert [chip(word) for word in words] == ["good", "local", "style", "bad", "bad", "open", "open", "plain"]
