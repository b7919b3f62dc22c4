"""The rating application as people use it: on a phone, at a desk, by keyboard alone; accessible, and not to be harmed.

Skipped where there is no Chromium. EPIGONE_AXE=path/of/axe.min.js runs axe-core (npm install axe-core) on every page;
EPIGONE_SCREENSHOTS=folder keeps the pictures of docs/.
"""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from rating_cases import KEY, OPEN_CODE, Server, write_answers

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
DESK = {"viewport": {"width": 1280, "height": 800}}
HARM = """Fine. <script>window.harmed = 1</script><img src=x onerror="window.harmed = 2">
<iframe src="javascript:parent.harmed = 3"></iframe> [click](javascript:window.harmed=4) ![pic](https://elsewhere.test/p.png)
</div></form></main><form action="https://elsewhere.test/steal"><input name=key></form><style>body{display:none}</style>

# A heading

| a | b |
|---|
**not closed, `nor this, [nor](this

```python
print("<b>code</b>")
\u202eright to left\u202c <svg/onload=window.harmed=5> <a href="//elsewhere.test">x</a>
"""
LONG = "\n\n".join(
    f"## Part {n}\n\nText with `code{'x' * 90}` and a very long word {'y' * 200}.\n\n- one\n- two" for n in range(6)
)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH to rate with")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest):
    answers = write_answers(tmp_path, getattr(request, "param", 30), p3=HARM, p4=LONG)
    server = Server(answers, str(tmp_path / "r.db"), ("--completion-code", "C0DE-77"))
    server.start()
    yield server
    server.stop()


def page_of(browser, size: dict):
    """A person's own browser; what goes wrong in it, and whatever it asks for elsewhere, is noted."""
    context = browser.new_context(**size)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda r: not r.url.startswith("http://127.0.0.1") and page.complaints.append(r.url))
    return page


def join(page, server: Server, domain: str = "teaching") -> None:
    page.goto(f"{server.address}/join/{OPEN_CODE}")
    accessible(page)
    page.select_option("#domain", domain)
    page.check("input[name=consent]")
    with page.expect_navigation():
        page.click("button")


def accessible(page) -> None:
    """No violation of any rule of axe-core, and nothing that scrolls sideways."""
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if axe := os.environ.get("EPIGONE_AXE"):
        # by the browser's own hand: the page's policy lets no script in, ours neither
        page.evaluate(Path(axe).read_text() + "; undefined")
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert [(v["id"], [n["html"][:160] for n in v["nodes"]]) for v in found["violations"]] == []


def is_over(page) -> bool:
    return page.locator("h1").inner_text() == "Thank you"


def to_the_end(page, choose) -> int:
    """Rates until there is nothing left; how many pages that took."""
    count = 0
    while not is_over(page):
        with page.expect_navigation():
            choose(page, count)
        count += 1
        assert count < 80
    return count


def by_mouse(page, count: int) -> None:
    page.locator(".choice label").nth(count % 3).click()
    page.locator(".choice button").click()


def by_touch(page, count: int) -> None:
    page.locator(".choice label").nth((count + 1) % 3).tap()
    page.locator(".choice button").tap()


def by_keyboard(page, count: int) -> None:
    """Letters, or the tabulator and arrows as without the page's own keys."""
    if count % 2:
        page.keyboard.press("aeb"[count % 3])
        page.keyboard.press("Enter")
        return
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name === 'verdict'"):
            break
    page.keyboard.press("Space")
    for _ in range(count % 3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")


def picture(page, name: str) -> None:
    if folder := os.environ.get("EPIGONE_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / name))


@pytest.mark.parametrize(
    ("server", "num", "num_checks"), [(8, 8, 2), pytest.param(30, 30, 5, marks=pytest.mark.slow)], indirect=["server"]
)
def test_three_people_rate_to_the_end(browser, server: Server, num: int, num_checks: int) -> None:
    """Thirty comparisons in the long form: three attention checks and two repeats come with them, one and one of 8."""
    people = {"desk": (DESK, by_mouse), "phone": (PHONE, by_touch), "keyboard": (DESK, by_keyboard)}
    for name, (size, choose) in people.items():
        page = page_of(browser, size)
        join(page, server, "computing and mathematics" if name == "phone" else "teaching")
        accessible(page)
        count = to_the_end(page, choose)
        assert count == 3 + num + num_checks, "practice, comparisons, checks and repeats"
        assert "C0DE-77" in page.locator("#completion").inner_text()
        accessible(page)
        assert page.complaints == []
        page.context.close()
    with sqlite3.connect(server.database) as connection:
        query = "select count(*), count(distinct rater_id), min(read_seconds) from {} where kind = 'comparison'"
        num_votes, num_raters, seconds = connection.execute(query.format("seats")).fetchone()
        per_pair = (
            "select count(distinct rater_id) n from seats where kind = 'comparison' and voted_at > 0 group by pair_id"
        )
        assert connection.execute(f"select n, count(*) from ({per_pair}) as counts group by n").fetchall() == [(3, num)]
    assert (num_votes, num_raters) == (3 * num, 3) and seconds >= 0
    page = page_of(browser, PHONE)
    page.goto(f"{server.address}/dashboard")
    accessible(page)
    page.fill("#key", KEY)
    with page.expect_navigation():
        page.click("button")
    assert f"{3 * num} of {3 * num} ratings (100 %)" in page.inner_text("main")
    accessible(page)
    page.context.close()


@pytest.mark.parametrize("server", [6], indirect=True)
def test_a_response_that_means_harm_does_none(browser, server: Server) -> None:
    page = page_of(browser, DESK)
    join(page, server)
    seen = 0
    while not is_over(page):
        text = page.inner_text("main")
        if "right to left" in text:
            seen += 1
            assert "<script>window.harmed = 1</script>" in text, "shown as text"
            answers = page.locator(".answer")
            assert answers.locator("script, iframe, img, form, style, a, svg, [onerror], [href]").count() == 0
            assert page.locator("form").count() == (2 if page.locator("#undo").count() else 1)
            assert answers.locator("p > strong", has_text="A heading").count() == 1
            accessible(page)
        if "yyyyy" in text:
            accessible(page)
        with page.expect_navigation():
            by_mouse(page, 0)
    assert seen >= 1
    assert page.evaluate("window.harmed") is None
    assert page.complaints == []
    page.context.close()


def test_undo_reason_marks_and_time_arrive(browser, server: Server) -> None:
    page = page_of(browser, DESK)
    join(page, server)
    for count in range(3):
        with page.expect_navigation():
            by_mouse(page, count)
        assert page.locator(".note").count() == 1, "practice is commented on"
    page.keyboard.press("b")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "1 of 30 done" in page.inner_text("header")
    with page.expect_navigation():
        page.keyboard.press("u")
    assert "0 of 30 done" in page.inner_text("header")
    page.locator(".more summary").click()
    accessible(page)
    page.check("input[name=strength][value=clearly]")
    page.fill("#reason", "the <b>first</b> is wrong; a b e u")
    page.locator("input[name=marks]").first.check()
    page.wait_for_timeout(300)
    with page.expect_navigation():
        by_mouse(page, 0)
    with sqlite3.connect(server.database) as connection:
        columns = "first, verdict, strength, reason, marks, read_seconds"
        query = f"select {columns} from seats where kind = 'comparison' and voted_at > 0"
        ((first, verdict, strength, reason, marks, seconds),) = connection.execute(query).fetchall()
        assert connection.execute("select verdict from withdrawn").fetchall() == [({"a": "b", "b": "a"}[first],)]
    assert (verdict, strength, reason) == (first, "clearly", "the <b>first</b> is wrong; a b e u")
    assert marks == f'["{first}0"]' and 0.3 <= seconds < 60
    assert page.complaints == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("server", [2], indirect=True)
def test_no_page_has_a_violation_of_accessibility(browser, server: Server, scheme: str) -> None:
    """Every kind of page, with everything opened; other tests ask the same along their way."""
    if not os.environ.get("EPIGONE_AXE"):
        pytest.skip("EPIGONE_AXE is unset: it names axe.min.js (npm install axe-core)")
    page = page_of(browser, PHONE | {"color_scheme": scheme})
    page.goto(server.address)
    accessible(page)
    page.set_content("<main><img src=''><p style='color:#999'>weak</p></main>")
    with pytest.raises(AssertionError, match="document-title"):
        accessible(page)
    join(page, server)
    while not is_over(page):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        accessible(page)
        page.fill("#reason", "for <i>a</i> reason")
        with page.expect_navigation():
            by_touch(page, 0)
    accessible(page)
    for path in ("/nowhere", "/dashboard"):
        page.goto(server.address + path)
        accessible(page)
    page.fill("#key", KEY)
    with page.expect_navigation():
        page.click("button")
    assert "for <i>a</i> reason" in page.inner_text("main")
    accessible(page)
    picture(page, f"dashboard-{scheme}.png")
    page.context.close()


def test_pictures_for_the_documents(browser, tmp_path: Path) -> None:
    answers = write_answers(tmp_path, 3)
    texts = {
        "amber-7b": "Sourdough rises without yeast from a packet.\n\n1. **Feed** a starter of flour and water for a "
        "week.\n2. **Mix** it with flour, water and salt.\n3. **Wait** until it has doubled, then bake it hot.",
        "basalt-7b": "You keep a bit of dough from the last loaf, stir it into new dough, and let that stand "
        "overnight. Wild yeast does the rest.\n\n> A cold kitchen takes longer.",
    }
    for path, (name, text) in zip(answers, texts.items()):
        asked = [{"role": "user", "content": "How does sourdough bread rise? Please answer in a few lines."}]
        row = {"prompt_id": "p", "messages": asked, "text": text, "finish_reason": "stop", "model": name}
        path.write_text(json.dumps(row) + "\n")
    server = Server(answers, str(tmp_path / "r.db"), ("--no-practice",))
    server.start()
    try:
        for size, name in ((DESK, "rate.png"), (PHONE, "rate-phone.png")):
            page = page_of(browser, size)
            join(page, server)
            assert page.locator(".response").count() == 2
            page.locator(".choice label").first.click()
            picture(page, name)
            page.context.close()
    finally:
        server.stop()
