"""Stop strings: where a reply ends in the middle of what was generated."""

from collections.abc import Sequence


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text up to the first of the stops, and whether there was one."""
    starts = [start for start in map(text.find, filter(None, stops)) if start >= 0]
    return (text[: min(starts)], True) if starts else (text, False)
