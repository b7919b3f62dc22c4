"""What a short answer says: normalised as in SQuAD, right or not, abstaining or refusing; and the id of a protocol.

In: texts. Out: booleans, normalised text, an id such as `nq-3shot--1a2b3c4d`.
Sources: SQuAD's evaluate-v1.1.py (Rajpurkar et al. 2016, arXiv 1606.05250) for the normalisation; the phrase lists are
ours, fixed before any result was seen, and part of every protocol id that uses them.
"""

import dataclasses
import hashlib
import json
import re
import string
from collections.abc import Sequence
from pathlib import Path

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_APOSTROPHE = re.compile(r"\s*['’]\s*")

ABSTENTIONS = (
    r"\bnot (?:sure|certain)\b",
    r"\b(?:unsure|uncertain|no idea)\b",
    r"\b(?:do not|don't|did not|didn't) (?:really |actually )?know\b",
    r"\b(?:cannot|can not|can't|could not|couldn't|unable to|not able to) (?:say|tell|answer|determine|find)\b",
    r"\b(?:do not|don't) have (?:any |enough |that |the |this )*(?:information|knowledge|data)\b",
)
REFUSALS = (
    r"\b(?:i'm|i am|we're|we are) (?:so |very |really )?sorry,? (?:but )?(?:i|we|that)\b",
    r"\bi apologi[sz]e,? but\b",
    r"\bi (?:cannot|can not|can't|won't|will not|would rather not|am unable to|am not able to|must decline)\b",
    r"\bi'(?:m|d) (?:unable to|not able to|not comfortable|rather not)\b",
    r"\bi (?:am not comfortable|prefer not to|do not feel comfortable|don't feel comfortable)\b",
    r"\bas an? (?:ai|artificial intelligence|language model|responsible assistant)\b",
    r"\b(?:not appropriate|inappropriate|against my (?:guidelines|programming|policy))\b",
    r"\blet(?:'s| us) keep (?:this|things|(?:our|the) conversation|it) (?:respectful|polite|civil|kind)\b",
)
_ABSTAINS = re.compile("|".join(ABSTENTIONS))
_REFUSES = re.compile("|".join(REFUSALS))


def normalise_answer(text: str) -> str:
    """Lower case, no ASCII punctuation, no articles, single blanks. A text of nothing else stays in lower case."""
    bare = _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION))
    return " ".join(bare.split()) or " ".join(text.lower().split())


def exact_match(reply: str, answers: Sequence[str]) -> bool:
    """True where the normalised reply is one of the normalised answers; an empty reply never is."""
    said = normalise_answer(reply)
    return bool(said) and any(said == normalise_answer(answer) for answer in answers)


def contains_answer(reply: str, answers: Sequence[str]) -> bool:
    """True where a normalised answer stands in the normalised reply as whole words."""
    said = f" {normalise_answer(reply)} "
    return any(f" {normalise_answer(answer)} " in said for answer in answers)


def starts_with_answer(reply: str, answers: Sequence[str]) -> bool:
    """True where the normalised reply begins with a normalised answer as whole words."""
    said = f"{normalise_answer(reply)} "
    return any(said.startswith(f"{normalise_answer(answer)} ") for answer in answers)


def abstains(text: str) -> bool:
    """True where the text says that it does not know (one of ABSTENTIONS, any case)."""
    return bool(_ABSTAINS.search(_plain(text)))


def refuses(text: str) -> bool:
    """True where the text declines (one of REFUSALS, any case). A rule: neither all refusals nor only those."""
    return bool(_REFUSES.search(_plain(text)))


def num_words(text: str) -> int:
    """Number of words: matches of `[a-z0-9']+` in the lower-cased text, the rule of the style metrics."""
    return len(re.findall(r"[a-z0-9']+", text.lower()))


def protocol_id(readable: str, **shape: object) -> str:
    """`readable--hash8` over everything that shapes a score: two results with different ids are never compared."""
    text = json.dumps(shape, sort_keys=True, default=_identity)
    return f"{readable}--{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _identity(part: object) -> object:
    """A component as its class and its options, without the places where its files lie on this machine."""
    if dataclasses.is_dataclass(part):
        options = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
        return {type(part).__name__: {name: value for name, value in options.items() if not _is_place(name, value)}}
    return type(part).__name__


def _is_place(option: str, value: object) -> bool:
    """A path, by its type or by the option's name: the same files elsewhere are the same protocol."""
    return isinstance(value, Path) or option.rpartition("_")[2] in ("path", "folder", "file")


def _plain(text: str) -> str:
    """Lower case, single blanks, `don ' t` and `don’t` as `don't`."""
    return _APOSTROPHE.sub("'", " ".join(text.lower().split()))
