"""Data on its way into a model: the bundled digits, a split, encodings, and batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike, DTypeLike

from ..arguments import flag, number, plain_array, real_array, whole_number
from ..random import Rng, generator

CHUNK_BYTES = 2**25

Transform = Callable[[Array, "np.random.Generator"], Array]


def load_digits() -> tuple[Array, Array]:
    """1,797 handwritten digits of 8×8 pixels, in the order of scikit-learn's `load_digits`.

    Returns x (1797, 64), float32, the darkness of each pixel from 0 to 1 in steps of 1/16, row by row; and
    y (1797,), int64, the digit.
    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0 (doi:10.24432/C50P49).
    """
    here = Path(__file__).parents[1]
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
    number("train_test_split", "test_size", test_size)
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


def one_hot(y: ArrayLike, classes: int | None = None) -> Array:
    """Labels as rows that are 1 at the label and 0 elsewhere, float32.

    Shapes      y (...) integer labels   result (..., C)

    classes: C, one more than the largest label by default.
    Raises TypeError for labels that are not integers; ValueError for labels outside of 0 … C − 1, or for no labels
    and no classes.

    >>> one_hot([2, 0], classes=3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    labels = plain_array("one_hot", "y", y)
    if labels.size and labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected y to hold integer labels, got {labels.dtype}")
    if classes is None and not labels.size:
        raise ValueError("one_hot: expected classes to be given for no labels, got neither")
    if labels.size and labels.min() < 0:
        raise ValueError(f"one_hot: expected labels of at least 0, got {labels.min()}")
    C = int(labels.max()) + 1 if classes is None else whole_number("one_hot", "classes", classes, least=1)
    if labels.size and labels.max() >= C:
        raise ValueError(f"one_hot: expected labels from 0 to {C - 1}, got {labels.min()} to {labels.max()}")
    result = np.zeros((labels.size, C), np.float32)
    result[np.arange(labels.size), labels.reshape(-1).astype(np.intp)] = 1
    return result.reshape(*labels.shape, C)


class Standardize:
    """Features with mean 0 and standard deviation 1, as measured on the training part.

    Transform   (x − mean) / std, the feature-wise mean and standard deviation of what was fitted

    Shapes      x (..., D), of two axes at least to fit   mean, std (D,), float64

    A feature that was constant becomes 0: its std counts as 1. Floating x keeps its dtype, other x becomes float32.
    Raises TypeError for x that is not real; ValueError for one to fit that has no rows or is not finite, or another D
    afterwards; RuntimeError for a transform before fit.
    """

    def __init__(self) -> None:
        self.mean: Array | None = None
        self.std: Array | None = None

    def fit(self, x: ArrayLike) -> Self:
        """Measure x."""
        x = real_array("Standardize", plain_array("Standardize", "x", x))
        if x.ndim < 2 or not x.size:
            raise ValueError(f"Standardize: expected x of shape (N, ..., D) with rows to fit, got {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError("Standardize: expected x to be finite, got infinities or NaN")
        rows = x.reshape(-1, x.shape[-1])
        first = rows[0].astype(np.float64)
        rows = rows - first  # so that of constants nothing is left, however their mean is rounded
        self.mean, self.std = first + rows.mean(axis=0), rows.std(axis=0)
        self.std[self.std == 0] = 1
        return self

    def transform(self, x: ArrayLike) -> Array:
        """x by the measures of what was fitted, as a new array."""
        if self.mean is None or self.std is None:
            raise RuntimeError("Standardize: transform before fit; call fit with the training part first")
        x = real_array("Standardize", x)
        if x.shape[-1:] != self.mean.shape:
            raise ValueError(f"Standardize: expected x of shape (..., {len(self.mean)}), got {x.shape}")
        y = x - self.mean
        y /= self.std
        return y.astype(x.dtype if x.dtype.kind == "f" else np.float32, copy=False)

    def fit_transform(self, x: ArrayLike) -> Array:
        """Measure x, and return it transformed."""
        return self.fit(x).transform(x)


class Batches:
    """Batches of (x, y), which can be walked again and again: once an epoch.

    x (N, ...) and y (N, ...): arrays of one length.  batch_size: rows in a batch; the last one may be shorter.
    shuffle: whether each walk has the rows in a new order.  rng: what draws the orders.
    dtype: what real x, and floating y, are handed out as; integer labels stay what they are. With dtype=None x and y
    keep their dtypes, so that token ids stay integers.
    extra: further arrays of that length, treated as y and handed out after it: (x, y, weights) with extra=(weights,).
    transform: for augmentation, a function (x, rng) -> x of as many rows, called with each batch's x as it is handed
    out, a copy, and the generator of the orders.
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
        self.x, self.y = _paired("Batches", x, y)
        if self.x.dtype.kind not in "biuf":
            raise TypeError(f"Batches: expected x of real numbers, got {self.x.dtype}")
        if self.x.ndim < 2:
            raise ValueError(f"Batches: expected x of shape (N, ...) with a feature axis, got {self.x.shape}")
        self.extra = _further(extra, len(self.x))
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
        # One gather for many batches, handed out in slices, costs a fraction of a gather for each; take costs less
        # than half of an index by an array where rows are short.
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
        # Batches in order are views of the data, which a transform must not come to change.
        result = real_array("Batches: transform", self.transform(x if self.shuffle else x.copy(), self.rng))
        if result.shape[:1] != x.shape[:1]:
            raise ValueError(f"Batches: expected transform to give {len(x)} rows for x {x.shape}, got {result.shape}")
        return result if self.dtype is None else result.astype(self.dtype, copy=False)


def _paired(owner: str, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """x and y as arrays with one row for each sample."""
    x, y = plain_array(owner, "x", x), plain_array(owner, "y", y)
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


def _further(extra: tuple[ArrayLike, ...], n: int) -> tuple[Array, ...]:
    """What Batches hands out after y, as arrays."""
    if not isinstance(extra, (tuple, list)):
        raise TypeError(f"Batches: expected extra to be a tuple of arrays, got {type(extra).__name__}")
    arrays = tuple(np.asarray(array) for array in extra)
    for i, array in enumerate(arrays):
        if array.shape[:1] != (n,):
            raise ValueError(f"Batches: expected extra[{i}] to have a row for each of {n} samples, got {array.shape}")
    return arrays
