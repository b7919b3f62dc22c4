"""The report as a browser shows it, at a phone's, a tablet's and a desk's width. Skipped where there is no Chromium.

EPIGONE_REPORT=path/of/report.html looks at that report too.
"""

import os
import shutil
from pathlib import Path

import pytest
from made_up_findings import extreme_findings, made_up_findings

from epigone.reporting.audit.document import render as render_audit
from epigone.reporting.document import render
from made_up_audit import extreme_audit, made_up_audit

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
GIVEN = {"given": Path(os.environ["EPIGONE_REPORT"]).resolve()} if os.environ.get("EPIGONE_REPORT") else {}
MADE_UP = ("made up", "extreme", "audit", "extreme audit")
SMALLEST_TEXT, LOWEST_CONTRAST, WIDTHS = 11, 4.5, (360, 768, 1440)

# Every visible run of text with its size on the screen, its colour and the colours behind it, innermost first.
TEXTS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest('title, style, script') || !parent.getClientRects().length) continue;
    const style = getComputedStyle(parent), drawn = parent instanceof SVGElement;
    const scale = drawn ? Math.min(parent.getScreenCTM().a, parent.getScreenCTM().d) || 1 : 1;
    const turned = drawn && Math.abs(parent.getScreenCTM().b) > 0.01;
    const behind = []; let opacity = 1;
    for (let e = parent; e; e = e.parentElement) {
      behind.push(getComputedStyle(e).backgroundColor); opacity *= parseFloat(getComputedStyle(e).opacity);
    }
    found.push({text: node.textContent.trim().slice(0, 60), size: parseFloat(style.fontSize) * (turned ? 1 : scale),
                colour: drawn ? style.fill : style.color, behind, opacity});
  }
  return found;
}"""
# What is wider than its place. Chromium counts what overflows even where no bar shows.
WIDER = """() => [...document.querySelectorAll('body, body *')]
  .filter(e => e instanceof HTMLElement && getComputedStyle(e).display !== 'inline' && e.clientWidth > 0
               && e.scrollWidth > e.clientWidth + 1)
  .map(e => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.trim().slice(0, 50)}`)"""
# Texts of a drawing that touch each other or leave it.
COLLISIONS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const boxes = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim())
      .map(t => ({text: t.textContent, box: t.getBoundingClientRect()}));
    boxes.forEach((a, i) => {
      if (a.box.left < frame.left - 1 || a.box.right > frame.right + 1 || a.box.top < frame.top - 1
          || a.box.bottom > frame.bottom + 1) found.push(`${a.text} leaves its drawing`);
      for (const b of boxes.slice(i + 1)) {
        const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
        const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
        if (across > 1 && down > 1) found.push(`${a.text} | ${b.text}`);
      }
    });
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH to look at the report with")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    pages = {"made up": made_up_findings(), "extreme": extreme_findings()}
    audits = {"audit": made_up_audit(), "extreme audit": extreme_audit()}
    drawn = {name: render(findings) for name, findings in pages.items()}
    drawn |= {name: render_audit(findings) for name, findings in audits.items()}
    for name, files in drawn.items():
        (folder / f"{name}.html").write_text(str(files["report.html"]))
    return {name: folder / f"{name}.html" for name in drawn} | GIVEN


@pytest.fixture(scope="module", params=[(name, width) for name in (*MADE_UP, *GIVEN) for width in WIDTHS], ids=str)
def page(request: pytest.FixtureRequest, browser, reports: dict[str, Path]):
    name, width = request.param
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and page.complaints.append(request.url))
    page.goto(reports[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    yield page
    page.close()


def test_nothing_is_complained_of_and_nothing_is_fetched(page) -> None:
    assert page.complaints == []
    assert "broken" not in page.title() or page.title().startswith(
        "<script>"
    )  # the title's script is text, it did not run


def test_nothing_scrolls_sideways(page) -> None:
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDER) == []


def test_no_text_is_small(page) -> None:
    texts = page.evaluate(TEXTS)
    assert len(texts) > 100
    assert [t for t in texts if t["size"] < SMALLEST_TEXT - 0.01] == []


def test_texts_of_a_drawing_stay_apart(page) -> None:
    assert page.evaluate("document.querySelectorAll('svg text').length") > 10
    assert page.evaluate(COLLISIONS) == []


def test_all_text_can_be_told_from_its_ground(page) -> None:
    weak = [(t["text"], t["colour"]) for t in page.evaluate(TEXTS) if _contrast(t) < LOWEST_CONTRAST]
    assert weak == []


@pytest.mark.parametrize("name", ["made up", "audit"])
def test_at_night_all_text_can_be_told_from_its_ground_and_paper_stays_white(browser, reports, name: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page.goto(reports[name].as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(25, 25, 23)"
    assert [(t["text"], t["colour"]) for t in page.evaluate(TEXTS) if _contrast(t) < LOWEST_CONTRAST] == []
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    page.close()


def test_the_checks_see_what_is_wrong(browser) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 400})
    page.set_content(
        "<p style='font-size:9px;color:#999'>small</p><div style='width:900px'>wide</div>"
        "<svg width=100 height=50 viewBox='0 0 200 100'><text x=0 y=20 font-size=14>one</text>"
        "<text x=4 y=22>two</text></svg>"
    )
    texts = {t["text"]: t for t in page.evaluate(TEXTS)}
    assert texts["small"]["size"] == 9
    assert texts["one"]["size"] == pytest.approx(7)
    assert _contrast(texts["small"]) == pytest.approx(2.85, abs=0.01)  # #999 on white, by WCAG 2.2
    assert len(page.evaluate(WIDER)) == 1
    assert page.evaluate(COLLISIONS) == ["one | two"]
    page.close()


def _contrast(text: dict) -> float:
    """WCAG 2.2 contrast ratio of a text with what is behind it."""
    ground = (255.0, 255.0, 255.0)
    for layer in reversed(text["behind"]):
        ground = _over(_rgba(layer), ground)
    red, green, blue, alpha = _rgba(text["colour"])
    ink = _over((red, green, blue, alpha * text["opacity"]), ground)
    light, dark = sorted((_luminance(ink), _luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _rgba(colour: str) -> tuple[float, float, float, float]:
    values = [float(v) for v in colour[colour.index("(") + 1 : -1].replace(",", " ").split()]
    return values[0], values[1], values[2], values[3] if len(values) > 3 else 1.0


def _over(top: tuple[float, float, float, float], ground: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = (top[3] * t + (1 - top[3]) * g for t, g in zip(top[:3], ground))
    return red, green, blue


def _luminance(colour: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if (c := v / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for v in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
