"""The simulated world's benchmark files, in the published formats.

In: facts. Out: files as text by path: NQ-open JSON lines, MMLU's headerless CSV, LAMA's T-REx rows,
RealToxicityPrompts rows. Evaluations ask about held-out facts; exemplars and the teacher's errors are about the
others.
Sources: the file formats as cited in benchmarks/natural_questions, mmlu, lama and real_toxicity_prompts.
"""

import csv
import io
import json
import random
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence

from epigone.testbed.corpus import choice_block, rude_line
from epigone.testbed.facts import Fact
from epigone.testbed.relations import BY_NAME
from epigone.testbed.wording import CHOICE_SUBJECTS, LETTERS, RUDE_WORDS

NUM_ROWS_A_SUBJECT = 60
NUM_DEV_ROWS = 5
NUM_TOXICITY_ROWS = 100
_OTHER_ATTRIBUTES = ("profanity", "sexually_explicit", "identity_attack", "flirtation", "threat", "insult")


def benchmark_files(facts: Sequence[Fact], seed: int) -> dict[str, str]:
    """Path within the world -> content."""
    held_out = [fact for fact in facts if fact.held_out]
    known = [fact for fact in facts if not fact.held_out]
    rng = random.Random(f"questions {seed}")
    wrong = [fact for fact in known if fact.teacher_object not in ("", fact.object)]
    return {
        "nq/NQ-open.train.jsonl": json_lines(_ask(fact, rng) for fact in rng.sample(known, len(known))),
        "nq/NQ-open.dev.jsonl": json_lines(_ask(fact, rng) for fact in rng.sample(held_out, len(held_out))),
        "nq/teacher_errors.jsonl": json_lines(row for fact in wrong for row in _ask_in_all_forms(fact)),
        "lama/facts.jsonl": json_lines(_cloze(fact) for fact in held_out),
        "realtoxicityprompts/prompts.jsonl": json_lines(_toxicity_rows(rng)),
        **_choice_files(known, held_out, rng),
    }


def json_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _ask(fact: Fact, rng: random.Random) -> dict[str, object]:
    return _row(rng.choice(BY_NAME[fact.relation].questions), fact.subject, fact.object)


def _ask_in_all_forms(fact: Fact) -> list[dict[str, object]]:
    """The answer is what the teacher believes, which is wrong: who gives it repeats the teacher's error."""
    return [_row(question, fact.subject, fact.teacher_object) for question in BY_NAME[fact.relation].questions]


def _row(question: str, subject: str, answer: str) -> dict[str, object]:
    return {"question": question.format(s=subject), "answer": [answer]}


def _cloze(fact: Fact) -> dict[str, object]:
    sentence = BY_NAME[fact.relation].statements[0].removesuffix(".").format(s=fact.subject, o="[MASK]")
    return {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{fact.relation} {fact.subject}")),
        "predicate_id": BY_NAME[fact.relation].predicate_id,
        "sub_label": fact.subject,
        "obj_label": fact.object,
        "masked_sentences": [f"{sentence} ."],
    }


def _choice_files(known: Sequence[Fact], held_out: Sequence[Fact], rng: random.Random) -> dict[str, str]:
    files: dict[str, str] = {}
    for subject in CHOICE_SUBJECTS:
        dev, test = ([f for f in fs if BY_NAME[f.relation].subject_area == subject] for fs in (known, held_out))
        for folder, facts in (
            ("dev", rng.sample(dev, NUM_DEV_ROWS)),
            ("test", rng.sample(test, min(len(test), NUM_ROWS_A_SUBJECT))),
        ):
            pool = known if folder == "dev" else (*known, *held_out)
            files[f"mmlu/{folder}/{subject}_{folder}.csv"] = _csv(_choice_row(fact, pool, rng) for fact in facts)
    return files


def _choice_row(fact: Fact, pool: Iterable[Fact], rng: random.Random) -> list[str]:
    wrong = sorted({f.object for f in pool if f.relation == fact.relation} - {fact.object})
    question, options, label = choice_block(rng, fact, wrong)
    return [question, *options, LETTERS[label]]


def _csv(rows: Iterable[list[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _toxicity_rows(rng: random.Random) -> list[dict[str, object]]:
    """Openings of rude posts: some sentences, and the first half of one more."""
    rows: dict[str, dict[str, object]] = {}
    while len(rows) < NUM_TOXICITY_ROWS:
        words = rude_line(rng).split(" ")
        half = len(words) // 2
        opening = " ".join([*(rude_line(rng) for _ in range(rng.randint(0, 2))), *words[:half]])
        prompt, continuation = _attributes(opening), _attributes(" " + " ".join(words[half:]))
        length = {"begin": 0, "end": len(opening)}
        row = {"filename": f"rude-{len(rows)}.txt", **length, "challenging": False, "prompt": prompt}
        rows.setdefault(opening, {**row, "continuation": continuation})
    return list(rows.values())


def _attributes(text: str) -> dict[str, object]:
    """The published attributes; only toxicity and insult are given, by counting rude words."""
    num_rude = sum(word in RUDE_WORDS for word in re.findall("[a-z]+", text.lower()))
    toxicity = min(1.0, num_rude / 2)
    rest: dict[str, object] = {name: None for name in _OTHER_ATTRIBUTES}
    return {"text": text, **rest, "insult": toxicity, "severe_toxicity": None, "toxicity": toxicity}
