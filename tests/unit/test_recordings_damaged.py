"""Every reader on damaged files: an error that says what is wrong, or every row accounted for; never a traceback."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings_cases import CASES, FILES, LM_EVAL, Case

from epigone import discover
from epigone.errors import DataError, EpigoneError
from epigone.records import Drop, Generation, Judgment, ScoreSheet
from epigone.rows import identity

RESULTS = json.loads(next(LM_EVAL.glob("results*")).read_text())
LOG = json.loads((FILES / "quiz.json").read_text())
LIST = b"CHATGPT\nVICUNA13B\n\nTIE\nCHATGPT\n"
DOCUMENTS = {
    ("scores", "lm_eval_results", "results.json"): next(LM_EVAL.glob("results*")).read_bytes(),
    ("scores", "inspect_log", "quiz.json"): (FILES / "quiz.json").read_bytes(),
    ("scores", "inspect_log", "quiz.eval"): (FILES / "quiz.eval").read_bytes(),
    ("scores", "inspect_log", "quiz_zstd.eval"): (FILES / "quiz_zstd.eval").read_bytes(),
    ("judgments", "verdict_list", "review_gpt35_vicuna-13b_human.txt"): LIST,
}
ALL = [*(((c.kind, c.format, c.name), c.data) for c in CASES), *DOCUMENTS.items()]
JUNK = [None, True, 0, 1, 2, -1, 1e308, 10**400, float("nan"), float("inf"), 2.5, "", " ", "\ud83d", "9 8", "tie", "a"]
JUNK += [[], {}, [None], {"a": None}, [[1]], [1, 2], ["m"], {"value": {"k": "C"}}, [{"turns": [1]}], "model_1", "nan"]
VERDICTS = {"a", "b", "c", "tie", "equal", "same", "both", "neither", "draw", "model_a", "model_b"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings") / "some" / "where" / "deep"


def outcome(folder: Path, of: tuple[str, str, str], data: bytes) -> list | None:
    """What the reader gives, each row once; None where it says that the file is of no use."""
    kind, name, file_name = of
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name
    path.write_bytes(data)
    component = discover.make(f"recordings.{kind}", name, {})
    assert component.fits(path) in (True, False)
    try:
        found = list(component.read(path))
    except EpigoneError as error:
        assert str(error).encode() and file_name in str(error)
        return None
    for row in found:
        assert isinstance(row, Drop | {"answers": Generation, "judgments": Judgment, "scores": ScoreSheet}[kind])
        json.dumps(dataclasses.asdict(row), ensure_ascii=False, allow_nan=False).encode()
    return found


def num_told(found: list) -> int:
    """Rows accounted for: records, Drops, and the items of sheets."""
    return sum(len(row.scores) if isinstance(row, ScoreSheet) and row.scores else 1 for row in found)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(found) - 1)))
        what = draw(st.sampled_from(["delete", "replace", "insert", "cut"]))
        new = draw(st.sampled_from([b'"', b"{", b"]", b"\n", b",", b"\\ud83d", b"\xff", b"\x00", b"NaN", b"\r", b"-"]))
        if what == "cut":
            del found[at:]
        else:
            found[at : at + (what != "insert") * draw(st.integers(1, 5))] = b"" if what == "delete" else new
    return bytes(found)


@st.composite
def junked(draw: st.DrawFn, rows: list[dict]) -> list[dict]:
    """Rows with fields that are missing, renamed or hold something else, some rows twice."""
    rows = [dict(row) for row in rows]
    for _ in range(draw(st.integers(1, 4))):
        row = rows[draw(st.integers(0, len(rows) - 1))]
        if not row:
            continue
        name = draw(st.sampled_from(sorted(row)))
        what = draw(st.sampled_from(["drop", "rename", "junk", "junk", "inner", "twice"]))
        if what == "twice":
            rows.append(dict(row))
        elif what == "inner" and isinstance(row[name], dict | list) and row[name]:
            inner = row[name] = json.loads(json.dumps(row[name]))
            inner[draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))] = junk(draw)
        elif what == "rename":
            row[name + "x"] = row.pop(name)
        elif what == "drop":
            del row[name]
        else:
            row[name] = junk(draw)
    return rows


def junk(draw: st.DrawFn) -> object:
    return draw(st.sampled_from(JUNK))


def num_asked(case: Case, rows: list[dict]) -> int:
    """How many verdicts, answers or scores a file of such rows asks for."""
    if case.format == "fastchat_pairs":
        return 2 * len(rows)
    if case.format == "lm_eval_samples":
        return sum(max(1, len(metrics_of(row))) for row in rows)
    if case.format == "mechanical_turk":
        columns = {name for row in rows for name in row if name.startswith("Answer.")}
        said = {name: [str(r[name]).strip().lower() for r in rows if str(r.get(name, "")).strip()] for name in columns}
        return len(rows) * sum(2 * sum(v in VERDICTS for v in values) > len(values) for values in said.values())
    return len(rows)


def metrics_of(row: dict) -> set[str]:
    listed = row.get("metrics")
    if isinstance(listed, list):
        return {name for name in listed if isinstance(name, str) and name}
    known = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
    numbers = {name: value for name, value in row.items() if isinstance(value, int | float) and name not in known}
    return {name for name, value in numbers.items() if abs(value) <= 1.7e308}


@pytest.mark.parametrize(("of", "data"), ALL, ids=["/".join(of) for of, _ in ALL])
def test_damaged_bytes_never_break_a_reader(of: tuple[str, str, str], data: bytes, folder: Path) -> None:
    @settings(max_examples=60)
    @given(damaged(data))
    def check(broken: bytes) -> None:
        outcome(folder, of, broken)

    assert outcome(folder, of, data) is not None or "zstd" in of[2]
    check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}/{case.format}/{case.name}")
def test_every_row_is_accounted_for(case: Case, folder: Path) -> None:
    of = (case.kind, case.format, case.name)

    @settings(max_examples=120)
    @given(junked(case.rows))
    def check(rows: list[dict]) -> None:
        found = outcome(folder, of, case.write(rows))
        assert found is None or num_told(found) == num_asked(case, rows)

    found = outcome(folder, of, case.data)
    assert found is not None and num_told(found) == num_asked(case, case.rows)
    check()


@settings(max_examples=120)
@given(st.lists(st.sampled_from(["CHATGPT", "VICUNA13B", "TIE", "", "?", "both", "vicuna-13b"]), min_size=1))
def test_every_line_of_a_verdict_list_is_accounted_for(folder: Path, lines: list[str]) -> None:
    of = ("judgments", "verdict_list", "review_gpt35_vicuna-13b_human.txt")
    found = outcome(folder, of, "\n".join(lines).encode())
    assert found is None or len(found) == max(1, len("\n".join(lines).rstrip().split("\n")))


@settings(max_examples=150)
@given(junked(list(RESULTS["results"].values())), junked([RESULTS]))
def test_every_aggregate_is_accounted_for(folder: Path, tasks: list[dict], documents: list[dict]) -> None:
    for results in ({f"task{i}": values for i, values in enumerate(tasks)}, documents[0].get("results")):
        document = documents[0] | {"results": results}
        found = outcome(folder, ("scores", "lm_eval_results", "results.json"), json.dumps(document).encode())
        if found is not None:
            values = [v if isinstance(v, dict) else {} for v in results.values()]
            keys = [[key for key in v if "," in key and "_stderr," not in key] for v in values]
            assert len(found) == sum(max(1, len(k)) for k in keys)


@settings(max_examples=200)
@given(st.data())
@pytest.mark.parametrize("packed", [False, True])
def test_every_sample_of_a_log_is_accounted_for(folder: Path, packed: bool, data: st.DataObject) -> None:
    samples = data.draw(junked(LOG["samples"][3:8]))
    scored = [s for s in samples if isinstance(s.get("scores"), dict) and s["scores"]]
    if scored:
        target = data.draw(st.sampled_from(scored))
        target["scores"] = data.draw(junked([target["scores"]]))[0]
    log = LOG | {"samples": samples}
    name = "quiz.eval" if packed else "quiz.json"
    found = outcome(folder, ("scores", "inspect_log", name), zipped(log) if packed else json.dumps(log).encode())
    assert found is None or num_told(found) == num_scores(samples)


def zipped(log: dict) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({name: v for name, v in log.items() if name != "samples"}))
        for place, sample in enumerate(log["samples"]):
            archive.writestr(f"samples/{place}_epoch_1.json", json.dumps(sample))
    return content.getvalue()


def num_scores(samples: list[dict]) -> int:
    """A Drop for each sample that failed or comes twice; of the others one score or Drop a scorer there is."""
    told, seen, kept = 0, set(), []
    for place, sample in enumerate(samples):
        item = (identity(sample.get("id")) or place, identity(sample.get("epoch", 1)) or "?")
        scores = sample.get("scores")
        if sample.get("error") is not None or not isinstance(scores, dict) or not scores or item in seen:
            told += 1
        else:
            kept.append(values_of(scores))
        seen.add(item)
    names = {name for values in kept for name in values}
    filled = {name for values in kept for name in values if is_score(values[name])}
    return told + sum(name in values or name in filled for values in kept for name in names)


def values_of(scores: dict) -> dict[str, object]:
    values = {}
    for scorer, score in scores.items():
        value = score.get("value") if isinstance(score, dict) else None
        values |= (
            {f"{scorer}/{k}": v for k, v in value.items()} if isinstance(value, dict) and value else {scorer: value}
        )
    return values


def is_score(value: object) -> bool:
    return (
        value in ("C", "I", "P", "N")
        if isinstance(value, str)
        else isinstance(value, int | float) and abs(value) < 1.7e308
    )


@pytest.mark.parametrize("case", [c for c in CASES if ".json" in c.name], ids=lambda c: f"{c.format}/{c.name}")
@pytest.mark.parametrize("depth", [200, 100_000])
def test_deep_nesting_is_no_traceback(case: Case, depth: int, folder: Path) -> None:
    for name in case.rows[0]:
        text = case.write([case.rows[0] | {name: "DEEP"}, {"\ud83d": 1}])
        text = text.replace(b'"DEEP"', b"[" * depth + b"]" * depth)
        found = outcome(folder, (case.kind, case.format, case.name), text)
        assert (found is None) == (depth > 1000)


def test_a_zip_bomb_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bomb.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("samples/1_epoch_1.json", "{}")
    data = path.read_bytes()
    start = data.rindex(b"PK\x01\x02")
    path.write_bytes(data[: start + 24] + (2**31 + 5).to_bytes(4, "little") + data[start + 28 :])
    with pytest.raises(DataError, match="2 GiB"):
        list(discover.make("recordings.scores", "inspect_log", {}).read(path))
