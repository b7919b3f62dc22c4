from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.errors import ArtifactError, DataError, SpecError
from epigone.tokens.packing import (
    Blocks,
    concatenate_and_chop,
    load_blocks,
    pack,
    positions,
    save_blocks,
    take_tokens,
)

tokens = st.lists(st.tuples(st.integers(1, 99), st.booleans()), min_size=1, max_size=30)
sequences = st.lists(tokens.map(lambda pairs: ([i for i, _ in pairs], [m for _, m in pairs])), max_size=12)
lengths = st.integers(2, 12)


def segments(blocks: Blocks) -> list[tuple[tuple[int, bool], ...]]:
    """What is in the blocks, read off token by token; asserts that segments are whole and padding comes last."""
    found: list[list[tuple[int, bool]]] = []
    for row in range(len(blocks)):
        previous, padded = 0, False
        for token, learnt, segment in zip(*(array[row].tolist() for array in blocks.arrays), strict=True):
            if segment == 0:
                assert (token, learnt) == (0, False)
                padded = True
                continue
            assert not padded and segment in (previous, previous + 1)
            if segment != previous:
                found.append([])
            found[-1].append((token, learnt))
            previous = segment
    return [tuple(segment) for segment in found]


@given(sequences, lengths)
def test_split_loses_and_invents_no_token(given_sequences, length):
    blocks, counts = pack(given_sequences, length, overlong="split")
    expected = Counter()
    for ids, mask in given_sequences:
        pairs = list(zip(ids, mask, strict=True))
        while pairs:
            expected[tuple(pairs[:length])] += 1
            pairs = pairs[length:]
    assert Counter(segments(blocks)) == expected
    assert counts.num_tokens == blocks.num_tokens == sum(len(ids) for ids, _ in given_sequences)
    assert counts.num_split == sum(len(ids) > length for ids, _ in given_sequences)


@given(sequences, lengths)
def test_truncate_counts_what_it_cuts(given_sequences, length):
    blocks, counts = pack(given_sequences, length, overlong="truncate")
    assert Counter(segments(blocks)) == Counter(tuple(zip(i[:length], m[:length])) for i, m in given_sequences)
    assert counts.num_tokens == blocks.num_tokens + counts.num_tokens_cut
    assert counts.num_truncated == sum(len(ids) > length for ids, _ in given_sequences)


@given(sequences, lengths)
def test_chopped_stream_is_the_stream(given_sequences, length):
    blocks, counts = concatenate_and_chop(given_sequences, length)
    stream = [pair for ids, mask in given_sequences for pair in zip(ids, mask, strict=True)]
    assert [pair for segment in segments(blocks) for pair in segment] == stream
    assert len(blocks) == -(-len(stream) // length)
    assert set(np.unique(blocks.segment_ids)) <= {0, 1}
    assert counts.num_tokens == len(stream)


@given(sequences, lengths)
def test_positions_restart_in_each_segment(given_sequences, length):
    blocks, _ = pack(given_sequences, length, overlong="split")
    for segment_row, position_row in zip(blocks.segment_ids, positions(blocks.segment_ids), strict=True):
        for at in range(length):
            same = at > 0 and segment_row[at] == segment_row[at - 1]
            assert position_row[at] == (position_row[at - 1] + 1 if same else 0)


def test_little_padding_is_lost():
    sizes = np.random.default_rng(0).integers(5, 120, 3000)
    blocks, counts = pack([([7] * n, [True] * n) for n in sizes.tolist()], 192, overlong="split")
    assert counts.num_tokens == sizes.sum()
    assert len(blocks) <= 1.01 * np.ceil(sizes.sum() / 192)


def test_packing_is_deterministic():
    data = [([n, n + 1], [False, True]) for n in range(1, 50)]
    first, second = (pack(data, 5, overlong="split")[0] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first.arrays, second.arrays, strict=True))


def test_a_block_of_one_token_is_refused():
    for pack_one in (lambda: pack([], 1, overlong="split"), lambda: concatenate_and_chop([], 1)):
        with pytest.raises(SpecError, match="2 or more"):
            pack_one()


@given(sequences, st.integers(0, 100), st.integers(0, 100))
def test_amounts_are_nested_and_tight(given_sequences, one, other):
    total = sum(len(ids) for ids, _ in given_sequences)
    small, large = (take_tokens(given_sequences, min(amount, total)) for amount in sorted((one, other)))
    assert large[: len(small)] == small
    assert large == given_sequences[: len(large)]
    sizes = [len(ids) for ids, _ in large]
    assert sum(sizes) >= min(max(one, other), total)
    assert not sizes or sum(sizes[:-1]) < min(max(one, other), total)


def test_too_little_data_says_how_much_there_is():
    with pytest.raises(DataError, match=r"10 tokens were asked for, the data holds 3"):
        take_tokens([([1, 2, 3], [True] * 3)], 10)


@pytest.mark.parametrize("data", [[], [([1, 2, 3], [False, True, True])]], ids=["none", "some"])
def test_saved_blocks_come_back_mapped(tmp_path, data):
    blocks, _ = pack(data, 4, overlong="split")
    save_blocks(blocks, tmp_path / "blocks")
    loaded = load_blocks(tmp_path / "blocks")
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(blocks.arrays, loaded.arrays, strict=True))
    assert isinstance(loaded.tokens, np.memmap)


def test_broken_blocks_are_named(tmp_path):
    blocks, _ = pack([([1, 2, 3], [True] * 3)], 4, overlong="split")
    save_blocks(blocks, tmp_path)
    np.save(tmp_path / "loss_mask.npy", np.zeros((2, 4), np.bool_))
    with pytest.raises(ArtifactError, match="different shapes"):
        load_blocks(tmp_path)
    (tmp_path / "loss_mask.npy").write_bytes(b"half")
    with pytest.raises(ArtifactError, match=r"loss_mask\.npy"):
        load_blocks(tmp_path)
    (tmp_path / "loss_mask.npy").unlink()
    with pytest.raises(ArtifactError, match=r"loss_mask\.npy"):
        load_blocks(tmp_path)
