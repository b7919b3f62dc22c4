"""The simulated world's word-level tokenizer: one token an entity, digits one by one, blanks implied.

In: the words of `relations`, `wording` and the facts. Out: a Hugging Face `tokenizers.Tokenizer`. Blanks are
not tokens; the decoder's rules put them back, and the world's texts are spaced by exactly these rules, so
decode(encode(t)) == t.
Source: https://huggingface.co/docs/tokenizers (WordLevel, Split, decoders.Replace).
"""

import re
from collections.abc import Iterable
from types import ModuleType

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from epigone.testbed import relations, wording
from epigone.testbed.facts import Fact

PAD, END, USER, ASSISTANT, UNKNOWN = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|unk|>"
CONTROL = (PAD, END, USER, ASSISTANT, UNKNOWN)  # <|pad|> is 0

# "print(" is one token, as "(" after a blank is another: code and prose are spaced differently.
PIECE = r"\n|\d|[a-z]+\(|[A-Za-z]+|[^\sA-Za-z\d]"
SPACING = (  # (pattern, what stands for it), after all tokens have been joined by blanks
    (r" ?\n ?", "\n"),
    (r" (?=[.,:;!?)\]])", ""),
    (r"(?<=[(\[]) ", ""),
    (r"(?<=\d) (?=\d)", ""),
)
_PIECES = re.compile(PIECE)


def pieces(text: str) -> list[str]:
    """The text's tokens as strings."""
    return _PIECES.findall(text)


def count_tokens(text: str) -> int:
    """Number of tokens of a text of the world."""
    return len(_PIECES.findall(text))


def cut_tokens(text: str, max_tokens: int) -> str:
    """The text's first tokens, as they stand in it."""
    ends = [match.end() for match in _PIECES.finditer(text)]
    return text if len(ends) <= max_tokens else text[: ends[max_tokens - 1]] if max_tokens else ""


def build_tokenizer(facts: Iterable[Fact]) -> Tokenizer:
    """A tokenizer for every text that the world can make; `<|unk|>` stands for anything else."""
    words = {piece for text in _texts(relations, wording) for piece in pieces(re.sub(r"\{\w*\}", " x ", text))}
    words |= {piece for fact in facts for name in (fact.subject, fact.object) for piece in pieces(name)}
    words |= {str(digit) for digit in range(10)} | {f"{name}(" for name in wording.CODE_FUNCTIONS}
    words |= {word.capitalize() for thing in wording.RUDE_THINGS for word in thing.split()[:1]}
    words |= {f"{question[0].upper()}{question[1:]}".split()[0] for question in _first_questions()}
    vocabulary = {token: i for i, token in enumerate((*CONTROL, *sorted(words)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), behavior="removed", invert=True)
    spacing = [decoders.Replace(Regex(pattern), content) for pattern, content in SPACING]
    # WordPiece with a prefix that no token has puts a blank before every token but the first.
    joined = [decoders.WordPiece(prefix="\0", cleanup=False), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*joined, *spacing])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    return tokenizer


def _first_questions() -> list[str]:
    return [relation.questions[0] for relation in relations.RELATIONS]


def _texts(*modules: ModuleType) -> list[str]:
    """Every string in the modules' public tables."""
    found: list[str] = []
    for module in modules:
        for name, value in vars(module).items():
            if name.isupper() and not name.startswith("_"):
                found += _strings(value)
    return found


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return _strings(tuple(value.values()))
    if isinstance(value, relations.Relation):
        return [*value.statements, *value.questions, value.topic, value.subject_area]
    if isinstance(value, tuple | frozenset):
        return [text for item in value for text in _strings(item)]
    return []
