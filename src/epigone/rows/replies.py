"""What an answer's text is: an error of the site, an answer in HTML, or reasoning followed by the answer.

In: the text of an answer as it was found. Out: whether it is an error reply, its Markdown, or a Message with the
reasoning apart. Nothing is guessed: code and prose that merely contain "<" or "error" stay as they are.
Sources: the replies of ChatGPT's site as found in HC3 (arXiv 2301.07597) and ShareGPT; FastChat's
data/clean_sharegpt.py for the HTML (https://github.com/lm-sys/FastChat); DeepSeek-R1 (arXiv 2501.12948) for <think>.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING

from markdownify import MarkdownConverter

from epigone.records import Message

if TYPE_CHECKING:
    from bs4 import Tag

HTML = "HTML answers made Markdown"
ERROR_REPLY = "error reply"
EMPTY_ANSWER = "empty answer"
UNENDED = "reasoning without an end"

_HELP = r"(?:\s*if this issue persists,? please contact us through our help center at help\.openai\.com\.?)?"
_ERRORS = (
    r"network error\.?",
    r"too many requests(?: in \d+ \w+)?\.?(?: (?:please )?(?:try again later|slow down)\.?)?",
    r"there was an error generating a response\.?",
    r"something went wrong[.,!]?(?: (?:please )?(?:try again|try reloading the conversation)(?: later)?[.!]?)?" + _HELP,
    r"(?:oops[,!]? )?an error occurred\.?(?: either the engine you requested does not exist or there was another issue "
    r"processing your request\.)?(?: please try again(?: later)?\.)?" + _HELP,
    r"!?error in (?:body|message|input) stream\.?",
    r"conversation not found\.?",
    r"request timed out\.?",
    r"internal server error\.?",
    r"bad gateway\.?|gateway time-?out\.?",
    r"the server had an error while processing your request\.?(?: sorry about that!?)?",
    r"that model is currently overloaded with other requests\.[^\n]*",
    r"our systems are a bit busy at the moment, please take a break and try again soon\.?",
    r"only one message at a time\.[^\n]*",
    r"the message you submitted was too long,[^\n]*",
    r"we['’]re experiencing exceptionally high demand\.[^\n]*",
    r"hmm\W+something seems to have gone wrong\.[^\n]*",
    r"unusual activity has been detected from your device\.[^\n]*",
    r"\$error\$",
)
_MARK = r"(?:>\s*)?[*_!\s]*(?:error:\s*)?"
_ERROR = rf"{_MARK}(?:{'|'.join(_ERRORS)})[*_\s]*"
_ONLY_ERRORS = re.compile(rf"(?:{_ERROR})+", re.IGNORECASE)
_LAST_LINES = re.compile(rf"\n\s*!\s*\n\s*(?:{_ERROR})+\Z", re.IGNORECASE)
"""The site's warning sign, which is copied as a "!" of its own line, and its errors below it."""
_MOST_ERROR_CHARS = 600
_MARKED_HTML = re.compile(
    r'<(?:div|p|pre|ol|ul|h[1-6])\b[^>]*class="[^"]*(?:\bmarkdown\b|\bprose\b|\bhljs\b)|<pre><div class="bg-black'
)
# nothing is escaped: the text was never Markdown
_OPTIONS = {"heading_style": "atx", "bullets": "-", "escape_asterisks": False, "escape_underscores": False}
_THOUGHT = re.compile(r"\s*<think>(?P<thought>.*?)</think>(?P<answer>.*)", re.DOTALL)
_THOUGHT_ON = re.compile(r"(?P<thought>[^`]*)\n</think>\s*\n(?P<answer>.*)", re.DOTALL)


def is_error_reply(text: str) -> bool:
    """Whether the answer is an error text of the site, or breaks off in one below the site's warning sign."""
    end = text[-_MOST_ERROR_CHARS:].replace("\\n", "\n").strip()  # some files hold a line feed's escape as text
    if len(text) <= _MOST_ERROR_CHARS and _ONLY_ERRORS.fullmatch(end):
        return True
    return "!" in end and _LAST_LINES.search("\n" + end) is not None


def plain_answer(text: str, notes: Counter[str]) -> str:
    """The answer as Markdown where it is HTML of the site (told by the site's own classes), else as it is."""
    if "<" not in text[:40] or not _MARKED_HTML.match(text.lstrip()):
        return text
    notes[HTML] += 1
    return re.sub(r"\n{3,}", "\n\n", _Markdown(**_OPTIONS).convert(text)).strip()


def answer_message(text: str, notes: Counter[str]) -> Message | str:
    """An answer as a Message, reasoning apart; or the reason for which it is none."""
    content = plain_answer(text, notes).strip()
    is_thought = content.startswith("<think>")
    found = _THOUGHT.fullmatch(content) if is_thought else None
    if is_thought and not found:
        return UNENDED
    if not found and "</think>" in content and content.count("</think>") == 1 and "<think>" not in content:
        found = _THOUGHT_ON.fullmatch(content)
    reasoning, content = (found["thought"].strip(), found["answer"].strip()) if found else ("", content)
    if not content:
        return EMPTY_ANSWER
    if is_error_reply(content):
        return ERROR_REPLY
    return Message("assistant", content, reasoning)


class _Markdown(MarkdownConverter):
    """As markdownify does it, but code keeps its language and loses the site's buttons, and formulas stay TeX."""

    def convert_pre(self, el: "Tag", text: str, parent_tags: set[str]) -> str:
        """A code block, fenced."""
        code = el.find("code")
        classes = " ".join(code.get("class") or []) if code else ""
        language = re.search(r"\blanguage-([\w+#-]+)", classes)
        content = (code or el).get_text().rstrip("\n")
        return f"\n\n```{language[1] if language else ''}\n{content}\n```\n\n"

    def convert_button(self, el: "Tag", text: str, parent_tags: set[str]) -> str:
        """A button of the site ("Copy code") is none of the answer."""
        return ""

    def convert_span(self, el: "Tag", text: str, parent_tags: set[str]) -> str:
        """A formula is drawn twice and noted once, as TeX."""
        is_formula = "katex" in (el.get("class") or [])
        tex = el.find("annotation", attrs={"encoding": "application/x-tex"}) if is_formula else None
        return f"${tex.get_text().strip()}$" if tex else text
