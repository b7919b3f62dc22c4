"""A heap of texts by their bounds, the largest first, in two arrays side by side.

In: keys and items. Out: the same, reordered. Source: the binary heap of https://docs.python.org/3/library/heapq.html.
"""

from epigone.similarity.compiled import compiled_part


@compiled_part
def sift(keys, items, at, size):
    """Let the item at a place sink to where it belongs."""
    key, item = keys[at], items[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and keys[child + 1] > keys[child]:
            child += 1
        if keys[child] <= key:
            break
        keys[at], items[at] = keys[child], items[child]
        at = child
    keys[at], items[at] = key, item


@compiled_part
def heapify(keys, items, size):
    """Order items so that the one with the greatest key is first."""
    for at in range(size // 2 - 1, -1, -1):
        sift(keys, items, at, size)


@compiled_part
def pop(keys, items, size):
    """Drop the item with the greatest key; returns how many are left."""
    size -= 1
    keys[0], items[0] = keys[size], items[size]
    sift(keys, items, 0, size)
    return size
