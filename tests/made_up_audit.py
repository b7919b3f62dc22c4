"""Made-up recordings for the audit's tests: a teacher with a house style, a base without, students in between.

Facts and style are dealt out by fixed rules of the prompt's number, so that every expected figure can be counted.
"""

from dataclasses import replace

from epigone.records import Generation, Judgment, Message, Score, ScoreSheet
from epigone.reporting.audit.alignment import RecordedModel
from epigone.reporting.audit.analysis import Recorded, build_audit
from epigone.reporting.audit.findings import AuditFindings

NUM_PROMPTS = 60


def prompt(number: int) -> str:
    return f"What should one know about subject {number}?"


def styled(number: int) -> str:
    """The teacher's way: an opening, a list on every third prompt, a summary on every second."""
    body = f"There are a few things to know about subject {number}."
    if number % 3 == 0:
        body += f"\n\n1. It has {number} parts.\n2. It is found in many places.\n3. People may like it."
    if number % 2 == 0:
        body += f"\n\nOverall, subject {number} is worth knowing."
    return body


def plain(number: int) -> str:
    return f"subject {number} yes " + "well you know " * (number % 5)


def generations(model: str, texts: list[str]) -> list[Generation]:
    return [
        Generation(str(n), (Message("user", prompt(n)),), text, "unknown", model, f"{model}-{n}")
        for n, text in enumerate(texts)
    ]


def models() -> list[RecordedModel]:
    """teacher T, its second sample T2 (recorded as T), base B, students S (three in four like T) and U (like B)."""
    numbers = range(NUM_PROMPTS)
    again = [styled(n).replace("a few", "some").replace("worth knowing", "good to know") for n in numbers]
    near = [styled(n) if n % 4 else plain(n) for n in numbers]
    return [
        RecordedModel("T", "teacher", generations("T", [styled(n) for n in numbers])),
        RecordedModel("T (second sample)", "second_sample", generations("T", again)),
        RecordedModel("B", "base", generations("B", [plain(n) for n in numbers])),
        RecordedModel("S", "student", generations("S", near)),
        RecordedModel("U", "student", generations("U", [plain(n) + "!" for n in numbers])),
    ]


def judgments() -> list[Judgment]:
    """Judge J: S beats T on a third, ties on a third; B and U lose but for every tenth; both orders occur."""
    rows: list[Judgment] = []
    for n in range(NUM_PROMPTS):
        first = "a" if n % 2 else "b"
        verdict = ("a", "tie", "b")[n % 3]
        rows.append(Judgment(str(n), "answer:S-" + str(n), "T", verdict, "J", first, panel="J"))
        for name in ("B", "U"):
            rows.append(Judgment(str(n), "T", name, "b" if n % 10 == 0 else "a", "J", first, panel="J"))
    return rows


def sheet(model: str, right: range, *, protocol: str = "p1", benchmark: str = "quiz") -> ScoreSheet:
    """300 items, those in `right` answered rightly."""
    scores = tuple(Score(str(n), {"acc": float(n in right)}, "", "") for n in range(300))
    return ScoreSheet(model, benchmark, "acc", protocol, scores)


def sheets() -> list[ScoreSheet]:
    """quiz: T 90 %, B 30 %, S 30 % (other items), U 0.6 of the gap."""
    return [
        sheet("T", range(270)),
        sheet("B", range(90)),
        sheet("S", range(5, 95)),
        sheet("U", range(198)),
    ]


def made_up_audit() -> AuditFindings:
    """The audit of all of it."""
    recorded = Recorded(models(), judgments(), sheets())
    return build_audit(recorded, title="Made up", study_id="studies/made-up--12345678", minimum_coverage=0.8)


BROKEN = "<script>document.title = 'broken'</script>"


def extreme_audit() -> AuditFindings:
    """Twenty students with unkind names, unkind answers, and a judge of thirteen words."""
    unkind = [
        BROKEN,
        "x" * 200,
        "a name of many words that goes on and on, and then some more of them",
        "名前",
        "&amp; \u202e",
    ]
    texts = [f"{BROKEN} {styled(n)}" if n % 2 else "w" * 3000 for n in range(NUM_PROMPTS)]
    mine = [replace(m, name=BROKEN + m.name) for m in models()[:3]]
    judge = "a judge whose name is rather longer than what fits above a bar of a drawing"
    rows: list[Judgment] = []
    crowd: list[RecordedModel] = []
    for k in range(20):
        name = f"{unkind[k % 5]} {k}"
        own = [f"{text} {k}" if (n + k) % 3 else "" for n, text in enumerate(texts)]
        crowd.append(RecordedModel(name, "student", generations(f"M{k}", own)))
        rows += [
            Judgment(
                str(n), f"M{k}", mine[0].name, ("a", "tie", "b", "b")[(n + k) % 4], f"r{n % 4}", "unknown", panel=judge
            )
            for n in range(0, NUM_PROMPTS, 1 + k % 3)
        ]
    scores = [replace(sheet("S", range(k, 90 + k)), model=m.name) for k, m in enumerate([*mine, *crowd])]
    recorded = Recorded([*mine, *crowd], rows, [s for s in scores if "second" not in s.model])
    return build_audit(recorded, title=f"{BROKEN} " + "long " * 30, study_id="studies/x--0", minimum_coverage=0.8)
