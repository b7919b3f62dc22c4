"""The stage synthesise: yield, stop rule, leaks, interruption, replies that are kept and read anew."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from epigone.cli.app import app
from epigone.commands.prompts import Wanted, stage_of
from epigone.datasets import iterate_rows, read_dataset
from epigone.errors import ArtifactError, SpecError, WorkError
from epigone.interfaces import Rounds
from epigone.prompts.nq_synthetic import NqSynthetic
from epigone.records import Completion, DroppedConversation, Message, Prompt, Response, SamplingParams
from epigone.replies import Reply
from epigone.spec import Artifact, Component, Input
from epigone.stages.curate import Curate
from epigone.stages.synthesise import Synthesise
from epigone.stages.tokenize import Tokenize
from epigone.store import Store, read_records, read_summary
from epigone.synthesis.recorder import Recorder
from tokenize_cases import byte_tokenizer

HERE = "test_synthesise_stage"


@dataclass(frozen=True)
class Inventor:
    """A LanguageModel that answers by prompt and seed alone: pairs, some of them malformed, old or leaked."""

    num_names: int = 10_000
    path: str = ""
    """A file that counts what was asked; with a line `stop N` it raises at the N-th call."""

    def generate(self, prompts, sampling):
        log = Path(self.path) if self.path else None
        if log:
            told = log.read_text().split("\n", 1)
            asked = told[1].splitlines() if len(told) > 1 else []
            if told[0] == f"stop {len(asked)}":
                raise KeyboardInterrupt
            log.write_text("\n".join([told[0], *asked, f"{len(prompts)} {sampling.seed}"]))
        return [self.reply(prompt, sampling) for prompt in prompts]

    def reply(self, prompt, sampling):
        draw = random.Random(f"{prompt.messages[0].content} {sampling.seed}")
        lines = []
        for _ in range(draw.randint(1, 4)):
            number = draw.randrange(self.num_names)
            lines.append(f"Q: who made thing number {number}\nA: Maker {number % 97}")
        lines += draw.choice([[], ["Q: never answered"], ["Q: when was the last time anyone was on the moon\nA: 1972"]])
        return Completion("\n".join(lines), 9, draw.choice(["stop", "stop", "length"]))


def stage(rounds=None, teacher=None, **options):
    teacher = teacher or Component.of("backends", f"{HERE}:Inventor")
    return Synthesise(Component.of("prompts", "nq_synthetic"), teacher, rounds or Rounds(100, 8), **options)


def questions(folder):
    return [talk.messages[0].content for talk in read_dataset(folder / "records.parquet")]


def test_a_dataset_is_made_and_the_ledger_adds_up(tmp_path):
    folder = Store(tmp_path).build(stage())
    summary, talks = read_summary(folder), read_dataset(folder / "records.parquet")
    dropped = list(iterate_rows(folder / "dropped.parquet", DroppedConversation))
    assert len(talks) == summary["num_kept"] == 100 and summary["ended"] == "all that were wanted"
    assert len({talk.id for talk in talks}) == len({talk.messages for talk in talks}) == 100
    assert all([m.role for m in talk.messages] == ["user", "assistant"] for talk in talks)
    by = {name: sum(d.filter == name for d in dropped) for name in ("parser", "duplicates", "leaks", "enough")}
    assert by["parser"] == summary["num_malformed"] > 0 and by["duplicates"] == summary["num_duplicates"] > 0
    assert by["leaks"] == summary["num_leaked"] == 0 and by["enough"] == summary["num_surplus"]
    assert summary["num_parsed"] == 100 + by["duplicates"] + by["enough"]
    raw = read_records(folder / "raw.jsonl", Response)
    assert len(raw) == summary["num_asked"] == 8 * len(summary["rounds"])
    reread = [c for r in raw for c in NqSynthetic().pairs.read(r.prompt_id, r.text, is_cut=r.finish_reason == "length")]
    assert {c.id for c in reread} == {t.id for t in talks} | {d.id for d in dropped}, "nothing of a reply is lost"
    prompts = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    assert [p["messages"][0]["content"] for p in prompts] == questions(folder) and len(prompts[0]["messages"]) == 1
    assert sum(r["num_kept"] for r in summary["rounds"]) == 100


def test_the_stop_rule_ends_it_when_the_yield_falls(tmp_path):
    few = Component.of("backends", f"{HERE}:Inventor", num_names=30)
    rounds = Rounds(1000, 8, minimum_yield=0.5, patience=2)
    summary = read_summary(Store(tmp_path).build(stage(rounds, few)))
    kept = [r["num_kept"] for r in summary["rounds"]]
    assert summary["ended"] == "the yield fell" and summary["num_kept"] == sum(kept) <= 32
    poor = [sum(kept[at : at + 2]) < 0.5 * 16 for at in range(len(kept) - 1)]
    assert poor == [False] * (len(poor) - 1) + [True], "it stops at the first two rounds that are too poor"
    never = Rounds(1000, 8, minimum_yield=0, max_prompts=45)
    summary = read_summary(Store(tmp_path).build(stage(never, few)))
    assert summary["ended"] == "no more prompts allowed"
    assert [r["num_asked"] for r in summary["rounds"]] == [8, 8, 8, 8, 8, 5] and summary["num_asked"] == 45


STRANGE = [Rounds(0), Rounds(patience=0), Rounds(prompts_per_round=0), Rounds(minimum_yield=-1)]


@pytest.mark.parametrize("rounds", STRANGE, ids=range(len(STRANGE)))
def test_rounds_that_cannot_be(rounds, tmp_path):
    with pytest.raises(SpecError, match=r"1 or more|from 0 up"):
        Store(tmp_path).build(stage(rounds))


def test_duplicates_are_pairs_or_questions():
    class Fixed:
        def generate(self, prompts, sampling):
            reply = (
                "Q: who sang it?\nA: The Band\nQ: Who sang it\nA: band\nQ: who sang it\nA: Ann\n"
                "Q: Name of the bird in The Lion King?\nA: Iago"
            )
            return [Completion(reply, 9, "stop") for _ in prompts]

    def kept(**options):
        grown = NqSynthetic(**options).grow(Fixed(), Rounds(9, 1, patience=1), None)
        return [t.messages[1].content for t in grown.kept], sorted({d.reason for d in grown.dropped})

    assert kept() == (["The Band", "Ann"], ["a seed's question", "pair comes twice"])
    assert kept(duplicates="question") == (["The Band"], ["a seed's question", "question comes twice"])


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_a_run_that_was_cut_off_asks_the_same_again_and_nothing_twice(stop, tmp_path):
    def run(root, first_line):
        log = tmp_path / "log"  # one name: its content is no part of what is asked
        log.write_text(f"{first_line}\n")
        teacher = Component.of("backends", f"{HERE}:Inventor", path=str(log))
        store, spec = Store(root), stage(Rounds(60, 5), teacher)
        try:
            return store.build(spec), log.read_text().split()
        except KeyboardInterrupt:
            cut = log.read_text()
            log.write_text("go on\n" + cut.split("\n", 1)[1])
            return store.build(spec), log.read_text().split()

    whole, asked = run(tmp_path / "whole", "go on")
    again, asked_again = run(tmp_path / "again", f"stop {stop}")
    assert asked[2:] == asked_again[2:] and len(asked) > 2 + 2 * stop
    names = [path.name for path in sorted(whole.iterdir()) if path.name not in ("summary.json", "DONE")]
    assert "raw.jsonl" in names and "rounds" not in names
    assert [(whole / n).read_bytes() == (again / n).read_bytes() for n in names] == [True] * len(names)


def test_recorded_replies_of_another_run_are_refused(tmp_path):
    class Echo:
        def generate(self, prompts, sampling):
            return [Completion(p.id, 1, "stop") for p in prompts]

    def ask(text):
        return Recorder(Echo(), "t", tmp_path).generate([Prompt("a", (Message("user", text),))], SamplingParams(4))

    assert ask("one") == ask("one")
    with pytest.raises(ArtifactError, match="replies to other prompts"):
        ask("two")


@dataclass(frozen=True)
class Server(Inventor):
    """A ServedModel that fails on every third prompt."""

    def replies(self, prompts, sampling):
        completions = self.generate(prompts, sampling)
        return iter([Reply(None, "timeout") if n % 3 == 0 else Reply(c) for n, c in enumerate(completions)])

    def bill(self, prompts, sampling):
        raise NotImplementedError


def test_a_prompt_on_which_a_server_fails_is_told_and_the_others_count(tmp_path):
    folder = Store(tmp_path).build(stage(Rounds(20, 6), Component.of("backends", f"{HERE}:Server")))
    summary, raw = read_summary(folder), read_records(folder / "raw.jsonl", Response)
    failed = [row for row in raw if row.finish_reason == "timeout"]
    assert len(failed) == summary["num_failed"] == summary["num_asked"] // 3 == len(raw) // 3
    assert {row.text for row in failed} == {""} and summary["num_kept"] == 20
    dropped = iterate_rows(folder / "dropped.parquet", DroppedConversation)
    assert sum(d.reason == "empty reply" for d in dropped) == len(failed)
    assert json.loads((folder / "card.json").read_text())["num_answers"] == len(raw) - len(failed)


def test_raw_replies_are_read_anew_for_nothing(tmp_path):
    store = Store(tmp_path)
    first = store.build(stage())
    replay = Component.of("backends", "replay", path=Input("raw.jsonl", Artifact(store.resolver.id(stage()))))
    again = store.build(stage(teacher=replay))
    assert questions(again) == questions(first)
    assert (again / "raw.jsonl").read_bytes() == (first / "raw.jsonl").read_bytes()


def test_what_an_evaluation_asks_is_left_out(data_root, tmp_path):
    """Against the published NQ-open: its own questions, one with a word changed, and one that is only like it."""
    evaluation = data_root / "nq_open" / "NQ-open.dev.first1800.jsonl"
    asked = [json.loads(line)["question"] for line in evaluation.read_text().splitlines()]
    kept = [
        "who carved the oldest sundial of the abbey in maulbronn",
        "when was the last time anyone swam across lake constance",
    ]
    leaked = [*asked[:20], asked[0].upper() + "?", "when was the last time somebody was on the moon"]
    lines = [f"Q: {text}\nA: answer" for text in random.Random(0).sample([*kept, *leaked], len(kept) + len(leaked))]
    (tmp_path / "replies.json").write_text(json.dumps({"*": "\n".join(lines)}))
    wanted = Wanted("nq-synthetic", f"canned:{tmp_path / 'replies.json'}", Rounds(50, 1, patience=1), [str(evaluation)])
    folder = Store(tmp_path / "runs").build(stage_of(wanted))
    found = read_summary(folder)
    assert sorted(questions(folder)) == sorted(kept)
    drops = [d for d in iterate_rows(folder / "dropped.parquet", DroppedConversation) if d.filter == "leaks"]
    # every copy is a leak, in each of the rounds that a fixed teacher repeats until the yield falls
    assert {d.messages[0].content for d in drops} == set(leaked)
    assert found["num_leaked"] == len(leaked) * len(found["rounds"])
    assert all("NQ-open.dev.first1800.jsonl row" in d.detail for d in drops)
    unfiltered = stage_of(Wanted(wanted.generator, wanted.teacher, wanted.rounds, leak_filter=False))
    found = read_summary(Store(tmp_path / "unfiltered").build(unfiltered))
    assert found["num_leaked"] == 0 and found["num_kept"] > len(kept) + 15


def test_the_leak_filter_is_on_by_default(tmp_path):
    (tmp_path / "replies.json").write_text("{}")
    wanted = Wanted("nq-synthetic", f"canned:{tmp_path / 'replies.json'}", Rounds())
    with pytest.raises(SpecError, match=r"give its files with --evaluation .* or say --no-leak-filter"):
        stage_of(wanted)
    with pytest.raises(SpecError, match="there is no file"):
        stage_of(Wanted(wanted.generator, wanted.teacher, Rounds(), ["nowhere.jsonl"]))
    with pytest.raises(SpecError, match="contradict"):
        stage_of(Wanted(wanted.generator, wanted.teacher, Rounds(), ["x"], leak_filter=False))
    with pytest.raises(SpecError, match="Did you mean 'nq_synthetic'"):
        stage_of(Wanted("nq-sinthetic", wanted.teacher, Rounds(), leak_filter=False))


def test_the_command_tells_the_yield_and_warns_of_terms(tmp_path):
    reply = "Q: who wrote it\nA: Ann Lee\nQ: who wrote it\nA: Ann Lee\nQ: and who not"
    (tmp_path / "replies.json").write_text(json.dumps({"*": reply}))
    terms = "You must not use replies to train other models."
    words = ["nq-synthetic:max_tokens=90", "--teacher", f"canned:{tmp_path / 'replies.json'}", "--no-leak-filter"]
    words += ["--examples", "1", "--round-size", "1", "--terms", terms, "--root", str(tmp_path / "runs")]
    done = CliRunner().invoke(app, ["prompts", *words])
    assert done.exit_code == 0, done.output
    shown = done.stderr
    found = json.loads(CliRunner().invoke(app, ["prompts", *words, "--json"]).stdout)
    assert (found["num_asked"], found["num_parsed"], found["num_malformed"], found["num_kept"]) == (1, 2, 1, 1)
    assert [text.partition(": ")[2] for text in found["warnings"]] == [
        f"the terms as given forbid training; terms as given: {terms}"
    ]
    assert "1 no answer" in shown and "1 pair comes twice" in shown and "warning: datasets/nq-synthetic" in shown
    card = (Path(found["artifact"]) / "README.md").read_text()
    assert "max_tokens=90" in card and "temperature=1.0" in card and str(tmp_path) not in card


def test_a_teacher_without_a_single_pair_is_an_error(tmp_path):
    with pytest.raises(WorkError, match=r"no example of 3 was kept .*parser: nothing found.*'I cannot\.'"):
        teacher = Component.of("backends", "canned", default="I cannot.")
        Store(tmp_path).build(stage(Rounds(9, 1, minimum_yield=1), teacher))


def test_its_dataset_is_curated_and_tokenized_like_any_other(tmp_path):
    store, spec = Store(tmp_path), stage(Rounds(20, 8), terms="Free for every use.")
    made = store.build(spec)
    curated = Curate(Artifact(store.resolver.id(spec)), Component.of("formats", "dataset"))
    assert questions(store.build(curated)) == questions(made)
    blocks = store.build(Tokenize(curated, Input(str(byte_tokenizer(tmp_path / "tokenizer.json"))), length=64))
    assert read_summary(blocks)["num_loss_tokens"] > 20
    (card,) = json.loads((blocks / "cards.json").read_text())
    assert card["id"] == f"datasets/{made.name}" and card["terms"] == "Free for every use."
