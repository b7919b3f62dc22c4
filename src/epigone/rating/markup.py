"""Markdown of an answer -> HTML that can do no harm, and the sentences that can be marked.

In: a text as a model wrote it. Out: HTML of a few tags without attributes, links, images or headings of the page's own
order; or its sentences. HTML in the text is shown as text.
Source: CommonMark and GitHub's tables, by markdown-it-py; cleaned by nh3 (https://github.com/messense/nh3).
"""

import re
from functools import cache, lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

TAGS = {"p", "br", "strong", "em", "s", "code", "pre", "ul", "ol", "li", "blockquote", "hr", "table", "thead", "tbody",
        "tr", "th", "td"}  # fmt: skip
MOST_SENTENCES = 60
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"')\]]*\s+(?=[^\sa-z])")


@lru_cache(maxsize=4096)
def safe_html(text: str, *, breaks: bool = True) -> str:
    """The text as HTML of `TAGS` alone; `breaks`: a line's end is one on the page, as models mean it.

    Headings become bold paragraphs, so that the page keeps its own outline.
    """
    markdown = _markdown(breaks)
    tokens = markdown.parse(text)
    for before, token in zip([None, *tokens], tokens):
        _plainer(token, is_heading=before is not None and before.type == "heading_open")
    rendered = markdown.renderer.render(tokens, markdown.options, {})
    return nh3.clean(rendered, tags=TAGS, attributes={"ol": {"start"}}, link_rel=None)


@lru_cache(maxsize=4096)
def sentences(text: str) -> tuple[str, ...]:
    """Its sentences in order, at most `MOST_SENTENCES`; a line of its own is at least one."""
    found = (part.strip() for line in text.splitlines() for part in _SENTENCE_END.split(line))
    return tuple(part for part in found if re.search(r"\w", part))[:MOST_SENTENCES]


@cache
def _markdown(breaks: bool) -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "breaks": breaks}).enable(["table", "strikethrough"])


def _plainer(token: Token, *, is_heading: bool) -> None:
    """A heading as a bold paragraph, and an image as what it says it shows: nothing from outside is loaded."""
    if token.type in ("heading_open", "heading_close"):
        token.tag = "p"
    if token.type == "inline":
        children = [_worded(child) for child in token.children or []]
        bold = [Token("strong_open", "strong", 1)], [Token("strong_close", "strong", -1)]
        token.children = [*bold[0], *children, *bold[1]] if is_heading else children


def _worded(token: Token) -> Token:
    return Token("text", "", 0, content=f"[image: {token.content}]") if token.type == "image" else token
