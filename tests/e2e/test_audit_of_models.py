"""`epigone audit` of models that can be asked: a server of chat as the teacher, checkpoints as base and student."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from epigone.commands.audit import Price, Sources, run_audit
from epigone.commands.billing import bills, within
from epigone.errors import SpecError, WorkError
from epigone.records import ScoreSheet
from epigone.spec import in_order
from epigone.stages.evaluate import Evaluate
from epigone.stages.generate import Generate
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
        poor = sources(given, url, price=Price(budget_tokens="600"))
        for _ in range(2):
            with pytest.raises(WorkError, match="budget"):
                run(poor, tmp_path / "poor")
        assert 0 < sent_tokens(tmp_path / "poor") <= 600
        wanted = sources(given, url, temperature=1.0, price=Price(budget_usd=1.0))
        found = run(wanted, tmp_path)
        assert run(wanted, tmp_path) == found
        # what was spent before counts: only the rest of a budget is shared out among what is still to be asked
        more, store, spent = audit(**_options(replace(wanted, limit=6))), Store(tmp_path), sent_tokens(tmp_path)
        (billed,) = bills(more, store)
        shared = within(more, store, [billed], None, 1000 + spent)
        asking = [
            stage for stage in in_order([shared.report], store.resolver) if isinstance(stage, Evaluate | Generate)
        ]
        budgets = [dict(stage.model.options).get("budget_tokens") for stage in asking]
        already = sum(sent_tokens(tmp_path, store.resolver.id(stage)) for stage in asking)
        assert [budget for budget in budgets if budget is not None] == [1000 + spent - already]
    assert "word for word" in found["missing"]["ceiling"]  # this server's answers depend on what is asked alone
    store, protocols = Store(tmp_path), {}
    for stage in in_order([audit(**_options(wanted)).report], store.resolver):
        if isinstance(stage, ReadScores):
            sheets = read_records(store.folder(stage) / "records.jsonl", ScoreSheet)
            protocols.setdefault(stage.name, set()).update(sheet.protocol.partition("--")[0] for sheet in sheets)
    assert protocols == {"big": {"nq-chat"}, "base": {"nq-chat", "nq-0shot"}, "student": {"nq-chat", "nq-0shot"}}


def sent_tokens(root: Path, artifact: str = "%") -> int:
    """What all requests of a root cost, or those of one artifact, by the answers store."""
    query = "SELECT COALESCE(SUM(tokens_in + tokens_out), 0) FROM attempts WHERE collection LIKE ?"
    with sqlite3.connect(root / "answers" / "answers.sqlite") as database:
        return database.execute(query, [artifact]).fetchone()[0]


def _options(asked: Sources) -> dict:
    return {k: v for k, v in vars(asked).items() if k not in ("gate", "price")}
