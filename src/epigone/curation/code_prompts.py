"""Code prompts: conversations in which the user asks for program code, or shows some, are dropped.

In: conversations, which stream. Out: the same, those with a coding query as Drops that say what gave it away.
Source: the paper removes coding prompts from its evaluation (footnote 3 and section 4.1, arXiv 2305.15717) and does not
say how; the rule is ours, by patterns alone, and read in full below.

A query is a coding prompt where it holds (1) a code fence, inline code, a call such as `f()`, a line that opens a
function or a program, or two lines that look like code, (2) an error message or a stack trace, (3) the name of a
programming language, library or tool within 150 characters of a word that asks for something to be made or done (write,
how to, convert, example, error ...), or such a name in a query of two to four words, or (4) a request for code, or for
a function, script, regular expression or unit test in a programmer's words.
Blind to code that is asked for without such a name or word, and to languages and libraries that it cannot name.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from epigone.curation import Turns, texts_of
from epigone.records import Conversation, Drop

_NAMES = r"""
    python|java\s?script|js|typescript|java|php|c\+\+|c\#|\.net|asp\.net|golang|kotlin|scala|haskell|matlab|vba|vb\.net
    |sql|mysql|postgres(?:ql)?|sqlite|mongodb|graphql|html5?|css3?|scss|tailwind|jquery|react(?:\.?js|\snative)
    |node\.?js|next\.?js|vue\.?js|express\.js|angular(?:js)?|svelte(?:kit)?|django|flask|fastapi|laravel|spring\s?boot
    |pandas|numpy|pytorch|tensorflow|keras|scikit-learn|sklearn|pyspark|opencv|matplotlib|dataframe|bash|powershell
    |shell\s(?:script|command)|cmd|docker(?:file|-?\s?compose)?|kubernetes|terraform|regex|npm|xpath|selenium|arduino
    |jsx|dotnet|dart|webpack|babel|vs\s?code|node\smodules|chrome\sextension|tampermonkey|userscript|autohotkey|ahk
    |aws\slambda|zsh|cron(?:tab|\sjob)|linux\scommand|unreal\sengine|flutter|swiftui|solidity|apps\sscript|google\ssheets?\sformula|excel\sformula|vlookup|unity3?d?\sscript|code\ssnippet
"""
_NAME = re.compile(rf"(?<![\w.#+-])(?:{_NAMES})(?![\w#+])", re.VERBOSE | re.IGNORECASE)
_ASKING = re.compile(
    r"""\b(?:write|create|make|build|generate|give|implement|convert|translate|rewrite|refactor|optimi[sz]e|debug|fix
    |how\s(?:to|do|can|would|could|should)|example|error|bug|code|coding|snippet|script|function|method|class|program
    |loop|query|install|import|deploy|compile|parse|app|application|project|library|component|api|tutorial|command
    |sample|demonstrate|modify|declare|use|using)s?\b""",
    re.VERBOSE | re.IGNORECASE,
)
NEAR = 150
"""Characters between a name and the word that asks."""
SHORT_WORDS = 4
"""A query of two to this many words that names a language asks about it."""
_REQUEST = re.compile(
    r"""\b(?:write|create|make|build|generate|give|implement|code|debug|fix|explain|rewrite|need|want)\b[^.?!\n]{0,60}?
    \b(?:regular\sexpression|unit\stests?|pseudo-?code|source\scode|shell\sscript|stored\sprocedure
    |(?<=write\sa\s)function\s(?:that|to|which|for|called|named)|(?:function|method|script|program|class|algorithm|query)\s(?:that|to|which|for|in|called|named)\b[^.?!\n]{0,60}?
    \b(?:strings?|arrays?|lists?|integers?|numbers?|files?|folders?|columns?|rows?|tables?|databases?|json|csv|xml
    |urls?|api|inputs?|returns?|parameters?|arguments?|binary|sort(?:s|ed|ing)?|parses?))\b""",
    re.VERBOSE | re.IGNORECASE,
)
_CODE_WANTED = re.compile(
    r"""\b(?:write|give|generate|create|show|share|provide|need|want|finish|fix|explain|check|change|improve|build)\b
    [^.?!\n]{0,40}?(?<!zip\s)(?<!area\s)(?<!dress\s)(?<!promo\s)(?<!discount\s)(?<!coupon\s)(?<!tax\s)(?<!bar\s)
    (?<!qr\s)(?<!country\s)(?<!referral\s)(?<!building\s)(?<!penal\s)(?<!civil\s)(?<!morse\s)(?<!no\s)
    \bcode\b(?!\sof\b|\sname)""",
    re.VERBOSE | re.IGNORECASE,
)
_INLINE = re.compile(r"`[\w$@<>./:#-]+(?:\([^`\n]*\))?`|\b\w+::\w+|\b[A-Za-z_]\w*\(\)|\b[a-z]+(?:_[a-z]+)+\(")
_OPENING = re.compile(
    r"""^\s*(?:(?:async\s)?def\s\w+\(.*\).*:|function\s\w+\(.*\)\s*\{|\#include\s*[<"]\S+|<\?php|\#!/|pragma\s\w+
    |(?:public|private)\s(?:static\s)?\w+\s.*[({]|SELECT\s.+\sFROM\s)""",
    re.VERBOSE | re.MULTILINE,
)
_TRACE = re.compile(
    r"""Traceback\s\(most\srecent|\b\w*(?:Syntax|Type|Value|Key|Name|Index|Import|Attribute|Reference|Runtime)Error\b
    |\b\w+(?:\.\w+)*Exception\b(?=:|\sin\b)|^\s*at\s[\w$.<>]+\([\w.]+(?::\d+)+\)|\bsegmentation\sfault\b
    |\bundefined\sreference\sto\b|\bnpm\sERR!|\berror\s(?:CS|TS|C)\d{4}\b""",
    re.VERBOSE | re.MULTILINE,
)
_LINE = re.compile(
    r"""^\s*(?:def\s\w+\(.*|class\s\w+.*:|from\s[\w.]+\simport\s.+|import\s[\w.{}\s,*'"/@-]+;?|\#include\s*[<"].+
    |(?:public|private|protected|static|async|export|const|let|var|function|return|using|namespace|package)\b.*[;{(]
    |(?:if|for|while|else\sif|elif|switch)\s?\(.+\)\s*\{?|(?:if|for|while|elif)\s.+:|\}?\s*else\s*[:{]
    |[\w.\[\]'"]+\s?(?:=|\+=|:=)\s?[^=\s].*[;)\]]|[\w.]+\(.*\);?|.+;|[\]})]+[;,)]*
    |</?[a-z][\w-]*(?:\s[\w:@-]+(?:=.+)?)*/?>.*|SELECT\s.+|(?:INSERT\sINTO|UPDATE|DELETE\sFROM|CREATE\sTABLE)\s.+
    |\$\s?\w+.*|(?:sudo|pip|npm|git|docker|apt-get|FROM|RUN)\s[\w./:-]+.*|<\?php.*)\s*$""",
    re.VERBOSE,
)
_STRONG_LINE = re.compile(r"[;{}=()<>\[\]]|\b(?:import|SELECT|FROM|def|pip|npm|sudo|docker)\b")


@dataclass(frozen=True)
class CodePrompts:
    """Drops a conversation when a query that counts is a coding prompt."""

    turns: Turns = "user"
    """Which turns are looked at: the `first` query, every query (`user`), or `all` turns, answers too."""

    def apply(self, conversations: Iterable[Conversation]) -> Iterator[Conversation | Drop]:
        """Every conversation goes out once, in order."""
        for conversation in conversations:
            signs = map(sign_of_code, texts_of(conversation, self.turns))
            found = next((sign for sign in signs if sign), "")
            yield Drop(conversation.id, "code prompt", found) if found else conversation


def sign_of_code(text: str) -> str:
    """What shows that a query is a coding prompt, in words; empty where nothing does."""
    if "```" in text:
        return "code fence"
    if code := _OPENING.search(text) or _INLINE.search(text):
        return f"code: {code[0].strip()[:40]}"
    lines = [line for line in text.splitlines() if _LINE.match(line) and _STRONG_LINE.search(line)]
    if len(lines) > 1:
        return f"{len(lines)} lines of code"
    if trace := _TRACE.search(text):
        return f"error message: {trace[0].strip()[:40]}"
    if request := _REQUEST.search(text) or _CODE_WANTED.search(text):
        return f"asks: {' '.join(request[0].split())[:80]}"
    return _named(text)


def _named(text: str) -> str:
    """A language or library near a word that asks for something."""
    names = list(_NAME.finditer(text))
    if names and 1 < len(text.split()) <= SHORT_WORDS:
        return f"short, names {names[0][0]}"
    for name in names:
        around = text[max(0, name.start() - NEAR) : name.start()], text[name.end() : name.end() + NEAR]
        asking = next(filter(None, map(_ASKING.search, around)), None)
        if asking:
            return f"{asking[0]} near {name[0]}"
    return ""
