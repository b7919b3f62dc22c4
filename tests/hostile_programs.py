"""Programs that try to pass without the answer, to get out of the sandbox, or to stay: those of hostile_programs.txt.

A fake cannot know what its check expects; a deed answers "did it" only where it did what it should not be able to.
`@secret@`, `@marker@`, `@port@`, `@pid@` and `@token@` are a file of the user's, a file that must not come to be, a
listening port, this process, and a word by which whatever is left over can be found. `answer` is the entry point.
"""

import re
from collections.abc import Mapping
from pathlib import Path

FAKE_CHECK = "def check(candidate):\n    assert candidate(20) == 8_000 - 17\n"
DEED_CHECK = "def check(candidate):\n    assert candidate(20) == 'did it'\n"
SHOUT = """
import os

def shout(text):
    for fd in range(64):
        try:
            os.write(fd, text)
        except OSError:
            pass

"""
DID_IT = """

def answer(x):
    for deed in DEEDS:
        try:
            if deed():
                return "did it"
        except Exception:
            pass
    return "could not"
"""


def hostile(kind: str, places: Mapping[str, str]) -> dict[str, str]:
    """Source by name of all that are a `fake` or a `deed`, with the places filled in."""
    text = Path(__file__).with_suffix(".txt").read_text()
    sources = dict(re.findall(rf"^=== {kind}: (.+)\n((?:(?!===).*\n)*)", text, re.MULTILINE))
    return {name: _whole(kind, source, {**places, "nul": "\0"}) for name, source in sources.items()}


def _whole(kind: str, source: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        source = source.replace(f"@{name}@", value)
    return (SHOUT if "shout(" in source else "") + source + (DID_IT if kind == "deed" else "")
