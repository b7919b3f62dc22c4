"""`epigone show --web`: a report, or the items of a scores artifact, in a browser on this machine.

In: a folder with report.html or items.html, or a `scores/` artifact. Out: a server on the loopback interface that reads
files of that one folder and nothing else, until it is stopped. It answers GET alone, to this machine's own names alone
(a page elsewhere cannot have its name point here), and lets pages load what lies beside them alone.
"""

import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import uvicorn
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from epigone.commands.listening import listening_at
from epigone.commands.show_scores import is_scores
from epigone.errors import SpecError
from epigone.records import Score
from epigone.reporting.items.files import files
from epigone.reporting.items.rows import PAGE, AnsweredItem, BenchmarkItems, Said, StudyItems, Who, outcome_of
from epigone.store import decode, read_summary, write_text

TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
    ".png": "image/png", ".csv": "text/csv; charset=utf-8", ".md": "text/plain; charset=utf-8",
    ".tex": "text/plain; charset=utf-8", ".json": "application/json",
}  # fmt: skip
"""What is served, by the end of its name; nothing else is."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
HOSTS = ("127.0.0.1", "localhost")
PAGES = ("report.html", PAGE)
MAIN_METRICS = ("exact_match", "accuracy", "contains_answer", "pass_at_1", "non_toxic")
"""Which metric says right or wrong: the first that a score has, else its first."""


def show_web(folder: Path, port: int) -> None:
    """Serve until Ctrl-C; the address is told on standard error. Port 0 is any free one.

    Raises SpecError for a folder that holds no pages and no scores, and for a port that is taken.
    """
    with ExitStack() as stack:
        if not any((folder / page).is_file() for page in PAGES):
            if not is_scores(folder):
                raise SpecError(f"{folder} has neither {' nor '.join(PAGES)}, and holds no scores: there is no page")
            made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="epigone-items-")))
            for name, content in files(items_of(folder)):
                write_text(made / name, content)
            folder = made
        listening = stack.enter_context(listening_at("127.0.0.1", port))
        page = next(page for page in PAGES if (folder / page).is_file())
        sys.stderr.write(f"http://127.0.0.1:{listening.getsockname()[1]}/{page} (Ctrl-C ends it)\n")
        sys.stderr.flush()
        config = uvicorn.Config(pages_of(folder), log_level="warning", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])


def pages_of(folder: Path) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The server's application: the files of one folder."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            target = scope.get("raw_path") or scope["path"].encode()
            await answer_to(folder, scope["method"], host, target.decode("latin-1"))(scope, receive, send)

    return answer


def answer_to(folder: Path, method: str, host: str, target: str) -> Response:
    """The answer to one request."""
    if method != "GET":
        return PlainTextResponse("only GET\n", HTTPStatus.METHOD_NOT_ALLOWED, HEADERS | {"Allow": "GET"})
    if re.sub(r":\d+$", "", host) not in HOSTS:
        return PlainTextResponse("this server has no such name\n", HTTPStatus.MISDIRECTED_REQUEST, HEADERS)
    found = file_of(folder, target)
    if found is None:
        return PlainTextResponse("there is no such file\n", HTTPStatus.NOT_FOUND, HEADERS)
    return Response(found.read_bytes(), HTTPStatus.OK, HEADERS | {"Content-Type": TYPES[found.suffix]})


def file_of(folder: Path, target: str) -> Path | None:
    """The file that a request's target names; None where it names none, or one that does not lie in the folder."""
    path = unquote(target.partition("?")[0])
    parts = path.split("/")[1:]
    if not path.startswith("/") or ".." in parts or "\\" in path or not path.isprintable():
        return None
    root = folder.resolve()
    found = root.joinpath(*filter(None, parts)).resolve()  # a link leads where it leads
    if found == root:
        found = next((root / page for page in PAGES if (root / page).is_file()), root)
    return found if found.is_relative_to(root) and found.is_file() and found.suffix in TYPES else None


def items_of(folder: Path) -> StudyItems:
    """The items of a `scores/` artifact, of one model, read one by one."""
    name, artifact = (
        folder.resolve().name.rpartition("--")[0],
        f"{folder.resolve().parent.name}/{folder.resolve().name}",
    )
    protocol = str(read_summary(folder)["protocol"])

    def items() -> Iterator[AnsweredItem]:
        with (folder / "records.jsonl").open(encoding="utf-8") as handle:
            for line in handle:
                score = cast(Score, decode(Score, json.loads(line)))
                main = next((m for m in (*MAIN_METRICS, *score.metrics) if m in score.metrics), "")
                outcome = outcome_of(score.metrics.get(main))
                said = Said(name, score.reply, outcome, score.parsed, score.metrics)
                yield AnsweredItem(score.item_id, score.prompt, (said,), score.group)

    scored = BenchmarkItems(name, name, items, artifacts={name: (artifact,)}, protocols={name: protocol})
    return StudyItems(name, artifact, (Who(name, "student", name),), (scored,))
