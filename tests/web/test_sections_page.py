"""The pages of a trace and of a support map as a browser shows them, light and dark. Skipped without Chromium."""

from pathlib import Path

import numpy as np
import pytest
from test_report_page import COLLISIONS, LOWEST_CONTRAST, SMALLEST_TEXT, TEXTS, WIDER, _contrast, browser

from epigone.metrics.attribution import Traced
from epigone.metrics.support import support_map
from epigone.records import Estimate
from epigone.reporting import support, trace

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
__all__ = ["browser"]
HOSTILE = "<script>document.title='broken'</script>"
LONG = "a-model-with-a-very-long-name-" * 4


def traced(name: str, best: float, truth: tuple[str, ...] | None) -> Traced:
    shares = {HOSTILE: best, LONG: (1 - best) / 3, "third": (1 - best) / 3, "none": (1 - best) / 3}
    told = {key: Estimate(value, value / 2, min(1.0, value * 1.5), 80, "made up") for key, value in shares.items()}
    signals = {key: {"wording": best, "nearness": -best, "style": 0.0} for key in (HOSTILE, LONG, "third")}
    return Traced(name, told, 0.05, 0.5, truth, signals)


def traces() -> str:
    known = [traced(f"known-{k}", 0.6, (HOSTILE,) if k % 2 else ()) for k in range(6)]
    found = trace.TraceFindings(
        title="Whom does it imitate?",
        study_id="0",
        teachers=(HOSTILE, LONG, "third"),
        num_prompts=80,
        rate=0.1,
        suspects=(traced(LONG, 0.7, None), traced("other", 0.4, None)),
        held_out=tuple(known),
        base=traced("base", 0.3, None),
        not_measured={"errors": HOSTILE},
    )
    return str(trace.render(found)["report.html"])


def supports() -> str:
    rng = np.random.default_rng(0)
    columns = {name: (rng.uniform(size=60) < 0.5).astype(float) for name in ("base", "student", LONG)}
    near = rng.uniform(size=60)
    items = [
        support.SupportedItem(
            f"i{k}", HOSTILE * (k == 0) + "why " * 40, float(near[k]), "x" * 300, "c", float(columns["base"][k]),
            {name: float(columns[name][k]) for name in ("student", LONG)},
        )
        for k in range(60)
    ]  # fmt: skip
    maps = {name: support_map(near, columns["base"], columns[name]) for name in ("student", LONG)}
    found = support.SupportFindings(
        title="Where did it help?",
        study_id="0",
        benchmark=HOSTILE,
        metric="exact_match",
        base="base",
        bleu="BLEU",
        num_examples=1000,
        num_left_out=3,
        items=tuple(items),
        maps=maps,
    )
    return str(support.render(found)["report.html"])


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sections")
    for name, text in (("trace", traces()), ("support", supports())):
        (folder / f"{name}.html").write_text(text)
    return {name: folder / f"{name}.html" for name in ("trace", "support")}


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
@pytest.mark.parametrize("name", ["trace", "support"])
def test_the_page_can_be_read(browser, pages: dict[str, Path], name: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints = []
    page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith("http") and complaints.append(request.url))
    page.goto(pages[name].as_uri())
    texts = page.evaluate(TEXTS)
    assert len(texts) > 100 and page.title() != "broken" and complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDER) == []
    assert page.evaluate(COLLISIONS) == []
    assert [t for t in texts if t["size"] < SMALLEST_TEXT - 0.01] == []
    assert [(t["text"], t["colour"], t["behind"]) for t in texts if _contrast(t) < LOWEST_CONTRAST] == []
    page.close()
