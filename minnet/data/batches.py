"""Data in batches, in a new order each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike, DTypeLike

from ..arguments import cast_array, described, flag, is_stored, real_array, sliceable, whole_number
from ..parts import each_part, named_parts, paired_arrays
from ..random import Rng, generator
from .rows import in_order, rows_of, shuffled, shuffled_blocks

CHUNK_BYTES = 2**25  # of rows in a file that are read at a time
CACHE_BYTES = 2**18  # of rows in memory: they stay in the cache, and in memory that the process has already

Transform = Callable[[Any, "np.random.Generator"], Any]


class Batches:
    """Batches of (x, y), to be iterated over once an epoch.

    x (N, ...) and y (N, ...): arrays of one length, or what is read from a file in slices, such as an h5py Dataset. x
    may be a tuple of them, for a model of several inputs or for sequences with their lengths; each batch has one too.
    batch_size: rows in a batch; the last one may be shorter.  drop_last: whether that one is left out.
    shuffle: whether each epoch has the rows in a new order.  rng: what draws the orders.
    dtype: the dtype of x in a batch, and of y if it is floating; integer labels keep theirs, and so do integers in a
    tuple x, which are ids or lengths. With dtype=None x and y keep their dtypes, so that token ids stay integers.
    extra: further arrays of that length, treated as y and put after it: (x, y, weights) with extra=(weights,).
    transform: for augmentation, a function (x, rng) -> x with as many rows. It is called with each batch's x, already
    of that dtype, and with the generator that draws the orders.
    Batches are copies, which may be written into. What is read from a file in slices is shuffled as a whole up to
    32 MiB; beyond that, blocks of neighbouring rows come in a new order each epoch, and those that are in memory at a
    time are mixed. NumPy's memory maps are shuffled as arrays, row by row.
    Raises ValueError for no rows, arrays of different lengths, x without a feature axis, a batch_size below 1 or, with
    drop_last, above N, or a transform that changes the number of rows; TypeError for arrays that are not real, a
    batch_size that is not an int, an extra that is not a tuple, or a transform that can't be called.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int,
        shuffle: bool = True,
        *,
        drop_last: bool = False,
        dtype: DTypeLike | None = np.float32,
        extra: tuple[ArrayLike, ...] = (),
        transform: Transform | None = None,
        rng: Rng = None,
    ) -> None:
        self.x, self.y = paired_arrays("Batches", x, y)
        self.extra = _extra_arrays(extra, self.y.shape[0])
        for name, array in self.arrays().items():
            real_array(f"Batches: {name}", array[:0] if is_stored(array) else array)
        if not isinstance(self.x, tuple) and len(self.x.shape) < 2:
            raise ValueError(f"Batches: expected x of shape (N, ...) with a feature axis, got {self.x.shape}")
        if transform is not None and not callable(transform):
            raise TypeError(f"Batches: expected transform to be a function (x, rng) -> x, got {transform!r}")
        self.transform = transform
        self.batch_size = whole_number("Batches", "batch_size", batch_size, least=1)
        self.shuffle, self.rng = flag("Batches", "shuffle", shuffle), generator(rng)
        self.drop_last = flag("Batches", "drop_last", drop_last)
        self.dtype = None if dtype is None else np.dtype(dtype)
        if not len(self):
            raise ValueError(
                f"Batches: expected at least batch_size={self.batch_size} rows with drop_last, got {self.y.shape[0]}"
            )

    def __len__(self) -> int:
        """The number of batches."""
        batches, rest = divmod(self.y.shape[0], self.batch_size)
        return batches + (rest > 0 and not self.drop_last)

    def arrays(self) -> dict[str, Array]:
        """All arrays by name: x, or x[0] and so on of a tuple, y, and extra[0] and so on."""
        return {**named_parts(self.x), "y": self.y, **named_parts(self.extra, "extra")}

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        size, plain = self.batch_size, not (self.extra or self.transform or isinstance(self.x, tuple))
        arrays = tuple(self.arrays().values())
        for rows in _chunks(arrays, size, self.dtype, self.rng if self.shuffle else None):
            x = each_part(partial(rows_of, rows=rows), self.x)
            y, *extra = (rows_of(array, rows) for array in (self.y, *self.extra))
            if self.dtype is not None:
                x = _cast("Batches: x", x, self.dtype)
                y, *extra = (_floats("Batches: y or extra", array, self.dtype) for array in (y, *extra))
            for i in range(0, len(y) - len(y) % size if self.drop_last else len(y), size):
                if plain:
                    yield x[i : i + size], y[i : i + size]
                else:
                    batch = slice(i, i + size)
                    yield self.transformed(each_part(itemgetter(batch), x)), *(array[batch] for array in (y, *extra))

    def transformed(self, x: Any) -> Any:
        """x of a batch after the transform."""
        return x if self.transform is None else _checked(self.transform(x, self.rng), x, self.dtype)


def _checked(result: Any, x: Any, dtype: np.dtype[Any] | None) -> Any:
    """What a transform gave for x, in the dtype. Raises ValueError if it has other parts or rows."""
    if isinstance(x, tuple) and (not isinstance(result, tuple) or len(result) != len(x)):
        raise ValueError(f"Batches: expected transform to give a tuple of {len(x)} parts, got {described(result)}")
    result = each_part(partial(real_array, "Batches: transform"), result)
    for given, part in zip(named_parts(x).values(), named_parts(result).values()):
        if part.shape[:1] != given.shape[:1]:
            n = len(given)
            raise ValueError(f"Batches: expected transform to give {n} rows for x {given.shape}, got {part.shape}")
    return result if dtype is None else _cast("Batches: transform", result, dtype)


def _cast(owner: str, x: Any, dtype: np.dtype[Any]) -> Any:
    """x in a dtype; of a tuple the floating parts, since integers are ids or lengths."""
    if isinstance(x, tuple):
        return tuple(_floats(f"{owner}[{i}]", part, dtype) for i, part in enumerate(x))
    return cast_array(owner, x, dtype)


def _floats(owner: str, array: Array, dtype: np.dtype[Any]) -> Array:
    return cast_array(owner, array, dtype) if array.dtype.kind == "f" else array


def _extra_arrays(extra: tuple[ArrayLike, ...], n: int) -> tuple[Array, ...]:
    """extra as arrays, each checked to have n rows."""
    if not isinstance(extra, (tuple, list)):
        raise TypeError(f"Batches: expected extra to be a tuple of arrays, got {type(extra).__name__}")
    arrays = tuple(sliceable("Batches", f"extra[{i}]", array) for i, array in enumerate(extra))
    for i, array in enumerate(arrays):
        if array.shape[:1] != (n,):
            raise ValueError(f"Batches: expected extra[{i}] to have a row for each of {n} samples, got {array.shape}")
    return arrays


# Gathering the rows of many batches at once, and slicing them, costs a fraction of gathering each batch.
def _chunks(
    arrays: tuple[Array, ...], size: int, dtype: np.dtype[Any] | None, rng: np.random.Generator | None
) -> Iterator[Any]:
    """Which rows are gathered at a time: of whole batches but at the end, and in order without an rng."""
    n, stored = arrays[0].shape[0], [array for array in arrays if is_stored(array)]
    least = 1 if dtype is None else dtype.itemsize
    row = sum(math.prod(array.shape[1:]) * max(least, array.dtype.itemsize) for array in arrays)
    room = CHUNK_BYTES if stored else CACHE_BYTES
    chunk = size * max(1, room // max(1, size * row))
    if rng is None:
        return in_order(n, chunk)
    return shuffled_blocks(n, chunk, stored[0], rng) if stored and n > chunk else shuffled(n, chunk, rng)
