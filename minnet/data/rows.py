"""Rows of an array, or of data in a file, which are read in slices: many at a time, and never all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray as Array

BLOCKS = 32  # of neighbouring rows that are in a chunk: the fewer, the faster they are read and the less they are mixed


def rows_of(data: Array, rows: slice | Array) -> Array:
    """A copy of some rows, a slice or indices in any order, of an array or of data that give slices only."""
    if isinstance(data, Array):
        # For short rows, take costs less than half of indexing by an array.
        return data[rows].copy() if isinstance(rows, slice) else data.take(rows, axis=0)
    if isinstance(rows, slice):
        return np.array(data[rows])
    result = np.empty((len(rows), *data.shape[1:]), data.dtype)
    order = np.argsort(rows)
    for places in np.split(order, 1 + np.flatnonzero(np.diff(rows[order]) != 1)):
        start = int(rows[places[0]])
        result[places] = data[start : start + len(places)]
    return result


def in_order(n: int, chunk: int) -> Iterator[slice]:
    """All n rows, a chunk at a time."""
    for start in range(0, n, chunk):
        yield slice(start, min(start + chunk, n))


def shuffled(n: int, chunk: int, rng: np.random.Generator) -> Iterator[Array]:
    """The indices of all n rows in a random order, a chunk at a time."""
    order = rng.permutation(n)
    for start in range(0, n, chunk):
        yield order[start : start + chunk]


def shuffled_blocks(n: int, chunk: int, data: Any, rng: np.random.Generator) -> Iterator[Array]:
    """The same for data that give slices only: blocks of rows in a random order, and all rows of a chunk mixed."""
    unit = (getattr(data, "chunks", None) or (1,))[0]  # rows that a file packs together are read together
    unit = unit if isinstance(unit, int) else 1
    block = min(chunk, -(-max(1, chunk // BLOCKS) // unit) * unit)
    rows = np.zeros(0, int)
    for start in rng.permutation(-(-n // block)) * block:
        rows = np.concatenate([rows, np.arange(start, min(start + block, n))])
        while len(rows) >= chunk:
            yield rng.permutation(rows[:chunk])
            rows = rows[chunk:]
    if len(rows):
        yield rng.permutation(rows)
