"""`epigone report --compare` and `epigone show --web` as a user types them, over real audits and a real socket."""

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from epigone.commands.report import run_report
from epigone.errors import ArtifactError, SpecError
from epigone.spec import Artifact
from epigone.stages.gather import Audited, Gather, Place
from epigone.store import Store

NUM_ITEMS = 200
RIGHT = {"first": {"T": 180, "B": 120, "S": 60}, "second": {"T": 180, "B": 120, "S": 110}}
"""How many of the items each model has right, the first ones of the list, in each audit."""


def epigone(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "epigone", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def answers(path: Path, model: str, text: str) -> Path:
    rows = [{"instruction": f"Tell me of {n}.", "output": text.format(n=n), "generator": model} for n in range(40)]
    path.write_text(json.dumps(rows))
    return path


def samples(folder: Path, model: str, num_right: int) -> Path:
    """lm-evaluation-harness's samples."""
    rows = [
        {"doc_id": n, "doc": {"question": str(n)}, "resps": [["x"]], "filtered_resps": ["x"], "filter": "none"}
        | {"metrics": ["acc"], "acc": float(n < num_right), "prompt_hash": str(n), "doc_hash": str(n)}
        for n in range(NUM_ITEMS)
    ]
    path = folder / model / "samples_mmlu_2026-11-01T00-00-00.000000.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.parent


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two audits of students of one name; the second has more right, and ends with the teacher's summary."""
    folder = tmp_path_factory.mktemp("recorded")
    teacher = answers(folder / "t.json", "T", "Certainly.\n\n1. One of {n}.\n2. Two of {n}.\n\nOverall, {n} is good.")
    base = answers(folder / "b.json", "B", "well {n} yes yes yes and so on")
    found = {}
    for name, right in RIGHT.items():
        end = "\n\nOverall, {n} is fine." if name == "second" else ""
        student = answers(folder / f"{name}.json", "S", "Certainly.\n\n1. Some {n}.\n2. More {n}." + end)
        scores = [samples(folder / name, model, count) for model, count in right.items()]
        done = epigone(
            "audit", "--teacher", teacher, "--base", base, "--student", student, "--scores", *scores,
            "--root", folder / name / "runs", "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[name] = Path(json.loads(done.stdout)["report"]).parent
    return found


def compared(*arguments: str | Path) -> dict:
    """The object of --json."""
    done = epigone("report", "--compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def difference(found: dict, cell: str, metric: str) -> dict:
    (only,) = [d for d in found["differences"] if (d["cell"], d["metric"]) == (cell, metric)]
    return only


def test_two_audits_are_paired_item_by_item(audits: dict[str, Path], tmp_path: Path) -> None:
    found = compared(audits["first"], audits["second"], "--out", tmp_path)
    accuracy = difference(found, "S", "mmlu")
    assert (accuracy["word"], accuracy["is_paired"], accuracy["difference"]["n"]) == ("higher", True, NUM_ITEMS)
    assert accuracy["difference"]["value"] == pytest.approx((110 - 60) / NUM_ITEMS)
    # of 200 items 50 were gained and none lost: a paired interval is narrower than that of two independent shares
    half = (accuracy["difference"]["high"] - accuracy["difference"]["low"]) / 2
    independent = 1.96 * (0.3 * 0.7 / NUM_ITEMS + 0.55 * 0.45 / NUM_ITEMS) ** 0.5
    assert half == pytest.approx(1.96 * (0.25 * 0.75 / NUM_ITEMS) ** 0.5, rel=0.15)
    assert half < 0.75 * independent
    assert difference(found, "B", "mmlu")["difference"]["value"] == 0
    style = difference(found, "S", "style: summary")
    assert (style["first"]["value"], style["second"]["value"], style["word"]) == (0, 1, "higher")
    page = (tmp_path / "report.html").read_text()
    assert "mmlu" in page.lower() and {path.suffix for path in tmp_path.rglob("*")} >= {".html", ".csv", ".md"}


def test_what_was_measured_otherwise_is_not_compared(audits: dict[str, Path], tmp_path: Path) -> None:
    other = answers(tmp_path / "t.json", "T", "Another teacher altogether, of {n}.")
    recorded = audits["first"].parents[3]
    done = epigone(
        "audit", "--teacher", other, "--base", recorded / "b.json", "--student", recorded / "first.json",
        "--root", tmp_path / "runs", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = compared(audits["first"], Path(json.loads(done.stdout)["report"]).parent)
    assert {each["cell"] for each in found["refused"]} == {"T", "B", "S"}
    assert all("the teacher's answers" in each["why"] for each in found["refused"])
    assert not [d for d in found["differences"] if d["metric"].startswith("style")]


def test_two_grids_are_compared_audit_by_audit(audits: dict[str, Path]) -> None:
    grids = []
    for name, audit in audits.items():
        store = Store(audit.parents[1])
        stage = Artifact(f"studies/{audit.name}")
        family = Audited("a base", stage, (Place("a base", "B"), Place("a student", "S")), ())
        grids.append(store.build(Gather("T", name, (family,))))
    found = compared(*grids)
    assert difference(found, "S", "mmlu")["difference"]["value"] == pytest.approx((110 - 60) / NUM_ITEMS)


@pytest.mark.parametrize("given", [("first",), ("first", "second", "first"), ("nowhere", "first"), ("scores", "first")])
def test_anything_but_two_finished_studies_is_refused(audits: dict[str, Path], given: tuple[str, ...]) -> None:
    places = audits | {"nowhere": Path("nowhere"), "scores": next(audits["first"].parents[1].glob("scores/*--*"))}
    with pytest.raises((SpecError, ArtifactError), match=r"takes two studies|no finished study|reads report, audit"):
        run_report([places[name] for name in given], compare=True, out=None, quiet=True)


def test_what_is_refused_is_one_line_and_exit_code_2(audits: dict[str, Path]) -> None:
    done = epigone("report", "--compare", audits["first"])
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1) and done.stderr.startswith("epigone: ")


@pytest.fixture
def served(audits: dict[str, Path]) -> Iterator[tuple[int, str, Path, subprocess.Popen[str]]]:
    """Port, page, folder and process of a report that is served."""
    command = [sys.executable, "-m", "epigone", "show", str(audits["second"]), "--web", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr
    try:
        told = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/(\S+) \(Ctrl-C ends it\)\n", process.stderr.readline())
        assert told
        yield int(told[1]), told[2], audits["second"], process
    finally:
        process.kill()
        process.communicate()


def asked(port: int, target: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """One request over the loopback interface, its target as it is given."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.putrequest(method, target, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_report_is_served_over_a_socket_and_nothing_beside_it(served: tuple) -> None:
    port, page, folder, process = served
    status, body = asked(port, f"/{page}")
    assert (status, body) == (200, (folder / page).read_bytes()) and page == "report.html"
    chunk = next((folder / "items").glob("*.js"))
    assert asked(port, f"/items/{chunk.name}") == (200, chunk.read_bytes())
    for target in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/spec.json", "//etc/passwd", "/DONE", "/items"):
        assert asked(port, target)[0] == 404, target
    assert asked(port, f"/{page}", "POST")[0] == 405
    assert asked(port, f"/{page}", Host="elsewhere.example")[0] == 421
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) in (0, 130)
    with pytest.raises(ConnectionRefusedError):
        asked(port, f"/{page}")


def test_a_port_that_is_taken_is_told_of(served: tuple) -> None:
    port, _, folder, _ = served
    done = epigone("show", folder, "--web", "--port", str(port))
    assert done.returncode == 2 and f"cannot listen on 127.0.0.1:{port}: " in done.stderr
