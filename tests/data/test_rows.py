import numpy as np
import pytest

from minnet.data.rows import BLOCKS, in_order, rows_of, shuffled, shuffled_blocks


def numbered(n):
    return np.stack([np.arange(n), np.arange(n) + 0.5], axis=1)


@pytest.mark.rows("rows", [slice(2, 5), np.array([4, 0, 9, 3, 2]), np.array([7]), np.arange(10)])
def test_rows_of_a_file_are_those_of_the_array_in_it(stored, rows):
    array = numbered(10)
    expected = array[rows]
    for data in (array, stored(array)):
        result = rows_of(data, rows)
        assert np.array_equal(result, expected) and result.dtype == array.dtype
        result[...] = -1
    assert np.array_equal(array, numbered(10))


def test_neighbouring_rows_of_a_file_are_read_at_once(stored):
    data = stored(numbered(20))
    rows_of(data, np.array([7, 3, 12, 4, 5, 13]))
    assert sorted(data.read) == [(3, 6), (7, 8), (12, 14)]


def test_rows_in_order_come_a_chunk_at_a_time():
    assert [(rows.start, rows.stop) for rows in in_order(10, 4)] == [(0, 4), (4, 8), (8, 10)]


@pytest.mark.rows(("n", "chunk", "chunks"), [(23, 4, None), (1000, 64, None), (1000, 64, (24, 2)), (70, 64, (100, 2))])
def test_every_row_comes_once_in_chunks_that_are_full_but_for_the_last(stored, n, chunk, chunks):
    data = stored(numbered(n), chunks)
    for parts in (
        [*shuffled(n, chunk, np.random.default_rng(0))],
        [*shuffled_blocks(n, chunk, data, np.random.default_rng(0))],
    ):
        assert [len(rows) for rows in parts] == [chunk] * (n // chunk) + [n % chunk] * (n % chunk > 0)
        assert sorted(np.concatenate(parts).tolist()) == list(range(n))


def test_rows_of_a_file_are_read_in_blocks_that_come_in_a_new_order_and_are_mixed(stored):
    data, rng, chunk = stored(numbered(4096)), np.random.default_rng(0), 512
    first, second = ([*shuffled_blocks(4096, chunk, data, rng)] for _ in range(2))
    for epoch in (first, second):
        data.read.clear()
        for rows in epoch:
            assert len(set((rows // (chunk // BLOCKS)).tolist())) == BLOCKS
            assert (np.diff(rows) == 1).mean() < 0.05
            rows_of(data, rows)
        assert len(data.read) <= 4096 // (chunk // BLOCKS)
    assert not any({*a.tolist()} == {*b.tolist()} for a in first for b in second)


def test_what_a_file_packs_together_is_read_together(stored):
    data = stored(numbered(4000), chunks=(100, 2))
    for rows in shuffled_blocks(4000, 1000, data, np.random.default_rng(0)):
        rows_of(data, rows)
    assert {place % 100 for ends in data.read for place in ends} == {0}
    tiles = stored(numbered(64), chunks=((32, 32), (2,)))  # of blocks of any length, as dask has them
    assert sorted(np.concatenate([*shuffled_blocks(64, 32, tiles, np.random.default_rng(0))])) == list(range(64))
