"""The search itself: for each query the texts whose BLEU could be the best, and no others, scored exactly.

In: the n-grams of queries and texts, and the postings of the texts. Out: scores and partners, or all pairs above a
threshold.

BLEU grows with every count of matches, whatever the smoothing, so a count that is not known yet is bounded from above
by what the two texts hold. Per query, for n-grams of order 4, then 3, 2, 1: walk the postings of the query's n-grams,
rare ones first, until a text that was not met yet can no longer reach the best score; bound every text that was met;
count its shorter n-grams only while its bound reaches the best, the best bound first. All this is done in logarithms
with room for rounding; a score is then computed by sacrebleu's own formula, operation by operation.
Source: Turtle and Flood (1995), https://doi.org/10.1016/0306-4573(95)00020-H (bounds in query evaluation);
Chaudhuri et al. (2006), https://doi.org/10.1109/ICDE.2006.9 (prefix filter); sacrebleu.metrics.bleu.BLEU.compute_bleu
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epigone.similarity.compiled import compiled, compiled_part
from epigone.similarity.grams import Postings, Texts
from epigone.similarity.heap import heapify, pop

ORDERS = 4
NONE, EXP, FLOOR = 0, 1, 2
NEVER = -1e10
"""The logarithm of a score of 0."""
LOWEST = -1e9
"""Above NEVER, and below the logarithm of every other score."""
ROUNDING = 1e-9
"""More than the rounding errors of a bound."""
SCATTER = np.uint32(2654435769)


class Rules(NamedTuple):
    """How a pair is scored and which pairs are wanted."""

    smoothing: int
    value: float
    query_is_hypothesis: bool
    collect: bool
    """Whether every pair above the threshold is wanted, or the best of each query."""
    logs: NDArray[np.float64]
    """Logarithms of the whole numbers up to the longest text; that of 0 is not used."""


class Task(NamedTuple):
    """What is searched for, and where."""

    queries: Texts
    texts: Texts
    postings: Postings
    numbers: NDArray[np.int64]
    """The number of each text; they stand by length, short ones first."""
    lows: NDArray[np.int64]
    """Classes of the texts' lengths: the shortest text of each class."""
    highs: NDArray[np.int64]
    """The longest text of each class; up to 3 tokens a class is one length."""
    first_texts: NDArray[np.int64]
    """Where each class starts among the texts, and where the last one ends."""
    same: bool
    """Whether queries and texts are the same, and a text is no neighbour of its own."""


class Scratch(NamedTuple):
    """What one thread needs to write on; clean between two queries."""

    keys: NDArray[np.int32]
    """Hash table of the query's n-grams, -1 where free."""
    counts: NDArray[np.int32]
    order_met: NDArray[np.int8]
    """Order of the n-gram by which a text was met, 0 if it was not."""
    matches: NDArray[np.int32]
    """Matches of that order, of the texts that were met."""
    met: NDArray[np.int32]
    """The texts that were met, in that order."""
    heap_keys: NDArray[np.float64]
    """A heap of the query's n-grams, then of the texts that were met."""
    heap_items: NDArray[np.int64]
    found: NDArray[np.int32]
    found_scores: NDArray[np.float64]
    pair: NDArray[np.int64]
    """Matches of one pair by order, known or bounded."""
    best: NDArray[np.float64]
    """The score to beat, and the score that nothing can beat."""
    state: NDArray[np.int64]
    """The best partner; texts met, and found; slots of the hash table in use; matches left for texts not met, and
    from which to which text they could matter."""


PARTNER, MET, FOUND, SLOTS, LEFT, FIRST, END = 0, 1, 2, 3, 4, 5, 6


@compiled_part
def _score(matches, hypothesis, reference, rules):
    """sacrebleu's sentence BLEU from the matches of each order and the two lengths in tokens."""
    if matches[0] == 0:
        return 0.0
    brevity = 1.0 if hypothesis >= reference else math.exp(1 - reference / hypothesis)
    smooth, logs, order = 1.0, 0.0, 0
    for n in range(ORDERS):
        total = hypothesis - n
        if total <= 0:
            break
        order += 1
        precision = 0.0
        if matches[n] > 0:
            precision = 100.0 * matches[n] / total
        elif rules.smoothing == EXP:
            smooth *= 2
            precision = 100.0 / (smooth * total)
        elif rules.smoothing == FLOOR:
            precision = 100.0 * rules.value / total
        logs += math.log(precision) if precision > 0 else -9999999999.0
    return brevity * math.exp(logs / order)


@compiled_part
def _log_precisions(matches, hypothesis, rules):
    """Mean logarithm of the precisions, as shares of 1; NEVER where the score is 0."""
    if matches[0] <= 0:
        return NEVER
    logs, halvings = 0.0, 0
    orders = min(ORDERS, hypothesis)
    for n in range(orders):
        if matches[n] > 0:
            logs += rules.logs[matches[n]]
        elif rules.smoothing == EXP:
            halvings += 1
            logs -= halvings * rules.logs[2]
        elif rules.smoothing == FLOOR and rules.value > 0:
            logs += math.log(rules.value)
        else:
            return NEVER
        logs -= rules.logs[hypothesis - n]
    return logs / orders


@compiled_part
def _log_brevity(hypothesis, reference):
    return 0.0 if hypothesis >= reference else 1.0 - reference / hypothesis


@compiled_part
def _log_to_reach(scratch):
    """The logarithm below which a bound is of no interest."""
    return math.log(scratch.best[0] / 100.0) - ROUNDING if scratch.best[0] > 0 else LOWEST


@compiled_part
def _bound_unmet(query, order, matches, task, rules, scratch):
    """Bound of every text that holds no longer n-gram of the query and so many of this order.

    Keeps which texts, by their length, reach the best score: none others need to be met.
    """
    length, highest, to_reach = task.queries.lengths[query], NEVER, _log_to_reach(scratch)
    first, end = task.first_texts[-1], 0
    for k in range(len(task.lows)):
        low, high = task.lows[k], task.highs[k]
        room = high if rules.query_is_hypothesis else low
        for n in range(ORDERS):
            known = task.queries.masses[query, n] if n < order else (matches if n == order else 0)
            scratch.pair[n] = max(min(known, room - n), 0)
        if rules.query_is_hypothesis:
            bound = _log_precisions(scratch.pair, length, rules) + _log_brevity(length, low)
        else:
            bound = _log_precisions(scratch.pair, low, rules) + _log_brevity(high, length)
        highest = max(highest, bound)
        if bound >= to_reach:
            first, end = min(first, task.first_texts[k]), task.first_texts[k + 1]
    scratch.state[FIRST], scratch.state[END] = first, end
    return highest


@compiled_part
def _fewest_needed(query, order, task, rules, scratch):
    """The fewest matches of this order by which a text that was not met could reach the best score."""
    all_matches = task.queries.masses[query, order]
    low, high = 1, all_matches + 1
    to_reach = _log_to_reach(scratch)
    while True:
        middle = (low + high) // 2 if low < high else all_matches  # at last, which lengths all matches would do for
        reached = _bound_unmet(query, order, middle, task, rules, scratch) >= to_reach
        if low == high:
            return low
        if reached:
            high = middle
        else:
            low = middle + 1


@compiled_part
def _slot(keys, gram, num_slots):
    at = np.int64((np.uint32(gram) * SCATTER) >> np.uint32(7)) & (num_slots - 1)
    while keys[at] >= 0 and keys[at] != gram:
        at = (at + 1) & (num_slots - 1)
    return at


@compiled_part
def _open_query(query, task, scratch):
    """Put the query's n-grams where they are found at once."""
    queries = task.queries
    start, end = queries.bounds[query, 0], queries.bounds[query, ORDERS]
    num_slots = 8
    while num_slots < 3 * (end - start):
        num_slots *= 2
    for at in range(start, end):
        slot = _slot(scratch.keys, queries.grams[at], num_slots)
        scratch.keys[slot] = queries.grams[at]
        scratch.counts[slot] = queries.counts[at]
    scratch.state[PARTNER], scratch.state[MET], scratch.state[FOUND] = -1, 0, 0
    scratch.state[SLOTS] = num_slots


@compiled_part
def _close_query(scratch):
    scratch.keys[: scratch.state[SLOTS]] = -1
    for k in range(scratch.state[MET]):
        scratch.order_met[scratch.met[k]] = 0


@compiled_part
def _count_matches(text, n, task, scratch):
    total, num_slots = 0, scratch.state[SLOTS]
    texts = task.texts
    for at in range(texts.bounds[text, n], texts.bounds[text, n + 1]):
        slot = _slot(scratch.keys, texts.grams[at], num_slots)
        if scratch.keys[slot] >= 0:
            total += min(scratch.counts[slot], texts.counts[at])
    return total


@compiled_part
def _rare_first(query, order, task, scratch):
    """A heap of the query's n-grams of one order, those that the fewest texts hold on top; returns its size."""
    queries, starts = task.queries, task.postings.starts
    start = queries.bounds[query, order]
    size = queries.bounds[query, order + 1] - start
    for k in range(size):
        gram = queries.grams[start + k]
        scratch.heap_keys[k], scratch.heap_items[k] = starts[gram] - starts[gram + 1], start + k
    heapify(scratch.heap_keys, scratch.heap_items, size)
    return size


@compiled_part
def _first_from(texts, begin, end, text):
    """The first place from `begin` on that holds this text or a later one."""
    while begin < end:
        middle = (begin + end) // 2
        if texts[middle] < text:
            begin = middle + 1
        else:
            end = middle
    return begin


@compiled_part
def _meet(query, order, own, task, scratch, fewest):
    """Walk the postings of one order until a text not met has fewer matches than needed; keeps what was left."""
    queries, postings = task.queries, task.postings
    left, num_met = queries.masses[query, order], scratch.state[MET]
    mark, size = order + 1, _rare_first(query, order, task, scratch)
    while size > 0 and left >= fewest:
        gram, count = queries.grams[scratch.heap_items[0]], queries.counts[scratch.heap_items[0]]
        size = pop(scratch.heap_keys, scratch.heap_items, size)
        begin, end = postings.starts[gram], postings.starts[gram + 1]
        for at in range(_first_from(postings.texts, begin, end, scratch.state[FIRST]), end):
            text = postings.texts[at]
            if text >= scratch.state[END]:
                break
            if scratch.order_met[text] == 0 and text != own:
                scratch.order_met[text] = mark
                scratch.matches[text] = 0
                scratch.met[num_met] = text
                num_met += 1
            if scratch.order_met[text] == mark:
                scratch.matches[text] += min(count, postings.counts[at])
        left -= count
    scratch.state[MET], scratch.state[LEFT] = num_met, left


@compiled_part
def _bound_pair(query, text, task, rules, scratch):
    """Bound from the matches in `scratch.pair`."""
    if rules.query_is_hypothesis:
        hypothesis, reference = task.queries.lengths[query], task.texts.lengths[text]
    else:
        hypothesis, reference = task.texts.lengths[text], task.queries.lengths[query]
    return _log_precisions(scratch.pair, hypothesis, rules) + _log_brevity(hypothesis, reference)


@compiled_part
def _cap_pair(query, text, order, task, scratch):
    """Set the matches of a pair to the most that both texts allow; none above the order by which it was met."""
    for n in range(ORDERS):
        most = min(task.queries.masses[query, n], task.texts.masses[text, n])
        scratch.pair[n] = most if n <= order else 0


@compiled_part
def _gather(query, order, first, task, rules, scratch):
    """A heap of the texts met by this order whose bound reaches the best score; returns its size."""
    size, to_reach = 0, _log_to_reach(scratch)
    for k in range(first, scratch.state[MET]):
        text = scratch.met[k]
        _cap_pair(query, text, order, task, scratch)
        scratch.pair[order] = min(scratch.pair[order], scratch.matches[text] + scratch.state[LEFT])
        bound = _bound_pair(query, text, task, rules, scratch)
        if bound >= to_reach:
            scratch.heap_keys[size], scratch.heap_items[size] = bound, text
            size += 1
    heapify(scratch.heap_keys, scratch.heap_items, size)
    return size


@compiled_part
def _weigh(query, text, order, task, rules, scratch):
    """Count the matches of one pair, order by order, while it can reach the best score; take it if it does."""
    if not rules.collect and scratch.best[0] >= scratch.best[1] and task.numbers[text] > scratch.state[PARTNER] >= 0:
        return
    _cap_pair(query, text, order, task, scratch)
    for n in range(order, -1, -1):
        if n == order and scratch.state[LEFT] == 0:
            scratch.pair[n] = scratch.matches[text]
        else:
            scratch.pair[n] = _count_matches(text, n, task, scratch)
        if _bound_pair(query, text, task, rules, scratch) < _log_to_reach(scratch):
            return
    if rules.query_is_hypothesis:
        score = _score(scratch.pair, task.queries.lengths[query], task.texts.lengths[text], rules)
    else:
        score = _score(scratch.pair, task.texts.lengths[text], task.queries.lengths[query], rules)
    if rules.collect:
        if score > scratch.best[0]:
            scratch.found[scratch.state[FOUND]] = task.numbers[text]
            scratch.found_scores[scratch.state[FOUND]] = score
            scratch.state[FOUND] += 1
    elif score > scratch.best[0] or (score == scratch.best[0] and scratch.state[PARTNER] > task.numbers[text]):
        scratch.best[0], scratch.state[PARTNER] = score, task.numbers[text]


@compiled_part
def _search(query, task, rules, scratch):
    """Find the best text, or all above the threshold, for one query whose threshold is in `scratch.best`."""
    _open_query(query, task, scratch)
    own = query if task.same else -1
    top = ORDERS - 1 if task.queries.masses[query, 0] > 0 else -1  # a query without known tokens has no partner
    for order in range(top, -1, -1):
        fewest = _fewest_needed(query, order, task, rules, scratch)
        first = scratch.state[MET]
        _meet(query, order, own, task, scratch, fewest)
        size = _gather(query, order, first, task, rules, scratch)
        while size > 0 and scratch.heap_keys[0] >= _log_to_reach(scratch):
            text = scratch.heap_items[0]
            size = pop(scratch.heap_keys, scratch.heap_items, size)
            _weigh(query, text, order, task, rules, scratch)
        if scratch.state[LEFT] > 0:
            break
    _close_query(scratch)


@compiled
def search_best(chosen, task, rules, scratch, scores, partners):
    """The best text of each of the chosen queries; `scores` holds the scores to beat."""
    for k in range(len(chosen)):
        scratch.best[0] = scores[k]
        _search(chosen[k], task, rules, scratch)
        scores[k], partners[k] = scratch.best[0], scratch.state[PARTNER]


@compiled_part
def _wider(array, size):
    wider = np.empty(2 * size, array.dtype)
    wider[: len(array)] = array
    return wider


@compiled
def search_all(chosen, threshold, task, rules, scratch):
    """All pairs above the threshold: how many each query has, the texts in no order, the scores."""
    size, nums = 0, np.zeros(len(chosen), np.int64)
    texts, scores = np.empty(1024, np.int64), np.empty(1024, np.float64)
    for at in range(len(chosen)):
        scratch.best[0] = threshold
        _search(chosen[at], task, rules, scratch)
        nums[at] = scratch.state[FOUND]
        if size + nums[at] > len(texts):
            texts, scores = _wider(texts, size + nums[at]), _wider(scores, size + nums[at])
        for k in range(nums[at]):
            texts[size], scores[size] = scratch.found[k], scratch.found_scores[k]
            size += 1
    return nums, texts[:size], scores[:size]
