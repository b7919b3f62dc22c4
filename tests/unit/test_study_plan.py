"""The plan of a study: what is counted by hand from the paper, what is unknown, and that nothing is read."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from epigone.commands.study_options import made
from epigone.commands.study_plan import run_study_plan
from epigone.errors import SpecError
from epigone.study_plan import chosen, needed, planned, rows
from epigone.testbed.world import write_world
from epigone.tokens.tokenizer import Tokenizer
from epigone.training.devices import DEVICES

STEPS = {"5M": 77, "20M": 306, "80M": 1221, "150M": 2289}
"""Of 65,536 tokens, the last batch part empty: 5M are 76.3, 20M are 305.2, 80M are 1,220.7, 150M are 2,288.8."""


@pytest.fixture(scope="module")
def plan():
    study = made("false_promise", [])  # none of its data, and no model, is here
    return planned(study, {name: DEVICES[name] for name in ("8xa100-80", "24gb")}, prices={"8xa100-80": 2.0})


def test_the_grid_of_the_paper(plan):
    assert len(plan.runs) == 3 * 2 * 5 and plan.num_stages["train"] == 30 and plan.num_stages["audit"] == 3
    found = {run.name: run for run in plan.runs}
    for base, shape in (("gpt2-xl", (64, 1024)), ("llama-7b", (32, 2048)), ("llama-13b", (32, 2048))):
        for amount, steps in STEPS.items():
            for arm in ("", "-warm-up-0.1"):
                run = found[f"{base}-broad-{amount}{arm}"]
                assert (run.batch.size, run.batch.length) == shape and run.budget.num_steps == steps
    assert found["llama-13b-broad-5M"].num_params == 13_015_864_320


def test_the_rate_that_is_reached(plan):
    """Linear from 0 over 1,000 steps: the last of 77 steps has 76/1,000 of the peak."""
    reached = {run.name: run.budget.peak_learning_rate for run in plan.runs if run.budget}
    assert reached["llama-7b-broad-5M"] == pytest.approx(2e-3 * 76 / 1000)
    assert reached["llama-7b-broad-5M-warm-up-0.1"] == pytest.approx(2e-3)


def test_hours_and_dollars_by_hand(plan):
    """6 FLOPs a weight that is multiplied with and 6 L D T for attention; 8 cards at 47 % of 312 TFLOP/s; 2 dollars."""
    run = next(run for run in plan.runs if run.name == "llama-7b-broad-150M")
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11_008) + 4096 * 32_000
    seconds = (6 * weights + 6 * 32 * 4096 * 2048) * 65_536 * 2289 / (8 * 0.47 * 312e12)
    assert run.on["8xa100-80"].hours == pytest.approx(seconds / 3600, rel=1e-3)
    assert run.on["8xa100-80"].usd == pytest.approx(seconds / 3600 * 16, rel=1e-3)
    assert not run.on["24gb"].plan.fits and run.on["24gb"].hours is None and run.on["24gb"].usd is None


def test_what_is_not_known_is_not_counted(plan):
    local = next(run for run in plan.runs if run.name == "gpt2-xl-local")
    assert local.num_tokens is None and local.budget is None and local.on["8xa100-80"].hours is None
    hours, left = plan.total("hours", "8xa100-80")
    assert left == 6 and hours == pytest.approx(sum(r.on["8xa100-80"].hours or 0 for r in plan.runs))
    assert plan.total("usd", "24gb") == (0, 30)
    json.dumps(list(rows(plan)))


def test_the_testbed_s_models_have_the_size_that_they_will_have(tmp_path):
    """Its tokenizer is made by the study, of words that are known beforehand: those that the world's stage writes."""
    found = planned(made("testbed", ["--scale", "small"]), {"cpu-2": DEVICES["cpu-2"]})
    write_world(tmp_path, seed=0, num_tokens=1000, broad_tokens=100)
    vocab_size = Tokenizer.load(tmp_path / "tokenizer.json").vocab_size
    layer = 4 * 32 * 32 + 3 * 32 * 80 + 2 * 32  # attention, gated units of 80, two norms; embeddings are tied
    assert {run.num_params for run in found.runs} == {vocab_size * 32 + 3 * layer + 32}
    assert all(run.on["cpu-2"].plan.fits for run in found.runs)
    replayed = next(run for run in found.runs if run.name == "w32-s0-broad-6k-replay-3k")
    assert replayed.num_tokens == 9000 and replayed.budget.num_steps == 10  # 47 blocks of 192, 5 a step


def test_a_study_of_a_model_that_is_not_here_is_planned_by_its_name():
    found = planned(made("real_small", ["--model", "models/gemma-3-270m.gguf"]), {"24gb": DEVICES["24gb"]})
    assert [run.name for run in found.runs] == ["gemma-3-270m-30k", "gemma-3-270m-100k"]
    assert found.runs[0].num_params == 268_098_176  # as published: 170M of embeddings and 100M of layers
    assert found.runs[0].num_tokens == 30_000 and found.runs[0].on["24gb"].hours > 0


def test_a_limit_is_on_every_benchmark():
    stages = needed([made("testbed", ["--limit", "7"]).report])
    asked = [dict(stage.benchmark.options) for stage in stages if type(stage).__name__ == "Evaluate"]
    limits = {options.get("limit") for options in asked if "checker" not in options}
    assert asked and limits == {7}
    with pytest.raises(SpecError, match="--limit is a number of items"):
        made("testbed", ["--limit", "-1"])


def test_pythia_along_sizes_and_along_pretraining():
    study = made("modern", [])
    at = {family.base: dict(family.at) for family in study.report.families}
    assert at["pythia-1b-step1000"] == {"tokens of pre-training": 1000 * 2_097_152}
    # the finished model stands on both axes; 1,011,781,632 is what the model's card says
    assert at["pythia-1b"] == {"parameters": 1_011_781_632, "tokens of pre-training": 143_000 * 2_097_152}
    assert set(at["pythia-410m"]) == {"parameters"}
    found = planned(study, {"h200": DEVICES["h200"]})
    assert len(found.runs) == 7 * 3 and all(run.on["h200"].plan.fits for run in found.runs)
    with pytest.raises(SpecError, match="how much text it has seen is not known"):
        made("modern", ["--along", "hf://EleutherAI/pythia-1b"])


def test_only_what_fits_a_glob_and_what_it_needs():
    study = made("false_promise", [])
    some = needed(chosen(study, "checkpoints/llama-7b-broad-5M*"))
    trained = [stage.name for stage in some if stage.kind == "checkpoints" and hasattr(stage, "recipe")]
    assert trained == ["llama-7b-broad-5M", "llama-7b-broad-5M-warm-up-0.1"]
    assert sum(type(stage).__name__ == "Fetch" for stage in some) == 1
    assert not any(stage.kind in ("scores", "studies") for stage in some)
    with pytest.raises(SpecError, match="--only nothing-like-it fits none of the"):
        chosen(study, "nothing-like-it")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": "9xh100"}, "no devices '9xh100'; there is: 8xa100-80"),
        ({"devices": "h200", "price": "24gb=1"}, "the plan has no devices '24gb'; it has h200"),
        ({"price": "cheap"}, "write dollars a device and hour"),
        ({"mfu": 40.0}, "--mfu is a share from 0 to 1, not 40"),
    ],
)
def test_wrong_options(options, message):
    given = {"devices": "", "price": "", "mfu": 0.0, "only": ""} | options
    with pytest.raises(SpecError, match=message):
        run_study_plan(made("modern", []), **given, quiet=True)


def test_a_base_that_nobody_knows():
    with pytest.raises(SpecError, match="'mystery-3b' is no published size"):
        made("modern", ["--bases", "hf://somebody/mystery-3b"])
    with pytest.raises(SpecError, match="--long-blocks sometimes: there is same_tokens, same_batch"):
        made("false_promise", ["--long-blocks", "sometimes"])
    with pytest.raises(SpecError, match="there is nothing to imitate: give one of --sharegpt, --hc3, --discord"):
        made("false_promise", ["--sharegpt", "none", "--hc3", "none", "--discord", "none"])


def test_the_command_line_plans_for_machines(tmp_path):
    line = ["study", "modern", "--plan", "--json", "--devices", "h200,24gb", "--price", "h200=3", "--amounts", "5M"]
    done = subprocess.run([sys.executable, "-m", "epigone", *line], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["mfu"]["h200"]["source"].startswith("perf/results") and len(told["runs"]) == 7
    assert told["totals"]["24gb"]["usd"] == {"known": 0, "num_unknown": 7}
    assert told["totals"]["h200"]["usd"]["known"] == pytest.approx(3 * told["totals"]["h200"]["hours"]["known"])


def test_the_documents_show_what_the_command_prints(capsys):
    text = (Path(__file__).parents[2] / "docs/how-to/plan-a-study.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- study-plan (\S+) (\S+) (\S+) -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert [name for name, *_ in shown] == ["false_promise", "modern"]
    for name, devices, price, table in shown:
        run_study_plan(made(name, []), devices=devices, price=price, mfu=0.0, only="", quiet=False)
        printed = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
        assert [line for line in table.splitlines() if line] == printed


def test_a_teacher_behind_a_server_is_asked_in_chat_and_the_others_both_ways():
    served = ["--teacher", "gpt@http://127.0.0.1:9/v1", "--judge", "gpt@http://127.0.0.1:9/v1", "--synthetic", "ask"]
    with pytest.raises(SpecError, match="give the prompts that all models answer with --prompts"):
        made("false_promise", served)
    study = made("false_promise", [*served, "--prompts", "p.jsonl", "--bases", "hf://x/gpt2", "--amounts", "5M"])
    asked = [stage for stage in needed([study.report]) if type(stage).__name__ == "Evaluate"]
    by_model: dict[str, set[str]] = {}
    for stage in asked:
        by_model.setdefault(stage.name.partition("-")[0], set()).add(stage.benchmark.name)
        options = dict(stage.benchmark.options)
        if stage.model.name == "openai":
            assert options.get("chat") and (stage.benchmark.name != "mmlu" or options["scoring"] == "generated")
    assert by_model["teacher"] == by_model["gpt2"] >= {"mmlu", "natural_questions", "real_toxicity_prompts"}
    verbs = [type(stage).__name__ for stage in needed([study.report])]
    # 1 base and 4 students, each judged twice (preference, tone); the teacher and its second sample, and 5 answer
    assert verbs.count("AskJudge") == 10 and verbs.count("Generate") == 7 and verbs.count("Synthesise") == 1
