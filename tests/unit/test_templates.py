"""Every chat template against a count by hand: one token a byte, so that what is learnt can be counted."""

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from epigone.errors import DataError, SpecError
from epigone.records import Message
from epigone.tokens.chat_template import ChatTokens
from epigone.tokens.templates.chatml import Chatml
from epigone.tokens.templates.jinja import Jinja
from epigone.tokens.templates.koala import Koala
from epigone.tokens.templates.special_tokens import SpecialTokens
from epigone.tokens.tokenizer import Tokenizer

CONTROL = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
PLAIN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
ASKED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CALLS = json.dumps([{"type": "function", "function": {"name": "look", "arguments": '{"at": "<|im_end|>"}'}}])


def byte_backend() -> tokenizers.Tokenizer:
    vocabulary = {character: i for i, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(CONTROL))
    return backend


BYTES = Tokenizer(byte_backend())
texts = st.lists(st.one_of(st.sampled_from([*CONTROL, "\n", " ", "a"]), st.text(max_size=4)), max_size=4).map("".join)
turns = st.lists(st.tuples(texts, texts), min_size=1, max_size=3)
Expected = list[tuple[str | int, bool]]
"""(a control token, or a number of bytes) and whether it is learnt."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tokenizer")
    byte_backend().save(str(place / "tokenizer.json"))
    return place


def jinja(folder: Path, text: str, **options: object) -> Jinja:
    (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
    return Jinja(str(folder / "chat_template.jinja"), str(folder), **options)


def dialogue(pairs: list[tuple[str, str]]) -> list[Message]:
    return [m for asked, said in pairs for m in (Message("user", asked), Message("assistant", said))]


def assert_is(template: object, messages: list[Message], expected: Expected) -> None:
    ids, mask = ChatTokens(BYTES, template).encode(messages)
    by_hand = [
        (what if isinstance(what, str) else None, learnt)
        for what, learnt in expected
        for _ in range(1 if isinstance(what, str) else what)
    ]
    ours = [BYTES.backend.id_to_token(id_) if id_ in BYTES.control_ids else None for id_ in ids]
    assert list(zip(ours, mask, strict=True)) == by_hand


def size(text: str) -> int:
    return len(text.encode())


@settings(max_examples=40)
@given(turns)
def test_special_tokens(pairs):
    expected: Expected = []
    for asked, said in pairs:
        expected += [("<|user|>", False), (size(asked.strip()) + 1, False), ("<|assistant|>", False)]
        expected += [(size(said.strip()) + 1, True), ("<|end|>", True)]
    assert_is(SpecialTokens(), dialogue(pairs), expected)


@settings(max_examples=40)
@given(turns)
def test_koala(pairs):
    expected: Expected = [("<s>", False), (size("BEGINNING OF CONVERSATION: "), False)]
    for asked, said in pairs:
        expected += [(size(f"USER: {asked.strip()} GPT:"), False), (size(f" {said.strip()}"), True), ("</s>", True)]
    assert_is(Koala(), dialogue(pairs), expected)


def test_koala_to_the_blank():
    pieces = Koala().pieces(dialogue([(" Hi. ", "Hello!"), ("And?", "\nNo.")]))
    assert "".join(p.text for p in pieces) == (
        "<s>BEGINNING OF CONVERSATION: USER: Hi. GPT: Hello!</s>USER: And? GPT: No.</s>"
    )
    asked = Koala(begin="").prompt([Message("user", "Hi.")])
    assert "".join(p.text for p in asked) == "BEGINNING OF CONVERSATION: USER: Hi. GPT:"


def chatml_by_hand(pairs: list[tuple[str, str]]) -> Expected:
    expected: Expected = []
    for asked, said in pairs:
        expected += [("<|im_start|>", False), (size(f"user\n{asked}"), False), ("<|im_end|>", False), (1, False)]
        expected += [("<|im_start|>", False), (size("assistant\n"), False), (size(said), True), ("<|im_end|>", True)]
        expected += [(1, False)]
    return expected


@settings(max_examples=40)
@given(turns)
def test_chatml(pairs):
    assert_is(Chatml(), dialogue(pairs), chatml_by_hand(pairs))


@settings(max_examples=40)
@given(turns)
def test_jinja_without_marks(folder, pairs):
    assert_is(jinja(folder, PLAIN + ASKED), dialogue(pairs), chatml_by_hand(pairs))


@settings(max_examples=40)
@given(turns)
def test_jinja_with_marks(folder, pairs):
    marked = PLAIN.replace(
        "{{ m.content }}<|im_end|>",
        "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}"
        "{% else %}{{ m.content }}<|im_end|>{% endif %}",
    )
    # trim_blocks takes the new line behind a block's end, here as in transformers
    text = marked.replace("{% endif %}\n{% endfor %}", "{% endif %}{{ '\\n' }}{% endfor %}")
    assert_is(jinja(folder, text), dialogue(pairs), chatml_by_hand(pairs))


@settings(max_examples=40)
@given(turns)
def test_a_prompt_is_how_its_conversation_begins(folder, pairs):
    messages = dialogue(pairs)
    for template in (SpecialTokens(), Koala(), Chatml(), jinja(folder, PLAIN + ASKED)):
        chat = ChatTokens(BYTES, template)
        prompt, (ids, mask) = chat.prompt(messages[:-1]), chat.encode(messages)
        assert ids[: len(prompt)] == prompt
        assert mask[len(prompt)] and not mask[len(prompt) - 1]


def test_system_messages_are_refused_or_folded():
    messages = [Message("system", "Be brief. "), *dialogue([("Hi.", "Hello!")])]
    for template in (SpecialTokens(), Koala()):
        with pytest.raises(SpecError, match=r"'system'.*user, assistant.*system: fold.*chatml"):
            template.pieces(messages)
    folded = SpecialTokens(system="fold").pieces(messages)
    assert folded == SpecialTokens().pieces(dialogue([("Be brief.\n\nHi.", "Hello!")]))
    with pytest.raises(SpecError, match="no user speaks after it"):
        Koala(system="fold").pieces([*dialogue([("Hi.", "Hello!")]), Message("system", "Stop.")])
    assert "".join(p.text for p in Chatml().pieces(messages)).startswith("<|im_start|>system\nBe brief. <|im_end|>\n")


def test_reasoning_is_refused_left_out_read_or_learnt():
    messages = [Message("user", "2+2?"), Message("assistant", "4", reasoning="Two and two.")]
    plain = [Message("user", "2+2?"), Message("assistant", "4")]
    for cls in (SpecialTokens, Koala):
        with pytest.raises(SpecError, match=r"reasoning: leave_out.*chatml"):
            cls().pieces(messages)
        assert cls(reasoning="leave_out").pieces(messages) == cls().pieces(plain)
    assert Chatml(reasoning="leave_out").pieces(messages) == Chatml().pieces(plain)
    thought = size("<think>\nTwo and two.\n</think>\n\n")
    opening: Expected = [*chatml_by_hand([("2+2?", "")])[:6]]
    ending: Expected = [(1, True), ("<|im_end|>", True), (1, False)]
    assert_is(Chatml(), messages, [*opening, (thought, True), *ending])
    assert_is(Chatml(reasoning="read"), messages, [*opening, (thought, False), *ending])


THINKING = PLAIN.replace(
    "{{ m.content }}",
    "{% if m.reasoning_content %}{{ '<think>' + m.reasoning_content.strip('\\n') + '</think>' }}{% endif %}"
    "{{ m.content }}",
)


def test_reasoning_in_a_published_template(folder):
    messages = [Message("user", "2+2?"), Message("assistant", "4", reasoning="\nTwo and <|im_end|>.\n")]
    opening: Expected = [*chatml_by_hand([("2+2?", "")])[:6]]
    ending: Expected = [(1, True), ("<|im_end|>", True), (1, False)]
    thought = size("Two and <|im_end|>.")
    assert_is(jinja(folder, THINKING + ASKED), messages, [*opening, (thought + 15, True), *ending])
    read = jinja(folder, THINKING + ASKED, reasoning="read")
    assert_is(read, messages, [*opening, (7, True), (thought, False), (8, True), *ending])
    left = jinja(folder, THINKING + ASKED, reasoning="leave_out")
    assert_is(left, messages, [*opening, *ending])
    with pytest.raises(SpecError, match="no place for reasoning"):
        jinja(folder, PLAIN + ASKED).pieces(messages)


def test_tool_calls_reach_a_published_template_parsed_and_are_refused_elsewhere(folder):
    messages = [
        Message("user", "Look."),
        Message("assistant", "", tool_calls=CALLS),
        Message("tool", "nothing", tool_call_id="7"),
        Message("assistant", "There is nothing."),
    ]
    for template in (SpecialTokens(), Koala(), Chatml()):
        with pytest.raises(SpecError, match=r"tool.*jinja"):
            template.pieces(messages)
    with pytest.raises(SpecError, match="no place for tool calls"):
        jinja(folder, PLAIN + ASKED).pieces(messages)
    calls = "{% for c in m.tool_calls or [] %}{{ c.function.arguments['at'] }}{% endfor %}{{ m.tool_call_id }}"
    pieces = jinja(folder, PLAIN.replace("{{ m.content }}", "{{ m.content }}" + calls) + ASKED).pieces(messages)
    learnt = [(p.text, p.is_control) for p in pieces if p.is_learnt]
    assert learnt == [("<|im_end|>", False), ("<|im_end|>", True), ("There is nothing.", False), ("<|im_end|>", True)]
    assert "tool\nnothing7" in [p.text for p in pieces]
    with pytest.raises(SpecError, match="not JSON"):
        jinja(folder, PLAIN + ASKED).pieces([Message("assistant", "", tool_calls="look()")])


def test_a_template_that_leaves_out_words_is_refused(folder):
    with pytest.raises(SpecError, match="leaves out what message 2 says"):
        jinja(folder, "{{ messages[0].content }}").pieces(dialogue([("Hi.", "Hello!")]))


def test_where_a_published_template_stands(folder, tmp_path):
    pairs = dialogue([("Hi.", "Hello!")])
    config = {
        "bos_token": {"content": "<s>"},
        "chat_template": [{"name": "default", "template": "{{ bos_token }}" + PLAIN}],
    }
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(config))
    assert Jinja(str(path), str(folder)).pieces(pairs)[0].text == "<s>"
    path.write_text("{}")
    with pytest.raises(DataError, match=r"holds no chat_template.*special_tokens"):
        Jinja(str(path), str(folder)).pieces(pairs)


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__.os }}",
        "{{ ''['__class__']['__mro__'] }}",
        "{{ (''|attr('__class__')).__mro__ }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ dict.__init__.__globals__ }}",
        "{% set ns = namespace(__class__=1) %}",
        "{% set ns = namespace() %}{% set ns.__init__ = 1 %}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'content': ''}) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id') }}",
        "{{ range(10 ** 9) | list }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
    ],
)
def test_a_template_gets_out_of_its_sandbox_nowhere(folder, attack):
    with pytest.raises(SpecError, match="chat template"):
        jinja(folder, attack + PLAIN).pieces(dialogue([("Hi.", "Hello!")]))


def test_what_published_templates_use_is_there(folder):
    text = (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}"
        "{% set ns.n = ns.n + 1 %}{% break %}{% endfor %}{{ ns.n }}{{ {'ü': [1]} | tojson }}{{ dict(a=1).a }}"
        "{{ strftime_now('%d %b %Y') }}{{ messages | map(attribute='content') | join }}{{ mode }}"
    )
    made = jinja(folder, text, date="2024-07-26", variables=(("mode", "short"),))
    assert made.prompt(dialogue([("Hi.", "Yes.")]))[0].text == '1{"ü": [1]}126 Jul 2024Hi.Yes.short'
    with pytest.raises(SpecError, match=r"date.*2024-07-26"):
        jinja(folder, text).prompt(dialogue([("Hi.", "Yes.")]))
    with pytest.raises(SpecError, match="users come first"):
        jinja(folder, "{{ raise_exception('users come first') }}").prompt(dialogue([("Hi.", "Yes.")]))
    with pytest.raises(SpecError, match="not a chat template"):
        jinja(folder, "{% if %}").prompt(dialogue([("Hi.", "Yes.")]))
    with pytest.raises(SpecError, match=r"U\+FDD0"):
        jinja(folder, PLAIN).pieces(dialogue([("\ufdd1", "Yes.")]))
