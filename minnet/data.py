"""Data on its way into a model: the bundled digits, IDX files, a split, encodings, and batches."""

from __future__ import annotations

import gzip
import math
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike, DTypeLike

from .arguments import real_array, whole_number
from .random import Rng, generator

CHUNK_BYTES = 2**25

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

# No gzip stream unpacks to more than 1,032 times its size, and a large one that comes near is not data.
GZIP_LIMIT, LARGE, LARGE_GZIP_LIMIT = 1032, 2**24, 100

Transform = Callable[[Array, "np.random.Generator"], Array]


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


def load_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an IDX file, the format of MNIST: images as they are, say uint8 (60000, 28, 28), or labels.

    path: of a plain or gzipped file, told from its content. All six types of the format are read: uint8, int8, int16,
    int32, float32 and float64.
    Nothing is allocated before the header is known to declare no more than a file of this size can hold; a gzipped
    one, above 16 MiB, no more than 100 times its size: unpack such a file first if you trust it.
    Raises ValueError for a file that isn't whole or has bytes after its end; FileNotFoundError for a missing one.
    Source: LeCun, Cortes and Burges 1998, The MNIST database.
    """
    path = Path(path)
    with open(path, "rb") as file:
        size, packed = os.fstat(file.fileno()).st_size, file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            return _read_idx(path, file, size, packed)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_idx(path, unpacked, size, packed)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            _bad_idx(path, "a whole gzip file", f"one that can't be unpacked ({error})")


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
    labels = np.asarray(y)
    if labels.size and labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected y to hold integer labels, got {labels.dtype}")
    if classes is None and not labels.size:
        raise ValueError("one_hot: expected classes to be given for no labels, got neither")
    C = int(labels.max()) + 1 if classes is None else whole_number("one_hot", "classes", classes, least=1)
    if labels.size and not 0 <= labels.min() <= labels.max() < C:
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
        x = real_array("Standardize", x)
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
        self.shuffle, self.rng = shuffle, generator(rng)
        self.dtype = None if dtype is None else np.dtype(dtype)

    def __len__(self) -> int:
        """The number of batches."""
        return math.ceil(len(self.x) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        n, size = len(self.x), self.batch_size
        plain = not self.extra and self.transform is None
        order = self.rng.permutation(n) if self.shuffle else None
        # One gather for many batches, handed out in slices, costs a fraction of a gather for each.
        chunk = size * max(1, CHUNK_BYTES // max(1, size * self.x[:1].nbytes))
        for start in range(0, n, chunk):
            rows = slice(start, start + chunk) if order is None else order[start : start + chunk]
            x, y, *extra = (array[rows] for array in (self.x, self.y, *self.extra))
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


def _further(extra: tuple[ArrayLike, ...], n: int) -> tuple[Array, ...]:
    """What Batches hands out after y, as arrays."""
    if not isinstance(extra, (tuple, list)):
        raise TypeError(f"Batches: expected extra to be a tuple of arrays, got {type(extra).__name__}")
    arrays = tuple(np.asarray(array) for array in extra)
    for i, array in enumerate(arrays):
        if array.shape[:1] != (n,):
            raise ValueError(f"Batches: expected extra[{i}] to have a row for each of {n} samples, got {array.shape}")
    return arrays


def _read_idx(path: Path, file: BufferedIOBase, size: int, packed: bool) -> Array:
    """The array in an open IDX file of this size, once its header is known to be justified by that."""
    header = file.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in IDX_TYPES:
        types = ", ".join(f"{code:02x}" for code in IDX_TYPES)
        _bad_idx(path, f"an IDX file, which begins with 0000, a type ({types}) and its axes", header.hex() or "nothing")
    dtype, axes = np.dtype(IDX_TYPES[header[2]]), header[3]
    lengths = file.read(4 * axes)
    if not 1 <= axes <= 64 or len(lengths) < 4 * axes:
        _bad_idx(path, "1 to 64 axes and the length of each", f"{axes} axes and {len(lengths) // 4} lengths")
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())
    count, room = math.prod(shape), math.prod(max(1, length) for length in shape)  # NumPy needs the latter to be small
    what = f"{count * dtype.itemsize} bytes for {dtype.newbyteorder('=')} of shape {shape}"
    limit = min(GZIP_LIMIT * size, max(LARGE, LARGE_GZIP_LIMIT * size)) if packed else size
    if count * dtype.itemsize > limit or room * dtype.itemsize > sys.maxsize:
        _bad_idx(path, f"at most {limit} bytes in a {'gzip ' * packed}file of {size}", f"a header that declares {what}")
    values = bytearray(count * dtype.itemsize)
    read = file.readinto(values)
    if read < len(values) or file.read(1):
        _bad_idx(path, what, "more" if read == len(values) else f"{read}")
    return np.frombuffer(values, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _bad_idx(path: Path, expected: str, got: str) -> NoReturn:
    raise ValueError(f"load_idx: {path}: expected {expected}, got {got}")
