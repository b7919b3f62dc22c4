"""collect: ask a teacher every prompt and keep its answers (section 3 of the paper).

In: prompts (JSON lines that end in the user's turn, or conversations in any format, whose user turns are asked), a
teacher. Out: `responses/`: records.jsonl; failed.jsonl with the reason of every prompt that has no answer; raw.jsonl,
what a server said and what it cost; sharegpt.json, the same dialogues in the format in which such data is published, so
that curation reads them as it reads any dump.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from epigone.answers import Answers
from epigone.collection import Dialogue, ShareGPTWriter, Tally
from epigone.errors import SpecError, WorkError
from epigone.formats.messages import read_prompts
from epigone.interfaces import Format, LanguageModel, ServedModel, StageSpec
from epigone.records import Completion, Drop, Message, Prompt, Response, SamplingParams
from epigone.replies import Bill, Failure, RawReply, Reply
from epigone.reporting.collection_card import card_of, carry_cards, source_of, write_card
from epigone.spec import Artifact, Component, Input
from epigone.store import RecordWriter, write_records

TURNS = ("last", "first", "all")
NOT_WHOLE = ("length", "content_filter", "tool_calls")
"""Reasons for which an answer ends that make it a failure, unless they are accepted."""


@dataclass(frozen=True)
class Collect:
    """Options of a collection."""

    teacher: Component
    """Who is asked: a component of `backends`."""
    prompts: Input | StageSpec | Artifact
    """JSON lines of conversations that end in a user turn; or what `format` reads; of an artifact its records.jsonl."""
    name: str = "teacher"
    """What the teacher is called in records."""
    sample: int = 0
    """Tells independent answers to the same prompts apart: the number of the first."""
    max_tokens: int = 512
    """Longest answer."""
    terms: str = ""
    """The terms of the teacher's provider, in words or as an address; they go onto the card."""
    samples: int = 1
    """Independent answers to each prompt."""
    temperature: float | int = 1.0
    """0 is greedy."""
    format: Component | None = None
    """A component of `formats` that reads the prompts; None: JSON lines that end in a user turn."""
    turns: str = "last"
    """last: the messages as they are; first: up to the first user turn; all: the user's turns one after the other, with
    the teacher's own answers between."""
    accept: tuple[str, ...] = ()
    """Answers that are kept although they ended by: length, content_filter, tool_calls."""
    minimum_coverage: float | int = field(default=0.8, compare=False)
    """Share of the prompts that must have an answer."""

    kind: ClassVar[str] = "responses"
    version: ClassVar[int] = 2

    @property
    def slug(self) -> str:
        """Teacher, prompts, sample."""
        return f"{self.name}-{_stem(self.prompts)}-sample{self.sample}".replace("_", "-")

    @property
    def effort(self) -> float:
        """Seconds on one core, roughly."""
        return 0.5

    def run(self, inputs: Callable[[object], Path], out: Path) -> dict[str, object]:
        """Ask every prompt once a sample. Raises WorkError where too few have an answer.

        Answers that are empty or were cut are failures, kept apart from the responses.
        """
        teacher = self.teacher.make(inputs)
        assert isinstance(teacher, LanguageModel)
        dialogues, drops = self._read(inputs)
        tally = Tally()
        with ExitStack() as files:
            records, failed = (files.enter_context(RecordWriter(out / f"{n}.jsonl")) for n in ("records", "failed"))
            shared = files.enter_context(ShareGPTWriter(out / "sharegpt.json", has_samples=self.samples > 1))
            raw = files.enter_context(RecordWriter(out / "raw.jsonl")) if isinstance(teacher, ServedModel) else None

            def on_raw(reply: RawReply) -> None:
                tally.add(reply)
                if raw:
                    raw.write(reply)

            for sample in range(self.sample, self.sample + self.samples):
                for outcome in self._outcomes(teacher, dialogues, sample, on_raw):
                    tally.count(outcome)
                    (failed if isinstance(outcome, Failure) else records).write(outcome)
                    if isinstance(outcome, Response):
                        shared.write(outcome)
        if drops:
            write_records(out / "dropped.jsonl", drops)
        if tally.coverage < self.minimum_coverage:
            raise WorkError(_too_few(tally, self.minimum_coverage, out / "failed.jsonl"))
        self._card(inputs, tally, out)
        return tally.summary() | {"num_unreadable": len(drops)} | (_spent() if raw else {})

    def _card(self, inputs: Callable[[object], Path], tally: Tally, out: Path) -> None:
        """What the collection is, beside its records; the cards of whatever made its prompts come along."""
        source = inputs(self.prompts)
        drawn = {"temperature": self.temperature, "max_tokens": self.max_tokens, "sample": self.sample}
        drawn |= {"samples": self.samples, "turns": self.turns}
        told = {"prompts": source_of(source), "num_prompts": tally.num_asked, "num_answers": tally.num_kept}
        teacher = replace(self.teacher, options=tuple(self.teacher.shaping()))
        carry_cards([source], out)
        card = card_of(teacher, self.name, inputs, parameters=drawn, terms=self.terms, days=tally.days, **told)
        write_card(out, card)

    def bill(self, inputs: Callable[[object], Path]) -> Bill:
        """What it will come to, told beforehand; sends nothing. A turn's answer is taken to be as long as allowed.

        Raises SpecError where the teacher is no ServedModel, which costs nothing.
        """
        teacher = self.teacher.make(inputs)
        if not isinstance(teacher, ServedModel):
            raise SpecError(f"backends/{self.teacher.name} is no server: asking it costs nothing")
        unknown = Message("assistant", "word " * self.max_tokens)
        prompts: list[Prompt] = []
        for dialogue in self._read(inputs)[0]:
            messages: tuple[Message, ...] = ()
            for turn in dialogue.turns:
                messages += turn
                prompts.append(Prompt(dialogue.id, messages))
                messages += (unknown,)
        bills = [teacher.bill(prompts, self._sampling(s)) for s in range(self.sample, self.sample + self.samples)]
        return Bill.total(bills)

    def _sampling(self, sample: int) -> SamplingParams:
        return SamplingParams(max_tokens=self.max_tokens, temperature=self.temperature, seed=sample)

    def _read(self, inputs: Callable[[object], Path]) -> tuple[list[Dialogue], list[Drop]]:
        for given, allowed in [((self.turns,), TURNS), (self.accept, NOT_WHOLE)]:
            if unknown := [value for value in given if value not in allowed]:
                raise SpecError(f"{unknown[0]!r} is not among {', '.join(allowed)}")
        path = inputs(self.prompts)
        if self.format is None:
            prompts = read_prompts(path / "records.jsonl" if path.is_dir() else path)
            return [Dialogue.of(p.id, p.messages, self.turns) for p in prompts], []
        form = self.format.make(inputs)
        assert isinstance(form, Format)
        rows = list(form.read(path))
        read = [Dialogue.of(row.id, row.messages, self.turns) for row in rows if not isinstance(row, Drop)]
        return read, [row for row in rows if isinstance(row, Drop)]

    def _outcomes(
        self, teacher: LanguageModel, dialogues: Sequence[Dialogue], sample: int, on_raw: Callable[[RawReply], None]
    ) -> Iterator[Response | Failure]:
        """What becomes of every dialogue, in order: asked turn after turn, each turn of all dialogues at once."""
        done: dict[int, Response | Failure] = {
            n: Failure(d.id, sample, 1, "no user turn") for n, d in enumerate(dialogues) if not d.turns
        }
        said = {n: d.turns[0] for n, d in enumerate(dialogues) if d.turns}
        due = turn = 0
        while due < len(dialogues):
            turn += 1
            asked = list(said)
            prompts = [Prompt(dialogues[n].id, said[n]) for n in asked]
            for n, reply in zip(asked, _replies(teacher, prompts, self._sampling(sample)), strict=True):
                if reply.raw:
                    on_raw(replace(reply.raw, sample=sample, turn=turn))
                outcome = self._judged(reply, dialogues[n].id, sample, turn)
                if isinstance(outcome, Failure):
                    done[n] = outcome
                elif turn == len(dialogues[n].turns):
                    done[n] = self._response(dialogues[n].id, said[n], outcome, sample)
                else:
                    answer = Message("assistant", outcome.text, outcome.reasoning)
                    said[n] += (answer, *dialogues[n].turns[turn])
                    continue
                del said[n]
                while due in done:
                    yield done.pop(due)
                    due += 1
            while due in done:
                yield done.pop(due)
                due += 1

    def _judged(self, reply: Reply, prompt_id: str, sample: int, turn: int) -> Completion | Failure:
        completion = reply.completion
        if completion is None:
            return Failure(prompt_id, sample, turn, reply.reason, reply.detail)
        if completion.finish_reason in NOT_WHOLE and completion.finish_reason not in self.accept:
            return Failure(prompt_id, sample, turn, completion.finish_reason, completion.text[:120])
        if not completion.text.strip():
            return Failure(prompt_id, sample, turn, "empty", "")
        return completion

    def _response(self, prompt_id: str, messages: tuple[Message, ...], completion: Completion, sample: int) -> Response:
        return Response(
            prompt_id=prompt_id,
            messages=messages,
            text=completion.text,
            finish_reason=completion.finish_reason,
            model=self.name,
            sample=sample,
            reasoning=completion.reasoning,
        )


def _replies(teacher: LanguageModel, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[Reply]:
    if isinstance(teacher, ServedModel):
        return teacher.replies(prompts, sampling)
    return (Reply(completion) for completion in teacher.generate(prompts, sampling))


def _spent() -> dict[str, object]:
    """What this collection has cost in all its runs, requests that came to nothing included."""
    with Answers() as answers:
        tokens, usd, num_uncertain = answers.spent()
    return {"tokens_spent": tokens, "usd_spent": usd, "num_requests_uncertain": num_uncertain}


def _too_few(tally: Tally, minimum: float | int, path: Path) -> str:
    reasons = ", ".join(f"{number} {reason}" for reason, number in tally.reasons.most_common(5))
    return (
        f"only {tally.num_kept} of {tally.num_asked} prompts were answered, {tally.coverage:.1%}, not {minimum:.0%}: "
        f"{reasons}. See {path}; --retry-failed asks again what has no reply, --accept length takes what was cut"
    )


def _stem(prompts: Input | StageSpec | Artifact) -> str:
    if isinstance(prompts, Input):
        return Path(prompts.path).stem
    return prompts.slug if isinstance(prompts, StageSpec) else Path(prompts.id).name.rpartition("--")[0]
