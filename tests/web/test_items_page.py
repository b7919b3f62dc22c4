"""The pages of items as a browser shows them out of a folder on disk. Skipped where there is no Chromium."""

import shutil
from pathlib import Path

import pytest
from test_report_page import ARGUMENTS, CHROMIUM, LOWEST_CONTRAST, TEXTS, WIDER, _contrast

from epigone.records import Sentence
from epigone.reporting.items.files import CHUNK_ITEMS, files
from epigone.reporting.items.rows import AnsweredItem, BenchmarkItems, Said, StudyItems, Votes, Who
from epigone.store import write_text

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
HOSTILE = "<img src=x onerror=\"document.title='broken'\"></script><script>document.title='broken'</script>"
NUM_ITEMS = 1200
WHO = (
    Who("T", "teacher", f"teacher {HOSTILE}"),
    Who("B & base", "base", "a base"),
    Who("S", "student", "a student " + "of-a-very-long-name" * 6),
    Who("S2", "student", "another student"),
)


def _items(benchmark: str, num_items: int):
    """The teacher is right; the base on every second; students on every third, of which S2 was not asked the last."""
    for n in range(num_items):
        right = {"T": True, "B & base": n % 2 == 0, "S": n % 3 == 0, "S2": n % 3 == 0}
        said = [Said(who, f"{who} says {n} {HOSTILE}", "right" if good else "wrong", f"read {n}", {"accuracy": 0.5})
                for who, good in right.items()]  # fmt: skip
        if benchmark == "free":
            marks = (Sentence("It is so.", "right", "paragraph"), Sentence(HOSTILE, "wrong", "line"))
            said = [Said("S", "It is so.", "right", sentences=marks, votes=(Votes("people", "T", 2, 1, 0),))]
        prompt = f"{benchmark} question number {n}. {'x' * 900 if n == 3 else ''} {HOSTILE}"
        yield AnsweredItem(f"{benchmark}-{n}", prompt, tuple(said[:3] if n == num_items - 1 else said))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("items")
    ids = {"S": ("scores/s--01234567",)}
    benchmarks = (
        BenchmarkItems("many", "Many", lambda: _items("many", NUM_ITEMS), artifacts=ids, protocols={"S": "p--<1>"}),
        BenchmarkItems("free", "Free", lambda: _items("free", 3), ("good", "bad")),
    )
    for name, content in files(StudyItems(f"Study {HOSTILE}", "s--0", WHO, benchmarks, ("T", "B & base", "S"))):
        write_text(found / name, content)
    return found


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH to look at the pages with")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, folder: Path):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and complaints.append(request.url))
    page.goto((folder / "items.html").as_uri())
    _told(page, "Items 1 to 10 of 1,203")
    yield page
    assert complaints == []
    assert "broken" not in page.title() or page.title().startswith("Items: Study <img")
    page.close()


def _told(page, text: str) -> None:
    page.wait_for_function("text => document.getElementById('status').textContent === text", arg=text)


def _heads(page) -> list[str]:
    return [head.partition(" · ")[2] for head in page.locator("article.item h2 a").all_inner_texts()]


def test_answers_stand_side_by_side_and_what_they_say_is_text(page) -> None:
    first = page.locator("article.item").first
    assert [name.split()[0] for name in first.locator(".answer h3").all_inner_texts()] == ["teacher", "a", "a"]
    assert first.locator(".chip").all_inner_texts() == ["right", "right", "right"]
    assert f"T says 0 {HOSTILE}" in first.inner_text() and page.locator("article img").count() == 0
    assert "accuracy 0.5" in first.inner_text() and "1 more model answered" in first.inner_text()
    page.check("#show-3")
    page.locator("article.item").first.locator(".answer").nth(3).wait_for()
    assert page.locator("article.item").nth(3).locator("summary").first.inner_text().startswith("The whole prompt")


def test_filters_by_benchmark_by_what_came_of_each_model_and_by_text(page) -> None:
    page.select_option("#benchmark", label="Many (1,200)")
    _told(page, "Items 1 to 10 of 1,200")
    page.select_option("[data-want='1']", "0")  # the base wrong: odd places
    page.select_option("[data-want='2']", "1")  # the student right: multiples of three
    _told(page, "Items 1 to 10 of 200")
    assert _heads(page)[:3] == ["many-3", "many-9", "many-15"]
    page.fill("#text", "QUESTION number 11")  # of odd multiples of three: 111, 117, 1101 to 1197
    _told(page, "Items 1 to 10 of 19")
    assert _heads(page)[:2] == ["many-111", "many-117"]
    page.fill("#text", "")
    page.select_option("[data-want='1']", "")
    page.select_option("[data-want='2']", "")
    page.select_option("[data-want='3']", ".")  # not asked
    _told(page, "Items 1 to 1 of 1")
    page.click("button[type=reset]")
    _told(page, "Items 1 to 10 of 1,203")


def test_pages_turn_by_button_and_by_key_and_the_address_says_where(page, folder: Path) -> None:
    page.locator(".pager").first.get_by_text("Next").click()
    _told(page, "Items 11 to 20 of 1,203")
    page.keyboard.press("n")
    _told(page, "Items 21 to 30 of 1,203")
    page.keyboard.press("p")
    _told(page, "Items 11 to 20 of 1,203")
    page.go_back()
    _told(page, "Items 21 to 30 of 1,203")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.querySelector('h2 a').textContent") == "Many · many-21"
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.querySelector('h2 a').textContent") == "Many · many-20"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("n")  # a letter of the search, not a page
    assert page.input_value("#text") == "n"
    page.keyboard.press("Escape")  # which Chromium takes for clearing the search, too
    assert page.evaluate("document.activeElement.id") != "text"


def test_a_link_leads_to_one_item_with_its_models(page, folder: Path) -> None:
    number = CHUNK_ITEMS + 33
    page.goto(f"{(folder / 'items.html').as_uri()}#benchmark=many&show=B+%26+base&show=S2&item={number}")
    _told(page, f"Items {number // 10 * 10 + 1} to {number // 10 * 10 + 10} of 1,200")
    page.wait_for_function("document.activeElement.className === 'item'")
    focused = page.locator("article.item:focus")
    assert focused.locator("h2 a").inner_text() == f"Many · many-{number}"
    assert focused.locator(".answer h3").all_inner_texts() == ["a base wrong", "another student wrong"]
    page.goto(f"{(folder / 'items.html').as_uri()}#benchmark=free")
    _told(page, "Items 1 to 3 of 3")
    first = page.locator("article.item").first
    assert first.locator(".truth.right").inner_text() == "✓ It is so." and first.locator(".truth.wrong").count() == 1
    assert "people, against T: better 2, equal 1, worse 0" in first.inner_text()


def test_artifacts_and_protocols_of_what_is_shown_are_named(page) -> None:
    page.click("#sources summary")
    assert "scores/s--01234567" in page.inner_text("#sources") and "p--<1>" in page.inner_text("#sources")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_by_day_and_night(browser, folder: Path, scheme: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 800}, color_scheme=scheme)
    page.goto(f"{(folder / 'items.html').as_uri()}#benchmark=free")
    _told(page, "Items 1 to 3 of 3")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(WIDER) == []
    assert [t["text"] for t in page.evaluate(TEXTS) if _contrast(t) < LOWEST_CONTRAST] == []
    page.close()


def test_a_chunk_that_is_missing_is_named(browser, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "items" / "00000.js").unlink()
    page = browser.new_page()
    page.goto((tmp_path / "copy" / "items.html").as_uri())
    _told(page, "items/00000.js cannot be read: the files under items/ belong beside this page.")
    page.close()
