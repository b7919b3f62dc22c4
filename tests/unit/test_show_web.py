"""`show --web`: the files of one folder to this machine, by GET, and nothing else."""

import asyncio
import json
from pathlib import Path

import pytest

from epigone.commands.show_web import answer_to, file_of, items_of, pages_of, show_web
from epigone.errors import SpecError
from epigone.records import Score
from epigone.reporting.items.files import files
from epigone.store import write_json, write_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    report = tmp_path / "report"
    (report / "items").mkdir(parents=True)
    for name in ("report.html", "items.html", "items/00000.js", "DONE", "records.parquet", "a b.csv"):
        (report / name).write_text(name)
    (tmp_path / "secret.html").write_text("secret")
    (report / "out.html").symlink_to(tmp_path / "secret.html")
    (report / "in.html").symlink_to(report / "items.html")
    (tmp_path / "report-2").mkdir()
    (tmp_path / "report-2" / "report.html").write_text("beside")
    return report


SERVED = {
    "/": "report.html",
    "/items/00000.js?v=1": "items/00000.js",
    "/a%20b.csv": "a b.csv",
    "/in.html": "items.html",
    "//items.html": "items.html",
}
REFUSED = (
    "/../secret.html", "/items/../../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html",
    "/items/%2e%2e%2f%2e%2e/secret.html", "/..\\secret.html", "/%5c..%5csecret.html", "/out.html",
    "/../report-2/report.html", "secret.html", "/report.html%00.js", "/items", "/DONE", "/records.parquet",
    "/nothing.html", "http://elsewhere/report.html", "",
)  # fmt: skip


@pytest.mark.parametrize(("target", "name"), SERVED.items())
def test_what_lies_in_the_folder_is_served(folder: Path, target: str, name: str):
    assert file_of(folder, target) == folder / name


@pytest.mark.parametrize("target", REFUSED)
def test_nothing_else_is(folder: Path, target: str):
    assert file_of(folder, target) is None
    assert answer_to(folder, "GET", "127.0.0.1:80", target).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get"])
def test_only_get_is_answered(folder: Path, method: str):
    answer = answer_to(folder, method, "127.0.0.1:80", "/report.html")
    assert answer.status_code == 405 and answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:81", 200), ("127.0.0.1", 200), ("evil.example:80", 421), ("", 421)]
)
def test_a_page_elsewhere_cannot_call_this_machine_by_its_own_name(folder: Path, host: str, status: int):
    assert answer_to(folder, "GET", host, "/report.html").status_code == status


def test_over_the_wire_a_page_may_load_what_lies_beside_it_alone(folder: Path):
    sent: list[dict] = []

    async def asked() -> None:
        scope = {"type": "http", "method": "GET", "path": "/items/00000.js", "raw_path": b"/items/00000.js",
                 "headers": [(b"host", b"127.0.0.1:9")]}  # fmt: skip

        async def send(message: dict) -> None:
            sent.append(message)

        await pages_of(folder)(scope, None, send)

    asyncio.run(asked())
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert sent[0]["status"] == 200 and sent[1]["body"] == b"items/00000.js"
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")


def test_the_items_of_a_scores_artifact_become_pages(tmp_path: Path):
    scores = tmp_path / "scores" / "m-nq--01234567"
    rows = [Score(f"i{n}", {"abstained": 0.0, "exact_match": float(n)}, f"Q{n}", f"A{n}") for n in range(2)]
    write_records(scores / "records.jsonl", rows)
    write_json(scores / "summary.json", {"protocol": "p--1", "num_items": 2})
    made = dict(files(items_of(scores)))
    index = json.loads(made["items/index.js"].removeprefix("epigoneIndex(").removesuffix(");\n"))
    assert index["benchmarks"][0]["outcomes"] == ["01"]
    assert index["benchmarks"][0]["sources"][0]["artifacts"] == ["scores/m-nq--01234567"]


def test_a_folder_without_pages_or_scores_is_refused(tmp_path: Path):
    with pytest.raises(SpecError, match=r"neither report\.html nor items\.html"):
        show_web(tmp_path, 0)
