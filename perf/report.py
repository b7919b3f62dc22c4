"""How soon a report over many items opens in headless Chromium: its first page, its page of items, a filter, one item.

    python perf/report.py [NUM_ITEMS]     (default 50,000; Chromium on PATH and playwright installed)

Items, answers and findings are made up: three models on five benchmarks, prompts of about 700 characters. Seconds are
this machine's, the median of five; the memory is what writing the items took on top of what the process held before.
"""

import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "web"))
from made_up_findings import made_up_findings
from playwright.sync_api import Page, sync_playwright

from epigone.reporting.document import render
from epigone.reporting.items.files import files
from epigone.reporting.items.rows import AnsweredItem, BenchmarkItems, Said, StudyItems, Who
from epigone.reporting.items.telling import Chooser, Count
from epigone.reporting.links import Beside
from epigone.store import write_text

ROUNDS, NUM_BENCHMARKS = 5, 5
WHO = (Who("T", "teacher", "teacher"), Who("B", "base", "base"), Who("S", "student", "student"))
EXEMPLARS = "Q: a solved question of about this length, as few-shot prompts have them\nA: an answer\n\n" * 8


def answered(benchmark: int, num_items: int) -> Iterator[AnsweredItem]:
    """Items whose answers are right by a fixed rule."""
    for n in range(num_items):
        right = (True, (n * 7919) % 10 < 4, (n * 104729) % 10 < 5)
        said = tuple(
            Said(who.name, f"An answer of {who.label} to question {n}, in a sentence or so of words.",
                 "right" if good else "wrong", f"answer {n}", {"exact_match": float(good), "contains_answer": 1.0})
            for who, good in zip(WHO, right)
        )  # fmt: skip
        yield AnsweredItem(f"b{benchmark}-{n}", f"{EXEMPLARS}Q: what is the question number {n}?\nA:", said)


def written(folder: Path, num_items: int) -> None:
    """The report and its pages of items."""
    each = num_items // NUM_BENCHMARKS
    benchmarks = tuple(
        BenchmarkItems(f"b{n}", f"Benchmark {n}", lambda n=n: answered(n, each)) for n in range(NUM_BENCHMARKS)
    )
    chooser, counted = Chooser("T", "B", "S"), Count()
    items = StudyItems("Made up", "studies/made-up--0", WHO, benchmarks, ("T", "B", "S"))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    for name, content in files(items, (chooser.see, counted.see)):
        write_text(folder / name, content)
    seconds, grown = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sizes = [path.stat().st_size for path in (folder / "items").iterdir()]
    print(
        f"{counted.num_items:,} items in {len(sizes):,} files, {sum(sizes) / 1e6:.0f} MB, written in {seconds:.1f} s, "
        f"{grown / 1024:.0f} MiB more memory"
    )
    report = render(made_up_findings(), Beside(counted.num_items, chooser.chosen()))["report.html"]
    write_text(folder / "report.html", report)
    print(f"report.html: {len(report) / 1e6:.2f} MB, {len(chooser.chosen())} telling items")


def opened(page: Page, what: str, url: str, wanted: str, at: str) -> None:
    """Seconds from asking for a page to what is wanted on it, in a fresh document each time."""
    seconds = []
    for _ in range(ROUNDS):
        page.goto("about:blank")
        started = time.perf_counter()
        page.goto(url)
        page.wait_for_function(
            "([at, wanted]) => document.querySelector(at)?.textContent.includes(wanted)", arg=[at, wanted]
        )
        seconds.append(time.perf_counter() - started)
    print(f"{what}: {statistics.median(seconds):.2f} s (least {min(seconds):.2f}, most {max(seconds):.2f})")


def main() -> None:
    num_items = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        written(folder, num_items)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        page = browser.new_page()
        items, last = (folder / "items.html").as_uri(), num_items // NUM_BENCHMARKS - 1
        opened(page, "report.html", (folder / "report.html").as_uri(), "Drawn by epigone", "footer")
        opened(page, "items.html", items, f"of {num_items:,}", "#status")
        opened(page, "two filters", f"{items}#is=0:B&is=1:S", "Items 1 to 10", "#status")
        opened(page, "the last item", f"{items}#benchmark=b4&item={last}", f"b4-{last}", "article:focus h2")
        browser.close()


main()
