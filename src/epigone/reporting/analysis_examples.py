"""Example answers side by side, each sentence coloured by whether what it claims is true.

In: ModelData, the prompts and a fact checker. Out: Examples. Prompts are taken in the order of a hash of their id
among those on which the teacher and a student both claim something, so no outcome chooses them.
Source: arXiv 2305.15717, Figure 2.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from epigone.interfaces import FactChecker
from epigone.metrics.sentences import Begins, sentences_of
from epigone.records import Example, Sentence
from epigone.reporting.evaluated import ModelData, base_arm, named, only

NUM_EXAMPLES = 4


def examples(models: Sequence[ModelData], prompts: Mapping[str, str], checker: FactChecker) -> tuple[Example, ...]:
    """Up to four prompts with the answers of teacher, base and the students with most imitation data."""
    teacher, shown = only(models, "teacher"), _shown(models)
    if not teacher or not shown:
        return ()
    students = [m for m in shown if m.arm.role == "student"]
    chosen: list[str] = []
    for prompt_id in sorted(prompts, key=lambda p: hashlib.sha256(p.encode()).hexdigest()):
        if all(_claims(m, prompt_id, prompts, checker) for m in (teacher, *students[-1:])):
            chosen.append(prompt_id)
        if len(chosen) == NUM_EXAMPLES:
            break
    return tuple(_example(prompts[p], p, (teacher, *shown), checker) for p in chosen)


def compared(models: Sequence[ModelData]) -> tuple[str, str, str]:
    """Names of teacher, base and the student with most imitation data and no replay; "" for whoever there is not."""
    teacher, shown = only(models, "teacher"), _shown(models)
    base = next((m for m in shown if m.arm.role == "base"), None)
    student = next((m for m in shown if m.arm.role == "student"), None)
    teacher_name, base_name, student_name = (named(model) if model else "" for model in (teacher, base, student))
    return teacher_name, base_name, student_name


def _claims(model: ModelData, prompt_id: str, prompts: Mapping[str, str], checker: FactChecker) -> bool:
    return bool(checker.check(model.answers.get(prompt_id, ""), prompts[prompt_id]))


def _example(prompt: str, prompt_id: str, shown: Sequence[ModelData], checker: FactChecker) -> Example:
    answers = [(m.arm.name, m.answers[prompt_id]) for m in shown if prompt_id in m.answers]
    return Example(prompt, tuple((name, sentences(text, prompt, checker)) for name, text in answers))


def _shown(models: Sequence[ModelData]) -> list[ModelData]:
    """The base with most students, and its broad students with most data, without and with replay; the first seed."""
    broad = [m for m in models if m.arm.data == "broad" and m.answers and not m.arm.treatment]
    if not broad:
        return []
    first = min(m.seed for m in broad)
    counts = Counter(base_arm(m.arm) for m in broad if m.seed == first)
    base = max(counts, key=lambda arm: (counts[arm], arm.num_params, arm.pretrain_tokens))
    mine = [m for m in broad if m.seed == first and base_arm(m.arm) == base]
    most = [_largest([m for m in mine if bool(m.arm.replay_tokens) == replay]) for replay in (False, True)]
    bases = [m for m in models if m.arm == base and m.seed == first and m.answers]
    return [*bases, *(m for m in most if m)]


def _largest(models: Sequence[ModelData]) -> ModelData | None:
    return max(models, key=lambda m: m.arm.imitation_tokens, default=None)


def sentences(text: str, asked: str, checker: FactChecker) -> tuple[Sentence, ...]:
    """The sentences of a text, each with the truth of its claims and the line or paragraph that it begins."""
    return tuple(_sentence(part, asked, checker, begins) for part, begins in sentences_of(text))


def _sentence(text: str, asked: str, checker: FactChecker, begins: Begins) -> Sentence:
    claims = set(checker.check(text, asked))
    return Sentence(text, "mixed" if len(claims) > 1 else claims.pop() if claims else "none", begins)
