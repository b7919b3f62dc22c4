"""What the tests of recordings share: a small file of every format, real where there is one, else made up alike."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FILES = Path(__file__).parent / "recordings_files"
LM_EVAL = FILES / "made-up__tiny-student"
NUM_ROWS = 4


def jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def array(rows: list[dict]) -> bytes:
    return json.dumps(rows).encode()


def table(rows: list[dict]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def plain(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()


def read(path: Path) -> list[dict]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8-sig")
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return json.loads(text) if text.lstrip().startswith("[") else [json.loads(x) for x in text.split("\n") if x]


@dataclass(frozen=True)
class Case:
    """A format with rows of it; `write` makes a file of rows, `real` is where published ones lie."""

    kind: str
    format: str
    name: str
    write: Callable[[list[dict]], bytes]
    made_up: list[dict]
    real: str = ""

    @property
    def rows(self) -> list[dict]:
        """The first few rows."""
        root = os.environ.get("EPIGONE_DATA")
        return read(next(Path(root).glob(self.real)))[:NUM_ROWS] if root and self.real else self.made_up

    @property
    def data(self) -> bytes:
        return self.write(self.rows)


def messages(*texts: str) -> list[dict]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


OURS = {"prompt_id": "p", "a": "x", "b": "y", "verdict": "a", "rater": "r", "first": "b", "simulated": False}
MORE = {"panel": "crowd", "is_person": True, "criterion": "c", "share_a": 0.7, "scores": [1, 2.5], "seconds": 3}
KOALA = {"id": "koala_1", "prompt": "Why?", "model_a": "x", "response_a": "So.", "model_b": "y", "response_b": "No.",
         "rating": "a", "first": "b", "rater": "r001", "strength": "", "marks": [], "seconds": 12.5}  # fmt: skip
TURK = {"": "0", "HITId": "h", "AssignmentId": "s1", "WorkerId": "w", "AssignmentStatus": "Approved"}
TURK |= {"WorkTimeInSeconds": "83", "Input.sentprefix": "Once\nupon", "Input.sourcea": "GPT-2", "Input.sourceb": "D"}
TURK |= {"Answer.commentbox": "{}", "Answer.qFluent": "a", "Answer.qTopic": "c"}

CASES = [
    Case(
        "answers",
        "alpaca_eval",
        "model_outputs.json",
        array,
        [{"instruction": f"Say {i}", "input": "loud" * (i % 2), "output": f"{i}!", "generator": "m"} for i in range(3)],
        "alpaca_eval/results/alpaca-7b/model_outputs.json",
    ),
    Case(
        "answers",
        "fastchat",
        "answer_gpt35.jsonl",
        jsonl,
        [{"answer_id": f"A{i}", "model_id": "m:1", "question_id": i, "text": f"t {i}"} for i in range(3)],
        "vicuna80/answer/answer_gpt35.jsonl",
    ),
    Case(
        "answers",
        "fastchat",
        "gpt-4.jsonl",
        jsonl,
        [
            {"question_id": i, "answer_id": f"A{i}", "model_id": "m", "choices": [{"index": 0, "turns": ["x", "y"]}]}
            for i in range(3)
        ],
        "fastchat_llm_judge/mt_bench/reference_answer/gpt-4.jsonl",
    ),
    Case(
        "answers",
        "sharegpt",
        "dump.json",
        array,
        [
            {"id": f"c_{i}", "conversations": [{"from": "human", "value": f"q{i}"}, {"from": "gpt", "value": "a"}]}
            for i in range(3)
        ],
        "sharegpt/sharegpt_small.json",
    ),
    Case(
        "answers",
        "messages",
        "chat.jsonl",
        jsonl,
        [{"id": f"m{i}", "messages": messages(f"q{i}", "yes", "sure?", "no")} for i in range(3)],
    ),
    Case(
        "answers",
        "generations",
        "records.jsonl",
        jsonl,
        [
            {"prompt_id": f"p{i}", "messages": messages("q"), "text": "t", "finish_reason": "stop", "model": "m"}
            for i in range(3)
        ],
    ),
    Case(
        "answers",
        "llmfao",
        "results.jsonl",
        jsonl,
        [{"id": i, "model": 7, "result": "r", "prompt": i, "name": "Tiny (7B)", "slug": "s"} for i in range(3)],
        "human_ratings/llmfao/results.jsonl",
    ),
    Case(
        "judgments",
        "fastchat_reviews",
        "review_a_b.jsonl",
        jsonl,
        [
            {
                "review_id": f"R{i}",
                "question_id": i,
                "answer1_id": "A",
                "answer2_id": "B",
                "text": f"9 {7 + i}\nwell",
                "score": [9.0, 7.0 + i],
                "reviewer_id": 1,
            }
            for i in range(3)
        ],
        "vicuna80/review/vicuna-7b_20230322-fp16/review_gpt35_vicuna-7b.jsonl",
    ),
    Case(
        "judgments",
        "fastchat_pairs",
        "gpt-4_pair.jsonl",
        jsonl,
        [
            {
                "question_id": i,
                "model_1": "x",
                "model_2": "y",
                "g1_winner": "model_1",
                "g2_winner": "tie",
                "judge": ["gpt-4", "pair-v2"],
                "turn": 1 + i % 2,
                "tstamp": 1.0,
            }
            for i in range(3)
        ],
    ),
    Case(
        "judgments",
        "alpaca_eval",
        "annotations.json",
        array,
        [
            {
                "instruction": f"Say {i}",
                "output_1": "one",
                "generator_1": "x",
                "output_2": "two",
                "generator_2": "y",
                "annotator": "j",
                "preference": [1, 2.0, 1.5, 1.2, None, 0][i],
            }
            for i in range(6)
        ],
        "alpaca_eval/results/alpaca-7b/alpaca_eval_gpt4/annotations.json.gz",
    ),
    Case(
        "judgments",
        "llmfao",
        "crowd-comparisons.csv",
        table,
        [
            {"id": str(i), "prompt": "8", "worker": "58", "winner": w, "left": "A, B", "right": "C"}
            for i, w in enumerate(("left", "right", "tie"))
        ],
        "human_ratings/llmfao/crowd-comparisons.csv",
    ),
    Case(
        "judgments",
        "mechanical_turk",
        "Batch_results.csv",
        table,
        [TURK, TURK | {"AssignmentId": "s2", "Answer.qFluent": ""}, TURK | {"AssignmentStatus": "Rejected"}],
        "human_ratings/dexperts/sentiment/Batch_*.csv",
    ),
    Case(
        "judgments",
        "koala_eval",
        "ratings.jsonl",
        jsonl,
        [KOALA, KOALA | {"rating": "tie", "seconds": None}, KOALA | {"rating": "b", "first": "a"}],
    ),
    Case("judgments", "ours", "records.jsonl", jsonl, [OURS, OURS | MORE, OURS | {"verdict": "tie"}]),
    Case(
        "scores",
        "lm_eval_samples",
        "samples_tiny_2024-01-01T00-00-00.jsonl",
        jsonl,
        read(next(LM_EVAL.glob("*short*"))),
    ),
]
