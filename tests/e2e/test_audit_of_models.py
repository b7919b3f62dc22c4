"""`epigone audit` of models that can be asked: a server of chat as the teacher, checkpoints as base and student."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from epigone.audit_command import Price, Sources, run_audit
from epigone.errors import SpecError, WorkError
from epigone.records import ScoreSheet
from epigone.spec import in_order
from epigone.stages.read_scores import ReadScores
from epigone.store import Store, read_records
from epigone.studies.audit import audit
from fault_server import running
from small_checkpoint import small_base

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
TEMPLATE += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    questions = [{"question": f"who has number {n}", "answer": [f"nobody {n}"]} for n in range(6)]
    (folder / "nq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    asked = [{"id": f"p{n}", "messages": [{"role": "user", "content": f"tell me of {n}"}]} for n in range(6)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    small_base(folder / "base", template=TEMPLATE)
    small_base(folder / "student", template=TEMPLATE, seed=4)
    return folder


def sources(given: Path, url: str, **options: object) -> Sources:
    teacher = f"openai:url={url},model=big,price_in=1.0,price_out=2.0"
    nq = f"natural_questions:path={given / 'nq.jsonl'},num_shots=0"
    made = Sources(teacher=f"big={teacher}", students=[str(given / "student")], base=str(given / "base"))
    asked = {"prompts": str(given / "prompts.jsonl"), "benchmarks": [nq], "max_tokens": 8, "limit": 4}
    return replace(made, **(asked | options))


def run(asked: Sources, root: Path):
    return run_audit(asked, root, num_workers=1, quiet=True)[0]


def test_models_answer_and_are_measured_in_the_protocol_that_all_can(given, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with running() as url:
        told = run(sources(given, url, temperature=1.0, price=Price(dry_run=True)), tmp_path)
        assert [bill["num_requests"] for bill in told["bills"]] == [6, 6, 4]  # answers, the second sample, questions
        with pytest.raises(SpecError, match="give --budget-usd"):
            run(sources(given, url, temperature=1.0), tmp_path)
        with pytest.raises(WorkError, match="budget"):
            run(sources(given, url, price=Price(budget_tokens="400")), tmp_path / "poor")
        wanted = sources(given, url, temperature=1.0, price=Price(budget_usd=1.0))
        found = run(wanted, tmp_path)
        assert run(wanted, tmp_path) == found
    assert "word for word" in found["missing"]["ceiling"]  # this server's answers depend on what is asked alone
    store, protocols = Store(tmp_path), {}
    for stage in in_order([audit(**_options(wanted)).report], store.resolver):
        if isinstance(stage, ReadScores):
            sheets = read_records(store.folder(stage) / "records.jsonl", ScoreSheet)
            protocols.setdefault(stage.name, set()).update(sheet.protocol.partition("--")[0] for sheet in sheets)
    assert protocols == {"big": {"nq-chat"}, "base": {"nq-chat", "nq-0shot"}, "student": {"nq-chat", "nq-0shot"}}


def _options(asked: Sources) -> dict:
    return {k: v for k, v in vars(asked).items() if k not in ("gate", "price")}
