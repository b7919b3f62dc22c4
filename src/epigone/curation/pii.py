"""PII: conversations that hold addresses, numbers and accounts of persons are dropped, or those are masked.

In: conversations, which stream. Out: the same, those with a finding as Drops that name its kind, never its text; or,
masked, the conversation with <EMAIL_ADDRESS> and the like in its place. A masked conversation is kept and counted as
kept; the marks in its text say how often.
Source: the pattern recognisers of presidio-analyzer (https://microsoft.github.io/presidio/supported_entities), by
regular expression and checksum alone: no NLP engine, no model, no network. Names and street addresses are therefore not
found, and no score is raised by words nearby. Addresses that belong to nobody are passed over: the domains reserved for
examples (https://www.rfc-editor.org/rfc/rfc2606) and IP addresses that are not global (https://www.rfc-editor.org/rfc/rfc6890).
An invented address in another domain (your_name@gmail.com) counts like a real one.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from epigone.curation import Turns
from epigone.discover import load
from epigone.errors import SpecError
from epigone.records import Conversation, Drop, Message

RECOGNISERS = {
    "CREDIT_CARD": "CreditCardRecognizer",
    "CRYPTO": "CryptoRecognizer",
    "EMAIL_ADDRESS": "EmailRecognizer",
    "IBAN_CODE": "IbanRecognizer",
    "IP_ADDRESS": "IpRecognizer",
    "PHONE_NUMBER": "PhoneRecognizer",
    "URL": "UrlRecognizer",
    "US_SSN": "UsSsnRecognizer",
}
"""Kinds that may be asked for, and presidio's class for each."""
STRICT_GROUPING = 2
"""Of phonenumbers.Leniency: digits must stand in the groups that the country writes them in."""
_MAY_HOLD = {
    "EMAIL_ADDRESS": re.compile("@"),
    "IP_ADDRESS": re.compile(r"\d\.\d{1,3}\.|:[0-9a-fA-F]{0,4}:"),
    "PHONE_NUMBER": re.compile(r"(?:\d\D{0,4}){6}\d"),
}
"""What a text must hold for a kind to be looked for: a text without it is passed over at once."""
_ANYTHING = re.compile("")
_FOR_EXAMPLES = re.compile(r"(?:[@.]example\.(?:com|net|org)|\.(?:example|test|invalid|localhost))\W*\Z", re.IGNORECASE)


class Span(NamedTuple):
    """Where something was found, what it is, and presidio's score."""

    kind: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class PII:
    """Drops or masks what presidio's pattern recognisers find; needs the extra `pii`."""

    entities: tuple[str, ...] = tuple(kind for kind in RECOGNISERS if kind != "URL")
    """Kinds that are looked for; all but URL by default, since a link is rarely a person's."""
    threshold: float = 0.4
    """Presidio's score, 0-1, from which a finding counts: 1 where a checksum holds, .4 for telephone numbers, .5 for a
    social security number with its dashes, .05 for one without."""
    phone_regions: tuple[str, ...] = ("US",)
    """Countries whose national telephone numbers are known; numbers that begin with + are known from anywhere. With
    presidio's own eight, account numbers and dates are taken for telephone numbers: 40 of 46 findings in ShareGPT."""
    action: Literal["drop", "mask"] = "drop"
    """Drop the conversation, or keep it with each finding replaced by its kind in angle brackets."""
    turns: Turns = "all"
    """Which turns are searched and masked: the `first` query, every query (`user`), or `all`, the system prompt too."""

    def __post_init__(self) -> None:
        strange = [kind for kind in self.entities if kind not in RECOGNISERS]
        if strange or not self.entities:
            raise SpecError(f"entities {self.entities!r}: allowed are {', '.join(RECOGNISERS)}")
        if self.action not in ("drop", "mask"):
            raise SpecError(f"action {self.action!r}: allowed are drop and mask")

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order. Raises SpecError where presidio-analyzer is not installed."""
        find = finder(self.entities, self.threshold, self.phone_regions)
        for conversation in conversations:
            spans = [find(m.content) if self._counts(m, conversation) else [] for m in conversation.messages]
            kinds = Counter(span.kind for found in spans for span in found)
            if not kinds:
                yield conversation
            elif self.action == "mask":
                masked = (replace(m, content=_masked(m.content, s)) for m, s in zip(conversation.messages, spans))
                yield replace(conversation, messages=tuple(masked))
            else:
                yield Drop(conversation.id, "PII", ", ".join(f"{num} {kind}" for kind, num in sorted(kinds.items())))

    def _counts(self, message: Message, conversation: Conversation) -> bool:
        if self.turns == "first":
            return message is next((m for m in conversation.messages if m.role == "user"), None)
        return self.turns == "all" or message.role == "user"


def finder(entities: tuple[str, ...], threshold: float, phone_regions: tuple[str, ...]) -> Callable[[str], list[Span]]:
    """A function that finds the spans of a text, in order, none overlapping another."""
    try:
        predefined = load("presidio_analyzer.predefined_recognizers")
        extractor = load("tldextract").TLDExtract(cache_dir=None, suffix_list_urls=())  # its own list: no network
    except ImportError as error:
        raise SpecError(f"the filter pii needs presidio-analyzer ({error}): pip install 'epigone[pii]'") from error
    phones = {"PHONE_NUMBER": {"supported_regions": phone_regions, "leniency": STRICT_GROUPING}}
    recognisers = [(kind, getattr(predefined, RECOGNISERS[kind])(**phones.get(kind, {}))) for kind in entities]
    for kind, recogniser in recognisers:
        if kind == "EMAIL_ADDRESS":  # presidio's own check would fetch the list of domains
            recogniser.validate_result = lambda text: extractor(text).fqdn != ""

    def find(text: str) -> list[Span]:
        looked_for = [each for each in recognisers if _MAY_HOLD.get(each[0], _ANYTHING).search(text)]
        results = [(kind, each) for kind, recogniser in looked_for for each in recogniser.analyze(text, [kind])]
        found = [Span(kind, each.start, each.end, each.score) for kind, each in results]
        sure = [span for span in found if span.score >= threshold]
        return _apart([span for span in sure if not _is_nobodys(span.kind, text[span.start : span.end])])

    return find


def _is_nobodys(kind: str, found: str) -> bool:
    """Whether a finding is set aside for examples or for networks of one's own."""
    if kind == "EMAIL_ADDRESS":
        return bool(_FOR_EXAMPLES.search(found))
    return kind == "IP_ADDRESS" and not ipaddress.ip_interface(found).is_global


def _apart(spans: list[Span]) -> list[Span]:
    """Of overlapping spans the surest, then the longest; in order of the text."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (-s.score, s.start - s.end, s.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


def _masked(text: str, spans: list[Span]) -> str:
    for span in reversed(spans):
        text = f"{text[: span.start]}<{span.kind}>{text[span.end :]}"
    return text
