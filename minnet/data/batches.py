"""Data in batches, in a new order each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike, DTypeLike

from ..arguments import flag, paired_arrays, real_array, whole_number
from ..random import Rng, generator

CHUNK_BYTES = 2**25  # of x that are gathered at a time

Transform = Callable[[Array, "np.random.Generator"], Array]


class Batches:
    """Batches of (x, y), to be iterated over once an epoch.

    x (N, ...) and y (N, ...): arrays of one length.  batch_size: rows in a batch; the last one may be shorter.
    shuffle: whether each epoch has the rows in a new order.  rng: what draws the orders.
    dtype: the dtype of x in a batch, and of y if it is floating; integer labels keep theirs. With dtype=None x and y
    keep their dtypes, so that token ids stay integers.
    extra: further arrays of that length, treated as y and put after it: (x, y, weights) with extra=(weights,).
    transform: for augmentation, a function (x, rng) -> x with as many rows. It is called with a copy of each batch's x,
    already of that dtype, and with the generator that draws the orders.
    Raises ValueError for no rows, arrays of different lengths, x without a feature axis, a batch_size below 1, or a
    transform that changes the number of rows; TypeError for x that is not real, a batch_size that is not an int, an
    extra that is not a tuple, or a transform that can't be called.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int,
        shuffle: bool = True,
        *,
        dtype: DTypeLike | None = np.float32,
        extra: tuple[ArrayLike, ...] = (),
        transform: Transform | None = None,
        rng: Rng = None,
    ) -> None:
        self.x, self.y = paired_arrays("Batches", x, y)
        if self.x.dtype.kind not in "biuf":
            raise TypeError(f"Batches: expected x of real numbers, got {self.x.dtype}")
        if self.x.ndim < 2:
            raise ValueError(f"Batches: expected x of shape (N, ...) with a feature axis, got {self.x.shape}")
        self.extra = _extra_arrays(extra, len(self.x))
        if transform is not None and not callable(transform):
            raise TypeError(f"Batches: expected transform to be a function (x, rng) -> x, got {transform!r}")
        self.transform = transform
        self.batch_size = whole_number("Batches", "batch_size", batch_size, least=1)
        self.shuffle, self.rng = flag("Batches", "shuffle", shuffle), generator(rng)
        self.dtype = None if dtype is None else np.dtype(dtype)

    def __len__(self) -> int:
        """The number of batches."""
        return math.ceil(len(self.x) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        n, size = len(self.x), self.batch_size
        plain = not self.extra and self.transform is None
        order = self.rng.permutation(n) if self.shuffle else None
        # Gathering the rows of many batches at once, and slicing them, costs a fraction of gathering each batch; for
        # short rows, take costs less than half of indexing by an array.
        chunk = size * max(1, CHUNK_BYTES // max(1, size * self.x[:1].nbytes))
        for start in range(0, n, chunk):
            rows = slice(start, start + chunk)
            arrays = (self.x, self.y, *self.extra)
            x, y, *extra = (array[rows] if order is None else array.take(order[rows], axis=0) for array in arrays)
            if self.dtype is not None:
                x = x.astype(self.dtype, copy=False)
                y, *extra = (a.astype(self.dtype, copy=False) if a.dtype.kind == "f" else a for a in (y, *extra))
            for i in range(0, len(x), size):
                if plain:
                    yield x[i : i + size], y[i : i + size]
                else:
                    yield self._transformed(x[i : i + size]), *(array[i : i + size] for array in (y, *extra))

    def _transformed(self, x: Array) -> Array:
        if self.transform is None:
            return x
        # Without shuffling, batches are views of the data, which a transform must not change.
        result = real_array("Batches: transform", self.transform(x if self.shuffle else x.copy(), self.rng))
        if result.shape[:1] != x.shape[:1]:
            raise ValueError(f"Batches: expected transform to give {len(x)} rows for x {x.shape}, got {result.shape}")
        return result if self.dtype is None else result.astype(self.dtype, copy=False)


def _extra_arrays(extra: tuple[ArrayLike, ...], n: int) -> tuple[Array, ...]:
    """extra as arrays, each checked to have n rows."""
    if not isinstance(extra, (tuple, list)):
        raise TypeError(f"Batches: expected extra to be a tuple of arrays, got {type(extra).__name__}")
    arrays = tuple(np.asarray(array) for array in extra)
    for i, array in enumerate(arrays):
        if array.shape[:1] != (n,):
            raise ValueError(f"Batches: expected extra[{i}] to have a row for each of {n} samples, got {array.shape}")
    return arrays
