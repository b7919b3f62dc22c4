"""Raw dump -> Conversation, one file a format; and which format a file is in, told by its content.

In: a path. Out: the name of the one component of this folder that fits it.
"""

from pathlib import Path

from epigone import discover
from epigone.errors import DataError
from epigone.interfaces import Format
from epigone.streams import text_chunks

_SEEN_CHARS = 60


def sniff(path: Path) -> str:
    """The format that a file, or an artifact's folder, is in. Raises DataError where none or several fit."""
    found = fitting(path)
    if len(found) == 1:
        return found[0]
    known = ", ".join(discover.names("formats"))
    if found:
        raise DataError(f"{path}: looks like {' and '.join(found)}; say which with --format NAME")
    raise DataError(f"{path}: is in no format that is known ({known}): {_seen(path)}; name one with --format NAME")


def fitting(path: Path) -> list[str]:
    """All formats that say that they fit, by name. Never raises."""
    found: list[str] = []
    for name in discover.names("formats"):
        component = discover.make("formats", name, {})
        assert isinstance(component, Format)
        if component.fits(path):
            found.append(name)
    return found


def _seen(path: Path) -> str:
    """What there is instead, in words."""
    if path.is_dir():
        return "a folder without records.parquet and DONE; name the file that is meant"
    text = next(text_chunks(path)).text  # raises where it cannot be read: a git-lfs pointer, a damaged stream
    return f"it begins with {text[:_SEEN_CHARS]!r}" if text else "it is empty"
