"""Instruction following: every rule on texts for and against it, the shipped items, accuracy of both kinds."""

import json
from pathlib import Path

import pytest

from epigone.backends.canned import Canned
from epigone.benchmarks.instruction_following import OURS, InstructionFollowing
from epigone.errors import DataError
from epigone.metrics.constraints import CHECKS, by_instruction, follows, follows_loosely, readings

GERMAN = "Ein Leuchtturm weist den Schiffen bei Nacht den sicheren Weg in den Hafen."
FRENCH = "Le phare indique aux navires le chemin du port pendant la nuit."
TABLE = "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |"
CASES: list[tuple[str, dict[str, object], str, str]] = [
    ("num_words", {"at_least": 2, "at_most": 3}, "I don't know.", "I don't know it"),
    ("num_words", {"at_least": 2}, "well-known fact", "well-known"),
    ("num_sentences", {"at_least": 2, "at_most": 2}, 'One is 3.5 high. "Two!" ', "One. Two? Three."),
    ("num_sentences", {"at_most": 1}, "It ends in 3.5 days", "It ends. here"),
    ("num_sentences", {"at_least": 3, "at_most": 3}, "A title\n\n1. One.\n2. Two.", "A title\n1. One.\n2. Two"),
    ("longest_sentence", {"at_most": 3}, "One two three. One two.", "One two three four. One."),
    ("longest_sentence", {"at_most": 3}, "- one two\n- three four", "1. one two three four"),
    ("num_paragraphs", {"at_least": 2, "at_most": 2}, "a\nb\n \nc", "a\nb\nc"),
    ("num_paragraphs", {"at_most": 1}, "<<a>>\n\nb", "a\n\nb"),
    ("num_lines", {"at_least": 2, "at_most": 2}, "a\n\nb\n", "a"),
    ("num_bullets", {"at_least": 2, "at_most": 2}, "So:\n- a\n  * b", "- a\n- b\n• c"),
    ("num_bullets", {"at_least": 1}, "- a", "-a\n--\n**b**"),
    ("num_numbered", {"at_least": 2, "at_most": 2}, "1. a\n2) b", "1. a\n3. b"),
    ("num_headings", {"at_least": 1}, "## a", "#a"),
    ("num_highlights", {"at_least": 2}, "*a* and **b c**", "2 * 3 * 4 and *a\nb*"),
    ("num_placeholders", {"at_least": 2}, "[a] b [c d]", "[a] []"),
    ("num_capitals", {"at_least": 2, "at_most": 2}, "I SAY NO", "I SAY No"),
    ("letter_count", {"letter": "q", "at_least": 2}, "Quick quiz", "Quick"),
    ("includes", {"phrases": ["sea", "red ant"]}, "The Sea: a red ant.", "The season of red ants"),
    ("includes_times", {"phrase": "no", "at_least": 2, "at_most": 2}, "No, no!", "No, not no, no"),
    ("avoids", {"phrases": ["sea", "land"]}, "seaside and islands", "By the SEA."),
    ("avoids_characters", {"characters": ","}, "a; b", "a, b"),
    ("avoids_characters", {"characters": "z"}, "a", "Zoo"),
    ("all_lower", {}, "all small: 1é", "Not"),
    ("all_upper", {}, "ALL 1", "ALL s"),
    ("all_upper", {}, "A", "123"),
    ("starts_with", {"phrase": "Dear"}, "\nDear me", "dear me"),
    ("ends_with", {"phrase": "The end."}, "x The end.\n", "The end. Bye"),
    ("quoted", {}, ' "a" ', 'He said "a"'),
    ("one_of", {"options": ["yes", "no"]}, " Yes.", "Yes, it is"),
    ("title", {}, "<<A day>>\nIt was", "It was <<A day>>"),
    ("postscript", {}, "a\n\nP.S. b\nc", "P.S. b\n\na"),
    ("postscript", {}, "a\nP.S. b", "a\nP.S."),
    ("two_answers", {}, "a\n******\nb", "a\n******\na"),
    ("two_answers", {}, "a\n\n******\nb c", "a\n******\nb\n******\nc"),
    ("paragraph_starts", {"number": 2, "word": "However"}, "a\n\nhowever, b", "However\n\nb"),
    ("json_only", {}, ' {"a": [1]} ', '```json\n{"a": 1}\n```'),
    ("json_only", {"keys": ["a"]}, '{"a": 1, "b": 2}', '{"b": 1}'),
    ("json_only", {}, "[1]", "1"),
    ("table", {"num_columns": 2, "at_least": 2}, TABLE, TABLE.replace("| 3 | 4 |", "")),
    ("table", {"num_columns": 2}, TABLE, TABLE.replace("|---|:-:|\n", "")),
    ("table", {"num_columns": 2}, TABLE, TABLE.replace("| 1 | 2 |", "| 1 | 2 | 3 |")),
    ("acrostic", {"word": "ICE"}, "In\ncold\n\nEvenings", "Icy"),
    ("alphabetical", {}, "- Ape\n- bee\n- Cat", "bee\nape"),
    ("alphabetical", {}, "a\nb", "alone"),
    ("language", {"code": "de"}, GERMAN, FRENCH),
    ("language", {"code": "fr"}, FRENCH, "Oui"),
]


@pytest.mark.parametrize(("kind", "options", "good", "bad"), CASES)
def test_rules(kind: str, options: dict[str, object], good: str, bad: str) -> None:
    assert follows(good, kind, options) and follows_loosely(good, kind, options)
    assert not follows(bad, kind, options)


def test_every_rule_is_tried_and_an_empty_reply_follows_none() -> None:
    assert {kind for kind, *_ in CASES} == set(CHECKS)
    assert not any(follows(" \n", kind, options) for kind, options, *_ in CASES)


def test_loose_readings() -> None:
    """As in IFEval: without the first line, the last, or both, each with and without asterisks."""
    text = "Sure!\n*a*\nb\nBye"
    assert set(readings(text)) == {
        *(text, "*a*\nb\nBye", "Sure!\n*a*\nb", "*a*\nb"),
        *("Sure!\na\nb\nBye", "a\nb\nBye", "Sure!\na\nb", "a\nb"),
    }
    fenced = '```json\n{"a": 1}\n```'
    assert follows_loosely(fenced, "json_only", {}) and not follows(fenced, "json_only", {})
    assert not follows_loosely("No\nJSON\nat\nall", "json_only", {})
    assert not follows_loosely("one line", "num_words", {"at_most": 1}), "nothing is no answer"


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ROWS = (
    {
        "id": "a",
        "prompt": "A",
        "constraints": [{"kind": "all_lower"}, {"kind": "num_words", "at_most": 2}, {"kind": "title"}],
    },
    {"id": "b", "prompt": "B", "constraints": [{"kind": "json_only"}]},
    {"id": "c", "prompt": "C", "constraints": [{"kind": "num_words", "at_least": 1}]},
)


def test_scores(tmp_path: Path) -> None:
    benchmark = InstructionFollowing(written(tmp_path / "items.jsonl", *ROWS))
    a, b, c = benchmark.run(Canned({"A": "so be it", "B": "Here:\n{}", "C": ""}))
    assert (a.metrics["prompt_strict"], a.metrics["instruction_strict"], a.metrics["followed_strict"]) == (0, 1 / 3, 1)
    assert a.parsed == "num_words, title"
    assert (b.metrics["prompt_strict"], b.metrics["prompt_loose"], b.parsed) == (0, 1, "json_only")
    assert [c.metrics[f"{name}_loose"] for name in ("prompt", "instruction", "followed")] == [0, 0, 0]
    strict, loose = by_instruction([a, b, c]), by_instruction([a, b, c], "loose")
    assert (strict.value, loose.value) == pytest.approx((1 / 5, 2 / 5))
    assert strict.n == 3 and strict.low <= 0.2 <= strict.high


def test_on_task(tmp_path: Path) -> None:
    """Said of answers alone, and only where the judge says yes or no."""
    said = {"so": "Yes.", "be": "no", "it": "Perhaps"}

    class Judge:
        def generate(self, prompts, sampling):
            texts = [prompt.messages[-1].content for prompt in prompts]
            replies = [text.partition("<<<ANSWER\n")[2].partition("\n")[0] for text in texts]
            return Canned(default="", replies={t: said[r] for t, r in zip(texts, replies)}).generate(prompts, sampling)

    rows = [*ROWS, {"id": "d", "prompt": "D", "constraints": [{"kind": "title"}]}]
    benchmark = InstructionFollowing(written(tmp_path / "items.jsonl", *rows), judge=Judge())
    scores = benchmark.run(Canned({"A": "so", "B": "be", "C": "it"}))
    assert [score.metrics.get("on_task") for score in scores] == [1.0, 0.0, None, None]
    assert benchmark.protocol != InstructionFollowing(benchmark.path).protocol


@pytest.mark.parametrize(
    ("constraints", "says"),
    [
        ([{"kind": "num_wrods"}], "row 1: there is no constraint 'num_wrods'; there is: num_words, "),
        ([{"kind": "num_words", "most": 3}], "row 1: constraint num_words: got an unexpected keyword argument 'most'"),
        ([{"kind": "includes"}], "constraint includes: missing a required argument: 'phrases'"),
        ([], "a non-empty list is needed"),
        (["title"], "an object"),
    ],
)
def test_bad_items(tmp_path: Path, constraints: list[object], says: str) -> None:
    path = written(tmp_path / "bad.jsonl", {"id": "a", "prompt": "A", "constraints": constraints})
    with pytest.raises(DataError, match=says):
        InstructionFollowing(path).items()


def test_the_shipped_items() -> None:
    """Over a hundred, ids and prompts of their own, every rule asked for, what is asked for said in the prompt."""
    rows = [json.loads(line) for line in OURS.read_text().splitlines()]
    items = InstructionFollowing().items()
    assert len(items) == len({item.id for item in items}) == len({item.question for item in items}) == 120
    asked = [rule for row in rows for rule in row["constraints"]]
    assert {rule["kind"] for rule in asked} == set(CHECKS)
    assert sum(len(row["constraints"]) > 1 for row in rows) >= 80
    for row in rows:
        for rule in row["constraints"]:
            named = [rule.get(name) for name in ("phrase", "word", "letter", "at_least", "at_most")]
            named += [*rule.get("phrases", ()), *rule.get("options", ()), *rule.get("keys", ())]
            wanted = [str(value) for value in named if value not in (None, 1)]
            assert [text for text in wanted if text not in row["prompt"]] == [], row["id"]


ANSWERED = {
    "if-005": "- wider work\n- new friends\n- a sharper mind\n- better trips",
    "if-009": "Dear neighbour,\nmy ferns are alive, thanks to you.\nYours gratefully",
    "if-011": '{"capital": "Lisbon", "population": "10 million", "language": "Portuguese"}',
    "if-015": "Crumb & Co. It is short and warm.\n******\nThe Daily Loaf. It says what it sells.",
    "if-017": "Yes.",
    "if-030": "Red at dawn\nOpen gates\nSoft rain\nEvening comes",
    "if-032": "badger\nbear\ndeer\nfox\nhedgehog\nowl\nsquirrel\nwolf",
    "if-043": '"A door that opens wherever you read."',
    "if-066": '{"name": "Ada", "age": 36, "hobbies": ["mathematics"]}',
    "if-078": "1. Dig a hole that is wider than the roots.\n2. Set the tree.\n3. Fill it.\n4. Water it well.",
    "if-083": "Mind the floor: it is WET.",
    "if-119": "Welcome to [city]. We start at the gate. The tower is next. Ask whatever you like.",
    "if-120": "rain on the hill\nit runs down\nvalleys take it\neddies slow\nreeds, salt, sea",
}


@pytest.mark.parametrize("item_id", ANSWERED)
def test_answers_by_hand(item_id: str) -> None:
    benchmark = InstructionFollowing()
    asked = {item.id: item.question for item in benchmark.items()}
    scores = benchmark.run(Canned({asked[item_id]: ANSWERED[item_id]}))
    score = next(score for score in scores if score.item_id == item_id)
    assert score.metrics["prompt_strict"] == 1, score.parsed
    assert sum(other.metrics["followed_loose"] for other in scores) == score.metrics["num_constraints"]


IN = {
    "de": "Der Wind weht heute kalt durch die alten Gassen unserer kleinen Stadt.",
    "fr": "Le vent souffle aujourd'hui dans les vieilles rues de notre petite ville.",
    "es": "El viento sopla hoy por las viejas calles de nuestra pequeña ciudad.",
    "it": "Il vento soffia oggi tra le vecchie strade della nostra piccola città.",
    "pt": "O vento sopra hoje pelas velhas ruas da nossa pequena cidade, e não pára.",
    "nl": "De wind waait vandaag door de oude straten van onze kleine stad.",
}


class Rules:
    """What an item asks for, by kind: bounds and options."""

    def __init__(self, constraints: list[dict]) -> None:
        self.by_kind = {rule["kind"]: rule for rule in constraints}

    def __contains__(self, kind: str) -> bool:
        return kind in self.by_kind

    def get(self, kind: str, option: str, default=None):
        return self.by_kind.get(kind, {}).get(option, default)

    def count(self, kind: str, default: int) -> int:
        """A number within the bounds of a kind."""
        rule = self.by_kind.get(kind, {})
        return min(max(default, rule.get("at_least", 0)), rule.get("at_most", 10**9))


def made_up(rules: Rules) -> str:
    """An answer that follows every rule of an item and says nothing."""
    if "json_only" in rules:
        keys = rules.get("json_only", "keys")
        return json.dumps(dict.fromkeys(keys, "a horse")) if keys else '["a"]'
    if "one_of" in rules:
        return rules.get("one_of", "options")[0]
    if "table" in rules:
        row = "|" + " a |" * rules.get("table", "num_columns")
        rows = [row] * rules.get("table", "at_least")
        return "\n".join([row, row.replace("a", "---"), *rows])
    text = "one\n******\nanother" if "two_answers" in rules else whole(rules)
    text = f'"{text}"' if "quoted" in rules else text
    text = text.lower() if "all_lower" in rules else text
    return text.upper() if "all_upper" in rules else text


def whole(rules: Rules) -> str:
    inside = [*extras(rules)]
    for kind, mark in (("num_bullets", "- "), ("num_numbered", "")):
        if kind in rules:
            rows = [f"{mark or f'{n + 1}. '}a{'abcdefgh'[n]}." for n in range(rules.count(kind, 3))]
            rows[-1] = " ".join(filter(None, [rows[-1][:-1], *inside, IN.get(rules.get("language", "code", ""))])) + "."
            heads = [f"# b{n}" for n in range(rules.count("num_headings", 0))]
            return padded("\n".join([*heads, *rows]), rules)
    if "acrostic" in rules:
        return "\n".join(rules.get("acrostic", "word"))
    if "num_lines" in rules or "alphabetical" in rules:
        first, last = rules.get("starts_with", "phrase", "a"), " ".join(["b", *inside])
        between = [f"a{'bcdefghijk'[n]}" for n in range(rules.count("num_lines", 3) - 2)]
        return "\n".join([first, *between, last])
    return prose(rules, inside)


def extras(rules: Rules) -> list[str]:
    """What must stand somewhere."""
    found = list(rules.get("includes", "phrases", ()))
    found += [rules.get("includes_times", "phrase", "")] * rules.count("includes_times", 0)
    found += ["[a]"] * rules.count("num_placeholders", 0) + ["*a*"] * rules.count("num_highlights", 0)
    found += ["UP"] * rules.count("num_capitals", 0)
    return [*found, rules.get("letter_count", "letter", "") * rules.count("letter_count", 0)]


def prose(rules: Rules, inside: list[str]) -> str:
    plain = IN.get(rules.get("language", "code", ""), "we go up.")
    num_paragraphs = rules.count("num_paragraphs", 1)
    sentences = [plain] * max(num_paragraphs, rules.count("num_sentences", num_paragraphs))
    sentences[-1] = " ".join(filter(None, [plain[:-1], *inside])) + "."
    paragraphs = [*sentences[: num_paragraphs - 1], " ".join(sentences[num_paragraphs - 1 :])]
    if "paragraph_starts" in rules:
        number, word = rules.get("paragraph_starts", "number") - 1, rules.get("paragraph_starts", "word")
        paragraphs[number] = f"{word} {paragraphs[number]}"
    paragraphs[0] = f"{rules.get('starts_with', 'phrase', '')} {paragraphs[0]}".strip()
    if "title" in rules:
        paragraphs.insert(0, "<<A>>")
    paragraphs = [f"# b\n{text}" for text in paragraphs] if "num_headings" in rules else paragraphs
    paragraphs += ["# b"] * (rules.count("num_headings", 0) - len(paragraphs))
    text = padded("\n\n".join(paragraphs), rules)
    text += f" {rules.get('ends_with', 'phrase', '')}" if "ends_with" in rules else ""
    return text + "\nP.S. a" if "postscript" in rules else text


def padded(text: str, rules: Rules) -> str:
    """With as many words as must be, in sentences as short as must be."""
    while not CHECKS["num_words"](text, at_least=rules.get("num_words", "at_least", 0)):
        text = f"{text} we go." if "longest_sentence" in rules else f"{text[:-1]} up{text[-1]}"
    return text


def test_every_shipped_item_can_be_followed() -> None:
    """An answer is made up for each; where none could be, the item would ask for what cannot be."""
    rows = [json.loads(line) for line in OURS.read_text().splitlines()]
    scores = InstructionFollowing().run(Canned({row["prompt"]: made_up(Rules(row["constraints"])) for row in rows}))
    missed = [(score.item_id, score.parsed, score.reply) for score in scores if score.metrics["prompt_strict"] != 1]
    assert missed == []
