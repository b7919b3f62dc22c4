"""The page of checked answers as a browser shows it, light and dark, from a phone up. Skipped without Chromium."""

from pathlib import Path

import pytest
from test_report_page import LOWEST_CONTRAST, SMALLEST_TEXT, TEXTS, WIDER, WIDTHS, _contrast, browser

from epigone.metrics.sentences import CheckedSentence
from epigone.records import Judgment
from epigone.reporting.facts import Checked, FactsFindings, Votes, render

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
__all__ = ["browser"]
HOSTILE = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> & 'so' \"on\""
TRUTHS = ("right", "doubtful", "wrong", "none", None)


def sentences(prompt_id: str, words: str) -> tuple[CheckedSentence, ...]:
    return tuple(
        CheckedSentence(
            prompt_id, place, f"{words} {place}.", "line" if place % 2 else "", TRUTHS[place % 5], place % 3 == 0
        )
        for place in range(9)
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompts = {"a": HOSTILE, "b": "x" * 300, "c": "اكتب قصيدة طويلة عن البحر"}
    models = tuple(
        Checked(name, "a judge", "facts--0", {p: sentences(p, words) for p in prompts})
        for name, words in ((HOSTILE, HOSTILE), ("student", "a-very-long-word" * 30), ("other", "So it is"))
    )
    judgments = tuple(Judgment(p, HOSTILE, "student", "a", "r", "a") for p in prompts)
    findings = FactsFindings("What they claim", "0", prompts, models, (Votes(HOSTILE, judgments),))
    path = tmp_path_factory.mktemp("facts") / "report.html"
    path.write_text(str(render(findings)["report.html"]))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_can_be_read(browser, path: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints = []
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and complaints.append(request.url))
    page.goto(path.as_uri())
    texts = page.evaluate(TEXTS)
    assert len(texts) > 100 and page.title() == "What they claim" and complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDER) == []
    assert [t for t in texts if t["size"] < SMALLEST_TEXT - 0.01] == []
    assert [(t["text"], t["colour"], t["behind"]) for t in texts if _contrast(t) < LOWEST_CONTRAST] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")
    page.close()


def test_truth_is_never_a_colour_alone(browser, path: Path) -> None:
    """Every marked sentence has a sign with a name that is read aloud, and each of the four its own."""
    page = browser.new_page()
    page.goto(path.as_uri())
    signs = page.evaluate(
        "[...document.querySelectorAll('.answer .truth, .answer .unread')]"
        ".map(e => [e.querySelector('.sign')?.textContent, e.querySelector('.sign')?.getAttribute('aria-label')])"
    )
    assert {tuple(each) for each in signs} == {("✓", "correct"), ("≈", "doubtful"), ("✗", "wrong"), ("?", "not read")}
    page.close()
