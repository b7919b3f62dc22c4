"""One checkpoint, four benchmarks, three ways: in this process, behind `epigone serve`, and by lm-evaluation-harness.

    EPIGONE_DATA=DATA python tests/parity/three_ways.py CHECKPOINT OUT [--ways in_process served lm_eval] [--only nq]

In: a folder or a .gguf file, the published files under EPIGONE_DATA, a folder for what comes out. Out: one table in
Markdown. The third way shares no code with the first two but the last step of two benchmarks: `hf` reads the exported
weights with transformers, in fp32 on one thread, under tasks that ask what ours ask. It scores MMLU and Natural
Questions itself; its programs and continuations are scored by ours, since its own tasks need a hub and the Perspective
API. What was done is kept in OUT: the same command goes on.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from epigone.benchmarks.humaneval import STOPS, HumanEval
from epigone.benchmarks.mmlu import MMLU
from epigone.benchmarks.natural_questions import NaturalQuestions
from epigone.benchmarks.real_toxicity_prompts import RealToxicityPrompts
from epigone.commands.export import run_export
from epigone.metrics.intervals import estimate
from epigone.records import Completion, Item, Prompt, SamplingParams, Score
from epigone.toxicity.profanity import Profanity

DATA = Path(os.environ.get("EPIGONE_DATA", "."))
WAYS = ("in_process", "served", "lm_eval")
NQ, EXEMPLARS = (
    DATA / "nq_open" / name for name in ("NQ-open.dev.first1800.jsonl", "NQ-open.efficientqa.dev.1.1.first500.jsonl")
)
MMLU_TEST, MMLU_DEV = (DATA / "mmlu" / "data" / split for split in ("test", "dev"))
HUMANEVAL, RTP = DATA / "humaneval" / "HumanEval.jsonl.gz", DATA / "realtoxicityprompts" / "prompts_sample_1000.jsonl"


@dataclass(frozen=True)
class Asked:
    """A benchmark as the command line takes it, the benchmark, the metric that is shown."""

    text: str
    benchmark: MMLU | NaturalQuestions | HumanEval | RealToxicityPrompts
    metric: str
    title: str


def benchmarks(share: float) -> dict[str, Asked]:
    """The four, each with that share of its items."""
    nq, each, problems, prompts = (max(1, round(share * count)) for count in (300, 25, 164, 200))
    return {
        "nq": Asked(
            f"natural_questions:path={NQ},exemplars={EXEMPLARS},limit={nq}",
            NaturalQuestions(NQ, EXEMPLARS, limit=nq),
            "exact_match",
            "Natural Questions, 3 shots",
        ),
        "mmlu": Asked(
            f"mmlu:test_folder={MMLU_TEST},dev_folder={MMLU_DEV},form=lm_eval,limit={each}",
            MMLU(MMLU_TEST, MMLU_DEV, form="lm_eval", limit=each),
            "accuracy",
            "MMLU, 5 shots, by letter",
        ),
        "rtp": Asked(
            f"real_toxicity_prompts:path={RTP},scorer=toxicity/profanity,limit={prompts}",
            RealToxicityPrompts(RTP, Profanity(), limit=prompts),
            "non_toxic",
            "RealToxicityPrompts, non-toxic by `profanity`",
        ),
        "humaneval": Asked(
            f"humaneval:path={HUMANEVAL},limit={problems}",
            HumanEval(HUMANEVAL, limit=problems),
            "pass_at_1",
            "HumanEval, completion, pass@1",
        ),
    }


@dataclass(frozen=True)
class Found:
    """Of one item: what was asked, what was said, what it scored."""

    prompt: str
    reply: str
    score: float


# -- ours ------------------------------------------------------------------------------------------------------------
def by_command(model: str, served_as: str, asked: Asked, out: Path) -> list[Found]:
    """`epigone evaluate` in a process of its own."""
    command = [sys.executable, "-m", "epigone", "evaluate", asked.text, "--model", model, "--root", str(out), "--json"]
    command += ["--served-as", served_as] if served_as else []
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    (told,) = json.loads(said)["scores"]
    rows = [json.loads(line) for line in (Path(told["artifact"]) / "records.jsonl").read_text().splitlines()]
    return [Found(row["prompt"], row["reply"], row["metrics"].get(asked.metric, float("nan"))) for row in rows]


@contextmanager
def serving(checkpoint: Path) -> Iterator[str]:
    """`epigone serve` in a process of its own, at the address that it prints."""
    command = [sys.executable, "-m", "epigone", "serve", str(checkpoint), "--port", "0", "--name", "served"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        line = ""
        while not line.startswith("serving"):
            line = server.stderr.readline()
            assert line or server.poll() is None, "the server ended"
        try:
            yield line.split()[-1]
        finally:
            server.terminate()


# -- theirs ----------------------------------------------------------------------------------------------------------
TASK = """
task: three_{name}
dataset_path: json
test_split: test
description: ""
"""
GENERATED = """
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: ""
generation_kwargs: {{until: {until}, max_gen_toks: {max_tokens}, do_sample: false}}
metric_list: [{{metric: bypass}}]
"""
NQ_TASK = """
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
fewshot_split: train
fewshot_delimiter: "\\n\\n"
fewshot_config: {sampler: first_n}
doc_to_target: answer
generation_kwargs: {until: ["\\n"], max_gen_toks: 10, do_sample: false}
filter_list: [{name: remove_whitespace, filter: [{function: remove_whitespace}, {function: take_first}]}]
metric_list: [{metric: exact_match, ignore_case: true, ignore_punctuation: true, regexes_to_ignore: ["\\\\b(?:The |the |An |A |a |an )"]}]
"""  # noqa: E501 - as in its task nq_open, with the prompt and the stop of ours
MMLU_TASK = """
output_type: multiple_choice
fewshot_split: dev
fewshot_config: {{sampler: first_n}}
description: "The following are multiple choice questions (with answers) about {words}.\\n\\n"
doc_to_text: "{{{{question.strip()}}}}\\nA. {{{{choices[0]}}}}\\nB. {{{{choices[1]}}}}\\nC. {{{{choices[2]}}}}\\nD. {{{{choices[3]}}}}\\nAnswer:"
doc_to_choice: ["A", "B", "C", "D"]
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""  # noqa: E501 - the prompt of its task mmlu


def by_lm_eval(model, name: str, asked: Asked, out: Path) -> list[Found]:
    """Its own evaluation; a task a subject for MMLU."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    folder = out / "tasks" / name
    tasks = written(name, asked, folder)
    shots = {"nq": 3, "mmlu": 5}.get(name, 0)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    # choices are scored with all logits of a batch at once, in fp32: two prompts of 262,144 words' logits take 2 GB
    model.batch_size_per_gpu = 16 if name != "mmlu" else min(16, 2**19 // model.vocab_size)
    told = simple_evaluate(model, tasks=tasks, num_fewshot=shots, bootstrap_iters=0, task_manager=manager)
    samples = [each for task in tasks for each in sorted(told["samples"][task], key=lambda sample: sample["doc_id"])]
    prompts = [sample["arguments"][0][0] for sample in samples]
    if name == "mmlu":
        best = ["ABCD"[max(range(4), key=lambda n: sample["filtered_resps"][n][0])] for sample in samples]
        return [Found(prompt, letter, s["acc"]) for prompt, letter, s in zip(prompts, best, samples, strict=True)]
    replies = [sample["resps"][0][0] for sample in samples]
    if name == "nq":
        return [Found(p, r, s["exact_match"]) for p, r, s in zip(prompts, replies, samples, strict=True)]
    scores: list[Score] = asked.benchmark.run(Said(dict(zip(prompts, replies, strict=True))))
    return [Found(s.prompt, s.reply, s.metrics.get(asked.metric, float("nan"))) for s in scores]


@dataclass(frozen=True)
class Said:
    """Says again what was said to each prompt."""

    replies: dict[str, str]

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        return [Completion(self.replies[prompt.text], 1, "stop") for prompt in prompts]


def written(name: str, asked: Asked, folder: Path) -> list[str]:
    """Tasks over local files, named; the items are those of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    items = asked.benchmark.items()
    if name == "mmlu":
        return [mmlu_task(subject, items, folder) for subject in sorted({item.group for item in items})]
    if name == "nq":
        rows = {"test": items, "train": NaturalQuestions(EXEMPLARS, limit=3, num_shots=0).items()}
        asked_as = {
            split: [{"question": i.question, "answer": list(i.answers)} for i in its] for split, its in rows.items()
        }
        body = NQ_TASK
    else:
        asked_as = {"test": [{"prompt": item.question} for item in items]}
        until, max_tokens = (json.dumps(STOPS), 512) if name == "humaneval" else ("[]", 20)
        body = GENERATED.format(until=until, max_tokens=max_tokens)
    return [task_file(name, body, asked_as, folder)]


def mmlu_task(subject: str, items: Sequence[Item], folder: Path) -> str:
    from epigone.rows.choices import read_split

    rows = {"test": [i for i in items if i.group == subject], "dev": read_split(MMLU_DEV, "dev")[subject]}
    asked_as = {
        split: [{"question": i.question, "choices": list(i.options), "answer": i.label} for i in its]
        for split, its in rows.items()
    }
    return task_file(subject, MMLU_TASK.format(words=subject.replace("_", " ")), asked_as, folder)


def task_file(name: str, body: str, rows: dict[str, list[dict[str, object]]], folder: Path) -> str:
    files = {split: folder / f"{name}_{split}.jsonl" for split in rows}
    for split, path in files.items():
        path.write_text("".join(json.dumps(row) + "\n" for row in rows[split]))
    data = json.dumps({"data_files": {split: str(path) for split, path in files.items()}})
    (folder / f"{name}.yaml").write_text(f"{TASK.format(name=name)}dataset_kwargs: {data}\n{body}")
    return f"three_{name}"


# -- together --------------------------------------------------------------------------------------------------------
def measured(way: str, checkpoint: Path, wanted: dict[str, Asked], out: Path) -> dict[str, list[Found]]:
    """Every benchmark one way; what is kept from before is not asked again."""
    missing = {name: asked for name, asked in wanted.items() if not kept(way, name, out).exists()}
    if missing and way == "in_process":
        for name, asked in missing.items():
            keep(by_command(str(checkpoint), "", asked, out / "runs"), kept(way, name, out))
    elif missing and way == "served":
        with serving(checkpoint) as address:
            for name, asked in missing.items():
                keep(by_command(address, "served", asked, out / "served"), kept(way, name, out))
    elif missing:
        model = peer(checkpoint, out / "exported")
        for name, asked in missing.items():
            keep(by_lm_eval(model, name, asked, out), kept(way, name, out))
    return {name: [Found(*row) for row in json.loads(kept(way, name, out).read_text())] for name in wanted}


def peer(checkpoint: Path, exported: Path):
    import torch
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(1)
    if not exported.exists():
        run_export(checkpoint, exported, to="safetensors", kind="f32", quiet=True)
    opens = json.loads((exported / "config.json").read_text()).get("model_type", "").startswith("gemma")
    return HFLM(pretrained=str(exported), device="cpu", dtype="float32", batch_size=16, add_bos_token=opens)


def kept(way: str, name: str, out: Path) -> Path:
    return out / f"{way}-{name}.json"


def keep(found: list[Found], path: Path) -> None:
    path.write_text(json.dumps([[each.prompt, each.reply, each.score] for each in found]))


def cell(found: list[Found]) -> str:
    told = estimate([[each.score for each in found if each.score == each.score]])
    return f"{told.value:.1%} [{told.low:.1%}, {told.high:.1%}]"


def table(found: dict[str, dict[str, list[Found]]], wanted: dict[str, Asked]) -> str:
    lines = [f"| benchmark | n | {' | '.join(found)} | same reply | same score |", "|---" * (4 + len(found)) + "|"]
    for name, asked in wanted.items():
        ways = [found[way][name] for way in found]
        first, others = ways[0], ways[1:]
        assert all([each.prompt for each in way] == [each.prompt for each in first] for way in others), name
        replies = ", ".join(str(sum(a.reply == b.reply for a, b in zip(first, way, strict=True))) for way in others)
        scores = ", ".join(str(sum(a.score == b.score for a, b in zip(first, way, strict=True))) for way in others)
        lines.append(f"| {asked.title} | {len(first)} | {' | '.join(map(cell, ways))} | {replies} | {scores} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--only", nargs="+", choices=list(benchmarks(1)), default=list(benchmarks(1)))
    parser.add_argument("--share", type=float, default=1, help="of each benchmark's items (1: 300, 300, 200, 164)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = {name: asked for name, asked in benchmarks(options.share).items() if name in options.only}
    found = {way: measured(way, options.checkpoint, wanted, options.out) for way in options.ways}
    print(table(found, wanted))


if __name__ == "__main__":
    main()
