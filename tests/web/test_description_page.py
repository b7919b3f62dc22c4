"""A description and the page to sort queries on, as a browser shows them. Skipped where there is no Chromium."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_report_page import COLLISIONS, LOWEST_CONTRAST, SMALLEST_TEXT, TEXTS, WIDER, WIDTHS, _contrast, browser

from epigone.datasets import write_dataset
from epigone.metrics.categories import CATEGORIES
from epigone.records import Conversation, Drop, Message
from epigone.rows import prompt_id_of
from epigone.spec import Artifact, Input
from epigone.stages.describe import Describe
from epigone.store import Store, write_json, write_records

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
__all__ = ["browser"]
HOSTILE = (
    "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> </script> & 'so' \"on\""
)
NUM_QUERIES = 7


def conversation(number: int, query: str, source: str = "made_up.json") -> Conversation:
    return Conversation(f"c{number}", (Message("user", query), Message("assistant", f"{query} Yes.")), source)


def queries() -> list[str]:
    return [
        HOSTILE,
        "اكتب قصيدة طويلة عن البحر والسفينة القديمة من فضلك",
        "请写一首关于大海的诗，要有一艘旧船，还要有一个老人。",
        "x" * 3000,
        "a long word " * 4000,
        *(f"Write a story about ship number {n}." for n in range(300)),
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two datasets with labels of two raters and a hostile source; one of a single conversation without an answer."""
    root = tmp_path_factory.mktemp("runs")
    long_source = "a/very/long/path/of/a/file/that/somebody/downloaded/once/upon/a/time.json " + HOSTILE
    talks = [conversation(n, q, long_source if n % 3 else "b.json") for n, q in enumerate(queries())]
    drops = [Drop(str(n), f"{HOSTILE} {n}", "", "a_rule_with_a_long_name") for n in range(4)]
    for name, those in (
        ("whole-with-a-rather-long-name--00000001", talks),
        ("filtered--00000002", talks[3:]),
        ("tiny--00000003", [Conversation("a", (Message("user", "Hi"),))]),
    ):
        folder = root / "datasets" / name
        write_dataset(folder / "records.parquet", those)
        write_records(folder / "dropped.jsonl", drops)
        write_json(folder / "summary.json", {"num_read": len(those) + len(drops), "num_kept": len(those)})
        write_json(folder / "DONE", {"files": {}})
    rows = [
        {"query_id": prompt_id_of(q), "category": CATEGORIES[(n * k) % 9], "rater": f"rater {k} {HOSTILE}"[: 20 * k]}
        for k in (1, 2)
        for n, q in enumerate(queries())
    ]
    labels = root / "labels.jsonl"
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    store = Store(root)
    one, two, tiny = (
        Artifact(f"datasets/{p.name}") for p in sorted((root / "datasets").iterdir(), key=lambda p: p.name[-1])
    )
    both = store.build(Describe(one, two, num_sampled=300, labels=(Input(str(labels)),), smoothings=("exp",)))
    few = store.build(Describe(one, num_sampled=NUM_QUERIES, smoothings=("exp",), name="few"))
    alone = store.build(Describe(tiny))
    return {
        "both": both / "report.html", "sorting": both / "categorise.html", "few": few / "categorise.html",
        "tiny": alone / "report.html",
    }  # fmt: skip


@pytest.fixture(scope="module")
def opened(browser, pages: dict[str, Path]) -> Callable:
    """A page by name, and what it complains of."""

    def open_page(name: str, width: int, **options):
        page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        page.complaints = []
        page.on("console", lambda m: m.type in ("error", "warning") and page.complaints.append(m.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith("http") and page.complaints.append(request.url))
        page.goto(pages[name].as_uri())
        return page

    return open_page


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["both", "tiny", "sorting"])
def test_a_page_can_be_read(opened: Callable, name: str, width: int) -> None:
    page = opened(name, width)
    texts = page.evaluate(TEXTS)
    assert len(texts) > 20
    assert page.complaints == [] and page.title() != "broken"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDER) == []
    assert [t for t in texts if t["size"] < SMALLEST_TEXT - 0.01] == []
    assert [(t["text"], t["colour"]) for t in texts if _contrast(t) < LOWEST_CONTRAST] == []
    assert page.evaluate(COLLISIONS) == []
    page.context.close()


def saved(page, folder: Path) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename.endswith(".jsonl")
    path = folder / "saved.jsonl"
    download.value.save_as(path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_queries_are_sorted_by_keyboard_and_kept(opened: Callable, tmp_path: Path) -> None:
    page = opened("few", 1440)
    assert page.is_disabled("#save") and page.is_disabled("#undo") and page.is_disabled("#back")
    first = page.evaluate("data.queries[0].id")
    for key in "1395":
        page.keyboard.press(key)
    assert page.text_content("#place") == f"Query 5 of {NUM_QUERIES}, 4 sorted"
    page.keyboard.press("u")
    assert page.text_content("#place") == f"Query 4 of {NUM_QUERIES}, 3 sorted"
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.get_attribute(".choices button:nth-child(1)", "aria-pressed") == "true"
    page.keyboard.press("2")  # another choice for the first one
    page.keyboard.press("0")
    page.reload()
    assert page.text_content("#place") == f"Query 2 of {NUM_QUERIES}, 3 sorted"
    page.fill("#rater", "Ann 123")  # digits typed into the name choose nothing
    rows = saved(page, tmp_path)
    assert rows[0] == {"query_id": first, "category": "General QA", "rater": "Ann 123"}
    assert [row["category"] for row in rows] == ["General QA", "Coding", "Invalid"]
    assert page.complaints == []
    page.context.close()


def test_queries_are_sorted_by_touch(opened: Callable, tmp_path: Path, pages: dict[str, Path]) -> None:
    page = opened("few", 360, has_touch=True)
    for _ in range(NUM_QUERIES):
        page.tap(".choices button:nth-child(9)")
    assert "All are sorted" in page.text_content("#note")
    page.tap("#undo")
    page.tap(".choices button:nth-child(5)")
    rows = saved(page, tmp_path)
    assert [row["category"] for row in rows] == ["Invalid"] * (NUM_QUERIES - 1) + ["Chat"]
    assert {row["rater"] for row in rows} == {"person"}
    sample = json.loads((pages["few"].parent / "description.json").read_text())["datasets"][0]["sample"]
    assert sorted(row["query_id"] for row in rows) == sorted(sample)
    smallest = page.evaluate("Math.min(...[...document.querySelectorAll('button')].map(b => b.offsetHeight))")
    assert smallest >= 44
    page.context.close()


def test_a_hostile_query_is_text(opened: Callable) -> None:
    page = opened("sorting", 768)
    place = page.evaluate("data.queries.findIndex(q => q.text.startsWith('<script>'))")
    assert place >= 0
    for _ in range(place):
        page.keyboard.press("ArrowRight")
    assert page.text_content("#query") == HOSTILE
    assert page.title() != "broken" and page.complaints == []
    page.context.close()


def test_a_query_in_arabic_runs_from_the_right(opened: Callable) -> None:
    page = opened("sorting", 768)
    place = page.evaluate("data.queries.findIndex(q => q.text.startsWith('\u0627'))")
    for _ in range(place):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("getComputedStyle(document.getElementById('query')).direction") == "rtl"
    page.context.close()
