"""Stop strings: where a reply ends in the middle of what was generated."""

from collections.abc import Callable, Sequence


def cut(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text up to the first of the stops, and whether there was one."""
    starts = [start for start in map(text.find, filter(None, stops)) if start >= 0]
    return (text[: min(starts)], True) if starts else (text, False)


def is_over(decode: Callable[[Sequence[int]], str], stops: Sequence[str]) -> Callable[[Sequence[int]], bool] | None:
    """Whether tokens hold a stop, which may span several of them; None where there is no stop.

    Asked after every token, it decodes only as many of the last tokens as can hold a stop that ends with the last one.
    A character may take four tokens, and a token may show nothing: what looks like no stop then may be one that began
    earlier, so that twice as many are decoded.
    """
    longest = max(map(len, stops), default=0)
    if not longest:
        return None

    def holds_stop(tokens: Sequence[int]) -> bool:
        return cut(decode(tokens[-8 * longest :]), stops)[1] and cut(decode(tokens), stops)[1]

    return holds_stop
