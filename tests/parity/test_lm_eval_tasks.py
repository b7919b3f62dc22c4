"""Tasks of lm-evaluation-harness over local files of their own layout: gsm8k, ifeval, truthfulqa and one of bbh.

What our `harness` scores is, item by item and metric by metric, what its own evaluation gives for the same replies.
The rows are made here, in the fields of the published data sets.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from epigone.benchmarks.harness import Harness
from epigone.records import Completion, Likelihood, Prompt, SamplingParams

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-evaluation-harness and what it brings warn as they load

SUMS = [
    {"question": f"Ann has {n} pens and buys {n + 2}. How many?", "answer": f"She has {n}+{n + 2}. #### {2 * n + 2}"}
    for n in range(3, 12)
]
INSTRUCTIONS = [
    ("punctuation:no_comma", {}, "Say hello without commas.", "Hello there, friend"),
    ("punctuation:no_comma", {}, "Say goodbye without commas.", "Bye then"),
    (
        "length_constraints:number_words",
        {"relation": "at least", "num_words": 5},
        "Say five words.",
        "One two three four five six",
    ),
    ("change_case:english_lowercase", {}, "All in lower case.", "this is all in lower case and in english"),
    ("detectable_format:json_format", {}, "Give JSON.", "```json\n{}\n```"),
    ("startend:end_checker", {"end_phrase": "Done."}, "End with Done.", "It is so. Done."),
]
LAYOUTS = {
    "gsm8k": {"test": SUMS[5:], "train": SUMS[:5]},
    "ifeval": {
        "train": [
            {"key": key, "prompt": prompt, "instruction_id_list": [kind], "kwargs": [options]}
            for key, (kind, options, prompt, _) in enumerate(INSTRUCTIONS)
        ]
    },
    "truthfulqa_mc1": {
        "validation": [
            {
                "question": f"What is {n}?",
                "mc1_targets": {"choices": ["A number.", f"{n} is a bird.", "Nobody knows."], "labels": [1, 0, 0]},
            }
            for n in range(4)
        ]
    },
    "bbh_zeroshot_boolean_expressions": {
        "test": [{"input": f"not ( {value} ) is", "target": str(not value)} for value in (True, False, True, False)]
    },
}
FOLDERS = {"truthfulqa_mc1": "truthfulqa", "bbh_zeroshot_boolean_expressions": "bbh/zeroshot"}


@dataclass
class Scripted:
    """Answers by what is asked, some of it wrong."""

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [Completion(self._reply(prompt.text), 1, "stop") for prompt in prompts]

    def loglikelihood(self, requests: Sequence[tuple[Prompt, str]]) -> list[Likelihood]:
        return [Likelihood(self._likes(prompt.text) * len(said), 1) for prompt, said in requests]

    def _likes(self, asked: str) -> float:
        """Short replies to odd numbers, long ones to even numbers."""
        return -1.0 if int(re.findall(r"What is (\d+)", asked)[-1]) % 2 else 1.0

    def _reply(self, asked: str) -> str:
        for _, _, prompt, reply in INSTRUCTIONS:
            if asked == prompt:
                return reply
        if found := re.findall(r"has (\d+) pens and buys (\d+)", asked):
            first, second = map(int, found[-1])
            return f" That is {first + second}.\n#### {first + second}" if first % 3 else f" {first + second + 1}"
        return "False" if "True" in asked.splitlines()[-2] else "It is True, I think"


@pytest.mark.parametrize("name", LAYOUTS)
def test_scores_are_theirs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm_eval = pytest.importorskip(
        "lm_eval", reason="lm-evaluation-harness is not installed: pip install 'epigone[harness]'"
    )
    if name == "ifeval":
        pytest.importorskip("langdetect", reason="pip install 'epigone[harness]'")
        monkeypatch.setattr("nltk.download", lambda *_: False)  # sentences are not counted here
    from lm_eval.api.model import LM
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    from epigone.harness_model import HarnessModel

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for split, rows in LAYOUTS[name].items():
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stock = Path(lm_eval.__file__).parent / "tasks" / FOLDERS.get(name, name)
    bench = Harness(name, include_path=stock, data_folder=tmp_path)
    scores = bench.run(Scripted())
    listing = TaskManager(include_path=str(stock), include_defaults=False)
    built = bench._built(listing, name, {})
    model = type("Ours", (HarnessModel, LM), {})(Scripted())
    theirs = simple_evaluate(model, tasks=[built], bootstrap_iters=0, task_manager=listing)
    samples = theirs["samples"][name]
    filters = sorted({sample["filter"] for sample in samples})
    assert len(scores) * len(filters) == len(samples)
    for sample in samples:
        score, marks = scores[sample["doc_id"]], sample["metrics"]
        suffix = f"@{sample['filter']}" if len(filters) > 1 else ""
        assert score.prompt == sample["arguments"][0][0]
        for metric in marks:
            told = sample[metric]
            expected = sum(told) / len(told) if isinstance(told, list) else float(told)
            assert score.metrics[f"{metric}{suffix}"] == pytest.approx(expected), metric
    first = next(iter(scores[0].metrics))
    assert 0 < sum(score.metrics[first] for score in scores) < len(scores)  # some are right and some wrong
