"""MMLU, 300 questions of 5 shots, beside lm-evaluation-harness on the same weights in one run.

    python perf/evaluate.py [CHECKPOINT] [--items 300] [--rounds 1]

CHECKPOINT is a folder or a .gguf file (docs/how-to/models-without-a-hub.md says where some are); without it, a small
model of random weights is made, with a tokenizer trained on the questions. The questions are those of the folder that
EPIGONE_DATA names; without it, made-up ones. The peer is the model `hf` of lm-evaluation-harness, in fp32 on one thread
like ours, over a folder that `transformers` reads; both make prompts, score the four letters and say what was right.
"""

import os

os.environ["TQDM_DISABLE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

from side_by_side import compare  # first: it sets the number of threads

# isort: split
import argparse
import csv
import json
import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path

import jax
import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from epigone.backends.checkpoint import Checkpoint
from epigone.benchmarks.mmlu import MMLU
from epigone.commands.export import run_export
from epigone.decoding.engine import Engine
from epigone.models import llama, params
from epigone.models.weights import load_checkpoint, save_checkpoint
from epigone.records import Item, Score
from epigone.rows.choices import read_split

NUM_SHOTS, BATCH_SIZE = 5, 16
TASK = """
task: perf_mmlu_{subject}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {test}, dev: {dev}}}}}
test_split: test
fewshot_split: dev
fewshot_config: {{sampler: first_n}}
output_type: multiple_choice
description: "The following are multiple choice questions (with answers) about {words}.\\n\\n"
doc_to_text: "{{{{question.strip()}}}}\\nA. {{{{choices[0]}}}}\\nB. {{{{choices[1]}}}}\\nC. {{{{choices[2]}}}}\\nD. {{{{choices[3]}}}}\\nAnswer:"
doc_to_choice: ["A", "B", "C", "D"]
doc_to_target: answer
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""  # noqa: E501 - the prompt of its task mmlu, on one line as there


def made_up(subject: str, count: int) -> list[Item]:
    """Questions of random words, as long as MMLU's are."""
    rng = np.random.default_rng(len(subject) + count)
    words = ["".join(rng.choice(list("etaoinshrdlu"), rng.integers(2, 9))) for _ in range(2000)]

    def text(least: int, most: int) -> str:
        return " ".join(rng.choice(words, rng.integers(least, most)))

    return [
        Item(
            f"{subject}-{n}",
            f"{text(10, 40)}?",
            (),
            tuple(text(2, 12) for _ in range(4)),
            int(rng.integers(4)),
            subject,
        )
        for n in range(count)
    ]


def questions(num_items: int) -> dict[str, tuple[list[Item], list[Item]]]:
    """(test, dev) by subject, as many of each subject as make `num_items` together."""
    root = os.environ.get("EPIGONE_DATA")
    if root:
        test, dev = (read_split(Path(root) / "mmlu" / "data" / split, split) for split in ("test", "dev"))
    else:
        test, dev = ({f"subject_{n}": made_up(f"subject_{n}", count) for n in range(12)} for count in (150, NUM_SHOTS))
    each = -(-num_items // len(test))
    return {subject: (test[subject][:each], dev[subject]) for subject in test}


def written(asked: dict[str, tuple[list[Item], list[Item]]], folder: Path) -> tuple[Path, Path]:
    """The questions as the original's files for ours, as tasks with local data for theirs."""
    (folder / "tasks").mkdir()
    for subject, both in asked.items():
        files = {}
        for split, items in zip(("test", "dev"), both):
            (folder / split).mkdir(exist_ok=True)
            with (folder / split / f"{subject}_{split}.csv").open("w", newline="") as handle:
                csv.writer(handle).writerows([i.question, *i.options, "ABCD"[i.label]] for i in items)
            rows = [json.dumps({"question": i.question, "choices": i.options, "answer": i.label}) for i in items]
            files[split] = folder / "tasks" / f"{subject}_{split}.jsonl"
            files[split].write_text("\n".join(rows) + "\n")
        text = TASK.format(subject=subject, words=subject.replace("_", " "), **files)
        (folder / "tasks" / f"{subject}.yaml").write_text(text)
    return folder / "test", folder / "dev"


def small_model(texts: list[str], out: Path) -> Path:
    """Random weights, four layers of width 128, and a tokenizer of 4,000 words trained on the texts."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    config = llama.Config(
        vocab_size=backend.get_vocab_size(),
        width=128,
        num_layers=4,
        num_heads=4,
        num_kv_heads=2,
        hidden_width=344,
        max_positions=4096,
        tie_embeddings=True,
    )
    save_checkpoint(
        out, config, params.init(llama.param_tree(config), jax.random.key(0)), token_ids={"eos_token_id": 0}
    )
    backend.save(str(out / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
    (out / "tokenizer_config.json").write_text(json.dumps(told))
    return out


def ours(bench: MMLU, path: Path, *, shares: bool, found: dict[str, list[bool]]) -> None:
    """Everything but reading the weights: a new benchmark and a new engine over them, prompts and scores."""
    model = Checkpoint(str(path), batch_size=BATCH_SIZE)
    vars(model)["_engine"] = Engine(LOADED[path], BATCH_SIZE, share_prefixes=shares)
    scores: list[Score] = bench.run(model)
    found["epigone"] = [score.metrics["accuracy"] == 1 for score in scores]


def theirs(model: object, subjects: list[str], tasks: Path, found: dict[str, list[bool]]) -> None:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    names = [f"perf_mmlu_{subject}" for subject in subjects]
    told = simple_evaluate(model, tasks=names, num_fewshot=NUM_SHOTS, bootstrap_iters=0, task_manager=manager)
    found["lm-eval"] = [sample["acc"] == 1 for name in names for sample in told["samples"][name]]


LOADED: dict[Path, object] = {}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = questions(options.items)
        test, dev = written(asked, folder)
        bench = MMLU(test, dev, num_shots=NUM_SHOTS, form="lm_eval")
        num_items = len(bench.items())
        if options.checkpoint is None:
            path = small_model([bench.prompt(item).text for item in bench.items()], folder / "small")
        else:
            path = folder / "model"
            run_export(options.checkpoint, path, to="safetensors", kind="f32", quiet=True)
        LOADED[path] = load_checkpoint(path)
        found: dict[str, list[bool]] = {}
        ways = {
            "epigone": partial(ours, bench, path, shares=True, found=found),
            "epigone, nothing shared": partial(ours, bench, path, shares=False, found={}),
        }
        try:
            import torch
            from lm_eval.models.huggingface import HFLM

            torch.set_num_threads(1)
            peer = HFLM(pretrained=str(path), device="cpu", dtype="float32", batch_size=BATCH_SIZE)
            ways["lm-eval, hf"] = partial(theirs, peer, list(asked), folder / "tasks", found)
        except ImportError as error:
            print(f"no peer in this run: {error} (make test-all installs it)")
        named = options.checkpoint.name if options.checkpoint else "random weights, 4 layers of width 128"
        compare(f"MMLU, {NUM_SHOTS} shots: {named}", num_items, ways, "items", options.rounds)
        same = sum(a == b for a, b in zip(found["epigone"], found.get("lm-eval", [])))
        for who, right in found.items():
            print(f"  {who}: {sum(right)} of {len(right)} right")
        print(f"  equal item by item: {same} of {num_items}")


if __name__ == "__main__":
    main()
