"""HumanEval: prompts, parsing and pass@k; on the published file every canonical solution passes, every mutant fails."""

import ast
import gzip
import itertools
import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.backends.canned import Canned
from epigone.benchmarks.humaneval import HumanEval, function_in
from epigone.errors import DataError, SpecError, WorkError
from epigone.metrics.pass_at_k import pass_at_k
from epigone.records import Completion, Sample, Score
from epigone.sandbox import Sandbox, isolation
from epigone.store import read_records, write_records

ADD = {
    "task_id": "T/0",
    "prompt": 'from typing import List\n\ndef half(x):\n    return x / 2\n\ndef add(x: List[int]):\n    """Sum."""\n',
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate([1, 2]) == 6 * half(1)\n    assert candidate([]) == 0\n",
}


def written(path: Path, *rows: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def isolated() -> None:
    try:
        Sandbox().found  # noqa: B018
    except WorkError as error:
        pytest.skip(str(error))


@pytest.fixture
def add(tmp_path: Path) -> HumanEval:
    return HumanEval(written(tmp_path / "add.jsonl", ADD))


class Drawn:
    """A model whose samples differ: the reply by the seed."""

    def __init__(self, *replies: str) -> None:
        self.replies = replies
        self.asked = []

    def generate(self, prompts, sampling) -> list[Completion]:
        self.asked.append(sampling)
        return [Completion(self.replies[sampling.seed % len(self.replies)], 1, "stop") for _ in prompts]


def test_completion(add: HumanEval, isolated: None) -> None:
    """The prompt as it is; the reply ends at a stop, whether the model knows stops or not."""
    model = Drawn("    return sum(x)\n\nprint(add([1]))\nraise SystemExit")
    [score] = add.run(model)
    assert score.metrics["pass_at_1"] == 1.0
    assert score.prompt == ADD["prompt"]
    assert score.parsed == ADD["prompt"] + "    return sum(x)\n"
    assert score.samples == (Sample(score.reply, score.parsed, "passed"),)
    assert model.asked[0].stop == ("\nclass", "\ndef", "\n#", "\nif", "\nprint") and model.asked[0].max_tokens == 512


def test_chat_and_reasons(tmp_path: Path, isolated: None) -> None:
    """The block keeps its imports, and has those of the prompt; samples are drawn apart and counted by reason."""
    good = "Sure.\n```python\nimport math\ndef add(x: List[int]):\n    return math.floor(sum(x))\n```\nDone."
    replies = (good, "I cannot.", "```\ndef add(x): return half(0)\n```", "```py\ndef add(x): return [][0]\n```", good)
    path = written(tmp_path / "add.jsonl", ADD)
    chat = HumanEval(path, chat=True, num_samples=5, k=(1, 2, 5), temperature=0.8, seed=10)
    model = Drawn(*replies)
    [score] = chat.run(model)
    assert [sampling.seed for sampling in model.asked] == [10, 11, 12, 13, 14]
    assert [sample.reason for sample in score.samples] == ["passed", "no_program", "wrong", "error", "passed"]
    assert score.samples[3].detail == "IndexError: list index out of range"
    rest = {"wrong": 0.2, "error": 0.2, "timeout": 0.0, "memory": 0.0, "refused": 0.0, "no_program": 0.2}
    assert score.metrics == pytest.approx({"pass_at_1": 0.4, "pass_at_2": 0.7, "pass_at_5": 1.0} | rest)
    assert "```python\nfrom typing import List" in score.prompt and score.reply == good
    write_records(tmp_path / "records.jsonl", [score])
    assert read_records(tmp_path / "records.jsonl", Score) == [score]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("```\ndef f(x): return 1\n```\n```\ndef f(x): return 2\n```\n```\nf(3)\n```", "def f(x): return 2\n"),
        (
            "1. Here:\n   ```python\n   import re\n   def f(x):\n       return 1\n   ```",
            "import re\ndef f(x):\n    return 1\n",
        ),
        ("~~~py\nf = len\n~~~", "f = len\n"),
        ("```python\ndef f(x):\n    return 1", "def f(x):\n    return 1"),
        ("def f(x):\n    return 1\n", "def f(x):\n    return 1\n"),
        ("```python\ndef other(x): return f(x)\n```", None),
        ("def f(x) is easy.", None),
        ("````md\n```\ndef f(x): return 1\n```\n````", "```\ndef f(x): return 1\n```\n"),
        ("", None),
    ],
)
def test_function_in(reply: str, found: str | None) -> None:
    assert function_in(reply, "f") == found


@given(st.integers(1, 8), st.integers(0, 8), st.integers(1, 8))
def test_pass_at_k_is_the_share_of_all_draws(num_samples: int, num_passed: int, k: int) -> None:
    if k > num_samples or num_passed > num_samples:
        with pytest.raises(SpecError):
            pass_at_k(num_samples, num_passed, k)
        return
    draws = list(itertools.combinations(range(num_samples), k))
    share = sum(any(one < num_passed for one in draw) for draw in draws) / len(draws)
    assert math.isclose(pass_at_k(num_samples, num_passed, k), share, abs_tol=1e-12)


def test_protocols_and_bad_input(add: HumanEval, tmp_path: Path) -> None:
    others = (HumanEval(add.path, chat=True), HumanEval(add.path, timeout_seconds=4), HumanEval(add.path, max_tokens=9))
    assert len({add.protocol, *(other.protocol for other in others)}) == 4
    assert add.protocol == HumanEval("elsewhere").protocol and add.protocol.startswith("humaneval-completion--")
    with pytest.raises(SpecError, match=r"each k is 1 to num_samples"):
        HumanEval("p", k=(2,))
    with pytest.raises(SpecError, match="3 greedy samples are one sample"):
        HumanEval("p", num_samples=3)
    without = {name: value for name, value in ADD.items() if name != "test"}
    with pytest.raises(DataError, match=r"row 2: field 'test' is missing"):
        HumanEval(written(tmp_path / "bad.jsonl", ADD, without)).items()


def test_without_isolation_no_model_is_asked(add: HumanEval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation.sys, "platform", "win32")
    model = Drawn("")
    with pytest.raises(WorkError, match="not measured: no isolation"):
        add.run(model)
    assert model.asked == []


# -- the published file ----------------------------------------------------------------------------------------------
def published(data_root: Path) -> list[dict[str, str]]:
    with gzip.open(data_root / "humaneval" / "HumanEval.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def answering(rows: list[dict[str, str]], benchmark: HumanEval, solutions: dict[str, str]) -> Canned:
    """A model that says the solution of each problem, in chat form with words around it."""
    replies = {}
    for row, item in zip(rows, benchmark.items(), strict=True):
        solution = solutions[row["task_id"]]
        fenced = f"This is how:\n\n```python\n{row['prompt']}{solution}\n```\nCall `{row['entry_point']}`."
        prompt = benchmark.prompt(item)
        replies[prompt.text or prompt.messages[-1].content] = fenced if benchmark.chat else solution
    return Canned(replies)


@pytest.mark.parametrize(
    ("chat", "limit"),
    [(True, 8), pytest.param(False, None, marks=pytest.mark.slow), pytest.param(True, None, marks=pytest.mark.slow)],
)
def test_every_canonical_solution_passes(data_root: Path, isolated: None, chat: bool, limit: int | None) -> None:
    rows = published(data_root)[:limit]
    path = data_root / "humaneval" / "HumanEval.jsonl.gz"
    benchmark = HumanEval(path, chat=chat, max_tokens=10**6, limit=limit)
    model = answering(rows, benchmark, {row["task_id"]: row["canonical_solution"] for row in rows})
    scores = benchmark.run(model)
    assert len(scores) == (limit or 164)
    assert [(score.item_id, score.samples[0].detail) for score in scores if score.metrics["pass_at_1"] != 1] == []


@pytest.mark.slow
def test_every_mutant_fails(data_root: Path, isolated: None) -> None:
    """One change of meaning to each canonical solution, that runs and answers one of the check's calls otherwise."""
    rows = published(data_root)
    benchmark = HumanEval(data_root / "humaneval" / "HumanEval.jsonl.gz", max_tokens=10**6)
    scores = benchmark.run(answering(rows, benchmark, {row["task_id"]: mutant(row) for row in rows}))
    assert [score.item_id for score in scores if score.metrics["pass_at_1"] != 0] == []
    assert {score.samples[0].reason for score in scores} == {"wrong"}


def mutant(row: dict[str, str]) -> str:
    """The first changed body that runs on every call of the check and gives another answer to one of them."""
    calls, expected = calls_of(row)
    for body in bodies(row):
        try:
            answers = within_a_second(lambda body=body: answered(row, body, calls))
        except Exception:
            continue  # it does not run
        if any(differ(row, *each) for each in zip(calls, answers, expected, strict=True)):
            return body
    raise AssertionError(f"no mutant of {row['task_id']}")


def differ(row: dict[str, str], call: str, one: object, other: object) -> bool:
    """Whether two answers are told apart by more than any check forgives. A root is as good as another root."""
    if row["entry_point"] == "find_zero":
        one, other = (run_source(row["prompt"])["poly"](*ast.literal_eval(call), answer) for answer in (one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > 1e-2
    return one != other


def calls_of(row: dict[str, str]) -> tuple[list[str], list[object]]:
    """What the check asks the canonical solution, as text so that nothing is changed in place, and what it answers."""
    names = run_source(row["prompt"] + row["canonical_solution"])
    calls, answers = [], []

    def watched(*args: object) -> object:
        calls.append(repr(args))
        answers.append(names[row["entry_point"]](*args))
        return answers[-1]

    tests = names | run_source(row["prompt"] + row["canonical_solution"] + "\n" + row["test"])
    tests["check"](watched)
    return calls, answers


def answered(row: dict[str, str], body: str, calls: list[str]) -> list[object]:
    function = run_source(row["prompt"] + body)[row["entry_point"]]
    return [function(*ast.literal_eval(call)) for call in calls]


def run_source(source: str) -> dict:
    names = {}
    exec(compile(source, "program", "exec"), names)
    return names


def within_a_second(work):
    def stop(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def bodies(row: dict[str, str]) -> Iterator[str]:
    """The function's body with one change each: a comparison, an operator, a constant, a returned value."""
    whole = ast.parse(row["prompt"] + row["canonical_solution"])
    function = next(node for node in ast.walk(whole) if getattr(node, "name", "") == row["entry_point"])
    _, *body = function.body
    places = [node for statement in body for node in ast.walk(statement)]
    for place in range(len(places)):
        for change in range(2):
            copied = ast.parse(ast.unparse(ast.Module(body, [])))
            node = [node for statement in copied.body for node in ast.walk(statement)][place]
            if changed(node, change):
                yield "".join(f"    {line}\n" for line in ast.unparse(copied).splitlines())


COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
            ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv}


def changed(node: ast.AST, change: int) -> bool:
    """Change a node in place, if it is one to be changed in this way."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED and change == 0:
        node.ops[0] = COMPARED[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and change == 0:
        node.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        node.value += 1 - 2 * change
    elif isinstance(node, ast.Return) and node.value is not None:
        source = f"[{ast.unparse(node.value)}, None][{change}:]" if change else f"not ({ast.unparse(node.value)})"
        node.value = ast.parse(source, mode="eval").body
    else:
        return False
    return True
