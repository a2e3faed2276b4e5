"""Data on its way into a model: the bundled digits, a split, and batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike, DTypeLike

from .arguments import whole_number
from .random import Rng, generator

CHUNK_BYTES = 2**25


def load_digits() -> tuple[Array, Array]:
    """1,797 handwritten digits of 8×8 pixels, in the order of scikit-learn's `load_digits`.

    Returns x (1797, 64), float32, the darkness of each pixel from 0 to 1 in steps of 1/16, row by row; and
    y (1797,), int64, the digit.
    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0 (doi:10.24432/C50P49).
    """
    here = Path(__file__).parent
    installed, checkout = here / "_data" / "digits.npz", here.parent / "datasets" / "digits.npz"
    with np.load(installed if installed.exists() else checkout, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    return images.reshape(-1, 64).astype(np.float32) / 16, labels.astype(np.int64)


def train_test_split(
    x: ArrayLike, y: ArrayLike, test_size: float | int = 0.2, stratify: bool = True, *, rng: Rng = None
) -> tuple[Array, Array, Array, Array]:
    """Part the samples at random: x_train, x_test, y_train, y_test.

    test_size: the share of the test part, rounded up, or as an int its number of samples.
    stratify: whether every class, that is every value of a one-dimensional y, has the same share of both parts, to
    within one sample.
    rng: what draws the parts.
    Raises ValueError for x and y of different lengths, for a part that would be empty, and for stratifying by what
    are not labels.
    """
    x, y = _paired("train_test_split", x, y)
    n = len(x)
    size = test_size if isinstance(test_size, (int, np.integer)) else math.ceil(test_size * n)
    if isinstance(test_size, bool) or not 0 < size < n:
        raise ValueError(f"train_test_split: expected test_size to leave samples in both parts of {n}, got {test_size}")
    if stratify and (y.ndim != 1 or y.dtype.kind == "f"):
        raise ValueError(
            f"train_test_split: expected one label a sample to stratify by, got y of shape {y.shape} and {y.dtype}; "
            "pass stratify=False"
        )
    order = generator(rng).permutation(n)
    in_test = _stratified(y[order], size) if stratify else np.arange(n) < size
    train, test = order[~in_test], order[in_test]
    return x[train], x[test], y[train], y[test]


class Batches:
    """Batches of (x, y), which can be walked again and again: once an epoch.

    x (N, ...) and y (N, ...): arrays of one length.  batch_size: rows in a batch; the last one may be shorter.
    shuffle: whether each walk has the rows in a new order.  rng: what draws the orders.
    dtype: what real x, and floating y, are handed out as; integer labels stay what they are. With dtype=None x and y
    keep their dtypes, so that token ids stay integers.
    Raises ValueError for no rows, x and y of different lengths, x without a feature axis, or a batch_size below 1;
    TypeError for x that is not real, or a batch_size that is not an int.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int,
        shuffle: bool = True,
        *,
        dtype: DTypeLike | None = np.float32,
        rng: Rng = None,
    ) -> None:
        self.x, self.y = _paired("Batches", x, y)
        if self.x.dtype.kind not in "biuf":
            raise TypeError(f"Batches: expected x of real numbers, got {self.x.dtype}")
        if self.x.ndim < 2:
            raise ValueError(f"Batches: expected x of shape (N, ...) with a feature axis, got {self.x.shape}")
        self.batch_size = whole_number("Batches", "batch_size", batch_size, least=1)
        self.shuffle, self.rng = shuffle, generator(rng)
        self.dtype = None if dtype is None else np.dtype(dtype)

    def __len__(self) -> int:
        """The number of batches."""
        return math.ceil(len(self.x) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        n, size = len(self.x), self.batch_size
        order = self.rng.permutation(n) if self.shuffle else None
        # One gather for many batches, handed out in slices, costs a fraction of a gather for each.
        chunk = size * max(1, CHUNK_BYTES // max(1, size * self.x[:1].nbytes))
        for start in range(0, n, chunk):
            rows = slice(start, start + chunk) if order is None else order[start : start + chunk]
            x, y = self.x[rows], self.y[rows]
            if self.dtype is not None:
                x = x.astype(self.dtype, copy=False)
                y = y.astype(self.dtype, copy=False) if y.dtype.kind == "f" else y
            for i in range(0, len(x), size):
                yield x[i : i + size], y[i : i + size]


def _paired(owner: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """x and y as arrays with one row for each sample."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"{owner}: expected x and y with one row for each sample, got shapes {x.shape} and {y.shape}")
    if not len(x):
        raise ValueError(f"{owner}: expected at least one sample, got none")
    return x, y


def _stratified(y: Array, size: int) -> Array:
    """Which rows make a part of this size in which each class has its share, to within one row: the first of each.

    Every class gets its share rounded down, and those that lost most by it one row more.
    """
    _, label, count = np.unique(y, return_inverse=True, return_counts=True)
    share = count * size / len(y)
    quota = np.floor(share)
    quota[np.argsort(quota - share, kind="stable")[: size - int(quota.sum())]] += 1
    rank = np.empty(len(y))
    rank[np.argsort(label, kind="stable")] = np.arange(len(y)) - np.repeat(np.cumsum(count) - count, count)
    return rank < quota[label]
