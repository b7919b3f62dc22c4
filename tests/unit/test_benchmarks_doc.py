"""What docs/how-to/benchmarks.md says of protocols and prompts is what the benchmarks do."""

import json
import re
from pathlib import Path

import pytest

from epigone.commands import evaluate as evaluate_command
from epigone.component_text import component
from epigone.interfaces import Benchmark
from epigone.stages.evaluate import PORTION_ITEMS

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "benchmarks.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `((?:mmlu|nq)-[a-z0-9-]+)` \| (none|`[^`]+`) \|", PAGE, re.MULTILINE)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The page's made-up rows (and four more), and solved questions."""
    solved = ['"Two, or\nthree?",2,3,None,4,B', *[f"More {n}?,1,2,3,4,C" for n in range(4)]]
    for split, rows in {"dev": solved, "test": ["Largest?,a b,c,d,e,D"]}.items():
        (tmp_path / split).mkdir()
        (tmp_path / split / f"high_school_maths_{split}.csv").write_text("\n".join(rows) + "\n")
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps({"question": f"q{n}", "answer": ["a"]}) + "\n" for n in range(5)))
    return {
        "mmlu": f"mmlu:test_folder={tmp_path / 'test'},dev_folder={tmp_path / 'dev'}",
        "nq": f"natural_questions:path={questions}",
        "FILE": str(questions),
    }


def made(text: str) -> Benchmark:
    first = evaluate_command._first_option(text.partition(":")[0])
    found = component("benchmarks", text, first=first).make(lambda given: Path(given.path))
    assert isinstance(found, Benchmark)
    return found


def test_the_page_names_protocols() -> None:
    assert len(ROWS) == 8


@pytest.mark.parametrize(("id_", "options"), ROWS)
def test_every_id_is_that_of_its_options(files: dict[str, str], id_: str, options: str) -> None:
    more = "" if options == "none" else "," + options.strip("`").replace("FILE", files["FILE"])
    assert made(files[id_.partition("-")[0]] + more).protocol.partition("--")[0] == id_


def test_the_golden_prompt_is_what_is_asked(files: dict[str, str]) -> None:
    (shown,) = re.findall(r"```text\n(The following are.*?)\n```", PAGE, re.DOTALL)
    mmlu = made(files["mmlu"] + ",num_shots=1")
    assert mmlu.prompt(mmlu.items()[0]).text == shown


def test_numbers(data_root: Path) -> None:
    assert f"{PORTION_ITEMS} at a time" in PAGE
    path = data_root / "nq_open" / "NQ-open.dev.first1800.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    count = sum(all("." in answer or "," in answer for answer in row["answer"]) for row in rows)
    assert f"of\nthe first 1,800 questions of the published file, {count} have one in every accepted answer" in PAGE
