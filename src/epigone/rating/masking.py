"""Takes names of models and their makers out of an answer that gives itself away, and counts them.

In: an answer, the names of the models that are compared, what was asked. Out: the answer with [name hidden] in their
places, and how many there were. A name that the prompt itself uses is its topic and stays. Names that are words too
(koala, bard, llama) are taken out only where the answer speaks of itself.
Source: arXiv 2305.15717, Appendix B (unlabelled systems); answers of such models say "As ChatGPT" or "I am Koala".
"""

import re
from collections.abc import Sequence
from functools import cache

HIDDEN = "[name hidden]"
_PLAIN = (
    r"chat[ -]?gpt(?:[ -]?(?:plus|[345][\w.]*))?",
    r"gpt[ -]?(?:[2345](?:\.5)?o?)(?:[ -]?(?:turbo|mini))?",
    r"text-davinci-\d+",
    r"open[ -]?ai",
    r"anthropic",
    r"deep ?mind",
    r"deepseek",
    r"qwen[\w.-]*",
    r"mi(?:s|x)tral[\w.-]*",
    r"smollm[\w.-]*",
    r"hugging ?face",
    r"(?:llama|alpaca|vicuna|koala|claude|gemini|gemma|dolly|falcon|palm|phi)[ -]?\d[\w.-]*",
)
_WORDS = "koala|alpaca|vicuna|llama|bard|claude|gemini|gemma|dolly|falcon|guanaco|google|meta|microsoft|lmsys"
_OF_ITSELF = (
    r"\b(?:I am|I'm|I’m|as|my name is|I am called|I'm called|named|call me|assistant,|trained by|created by|made by"
    r"|developed by|built by)\s+(?:an? |the )?(?:AI |language model |assistant |model )*(?:called |named )?"
)


def masked(text: str, names: Sequence[str], asked: str = "") -> tuple[str, int]:
    """The text without those names, and how many places were changed."""
    plain, of_itself = _patterns(tuple(sorted(names)))
    lowered = asked.lower()
    count = 0

    def hide(found: re.Match[str]) -> str:
        nonlocal count
        if found["name"].lower() in lowered:
            return found[0]
        count += 1
        start, end = (place - found.start() for place in found.span("name"))
        return found[0][:start] + HIDDEN + found[0][end:]

    return of_itself.sub(hide, plain.sub(hide, text)), count


@cache
def _patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    own = sorted((name for name in names if len(name) > 1), key=len, reverse=True)
    ours = [re.escape(name) for name in own if not name.isalpha()]  # "alpaca-7b" is no word
    words = "|".join([*(re.escape(name) for name in own if name.isalpha()), _WORDS])
    plain = re.compile(rf"(?<![\w-])(?P<name>{'|'.join([*ours, *_PLAIN])})(?![\w-])", re.IGNORECASE)
    return plain, re.compile(rf"{_OF_ITSELF}(?P<name>{words})(?!\w)", re.IGNORECASE)
