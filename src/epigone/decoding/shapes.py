"""The few shapes that are compiled: padded lengths, and numbers of rows. Pure."""

from collections.abc import Iterator, Sequence

LENGTHS = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def padded(length: int) -> int:
    """The padded length of `length` tokens."""
    return next((at for at in LENGTHS if at >= length), -(-length // LENGTHS[-1]) * LENGTHS[-1])


def roomy(length: int) -> int:
    """The same for the room of a cache: powers of two from 64 to 1024, then steps of 256, since room is memory."""
    return max(64, doubled(length)) if length <= LENGTHS[-1] else -(-length // 256) * 256


def doubled(count: int) -> int:
    """The least power of two that is no smaller."""
    return 1 << (count - 1).bit_length()


def num_rows(count: int, most: int) -> int:
    """The number of rows that `count` rows are computed as: `most`, or a fourth of it as often as they fit."""
    while most > 1 and count <= most // 4:
        most //= 4
    return most


def parts(count: int, most: int) -> Iterator[tuple[int, int]]:
    """`count` rows in calls: (rows, rows computed). A call whose padding would outweigh its rows is two calls."""
    while count > 0:
        computed = num_rows(count, most)
        if computed >= 4 and count <= computed // 2:
            computed = num_rows(computed // 4, most)
        yield min(count, computed), computed
        count -= computed


def first_part(lengths: Sequence[int], most: int, num_tokens: int) -> tuple[int, int]:
    """How many of rows that go by length make the next call, and as how many it is computed.

    Padded as the longest of them, they hold no more than `num_tokens`, unless one row alone does.
    """
    count, computed = next(parts(len(lengths), most))
    while computed > 1 and computed * padded(lengths[count - 1]) > num_tokens:
        most = max(computed // 4, 1)
        count, computed = next(parts(len(lengths), most))
    return count, computed
