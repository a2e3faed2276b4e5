"""Raw data turned into what a model learns from: standardized features, one-hot labels, sequences of one length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import described, plain_array, real_array, sliceable, whole_number
from .rows import in_order

CHUNK = 2**22  # entries whose statistics are computed at a time, in float64


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
        raise ValueError("one_hot: expected classes where there are no labels, got neither")
    if labels.size and labels.min() < 0:
        raise ValueError(f"one_hot: expected labels of at least 0, got {labels.min()}")
    C = int(labels.max()) + 1 if classes is None else whole_number("one_hot", "classes", classes, least=1)
    if labels.size and labels.max() >= C:
        raise ValueError(f"one_hot: expected labels from 0 to {C - 1}, got {labels.min()} to {labels.max()}")
    try:
        result = np.zeros((labels.size, C), np.float32)
    except (MemoryError, OverflowError, ValueError):
        raise ValueError(
            f"one_hot: expected so few classes that {labels.size} rows fit into memory, got {C}; "
            "number the labels with np.unique(y, return_inverse=True)[1]"
        ) from None
    result[np.arange(labels.size), labels.reshape(-1).astype(np.intp)] = 1
    return result.reshape(*labels.shape, C)


def pad_sequences(sequences: Iterable[ArrayLike], value: float = 0) -> tuple[Array, Array]:
    """Sequences of unequal length as one array, padded at their ends, and their lengths: what Padded takes.

    Shapes      each sequence (Tₙ, ...)   x (N, T, ...), T the longest   lengths (N,), int64

    value: what the padding holds.  x has the dtype that holds all sequences.
    Raises TypeError for what is no sequence of real numbers; ValueError for no sequences, and for some that differ in
    more than their length.

    >>> x, lengths = pad_sequences([[3, 1, 2], [2]])
    >>> x.tolist(), lengths.tolist()
    ([[3, 1, 2], [2, 0, 0]], [3, 1])
    """
    if isinstance(value, (str, bytes)) or np.ndim(value) or not hasattr(value, "__float__"):
        raise TypeError(f"pad_sequences: expected value to be a number, got {described(value)}")
    arrays = [real_array(f"pad_sequences: sequence {n}", sequence) for n, sequence in enumerate(sequences)]
    if not arrays:
        raise ValueError("pad_sequences: expected at least one sequence, got none")
    for n, array in enumerate(arrays):
        if array.ndim < 1 or array.shape[1:] != arrays[0].shape[1:]:
            got = f"{arrays[0].shape} for sequence 0 and {array.shape} for sequence {n}"
            raise ValueError(f"pad_sequences: expected sequences that differ in their first axis only, got {got}")
    dtype = np.result_type(*([array.dtype for array in arrays if array.size] or [arrays[0].dtype]))
    if dtype.kind != "f" and not (np.isfinite(value) and int(value) == value and _fits(int(value), dtype)):
        raise ValueError(f"pad_sequences: expected a value that {dtype} can hold, got {value}")
    lengths = np.array([len(array) for array in arrays], np.int64)
    x = np.full((len(arrays), int(lengths.max()), *arrays[0].shape[1:]), value, dtype)
    for row, array in zip(x, arrays):
        row[: len(array)] = array
    return x, lengths


def _fits(value: int, dtype: np.dtype[Any]) -> bool:
    """Whether an integer dtype, or bool, can hold a value."""
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low <= value <= high


class Standardize:
    """Shifts and scales features to mean 0 and standard deviation 1, as computed from the training part.

    Transform   (x − mean) / std, with the mean and standard deviation of each feature in the x of fit

    Shapes      x (..., D), in fit of two axes at least   mean, std (D,), float64

    A constant feature becomes 0: its std is set to 1. Floating x keeps its dtype, other x becomes float32.
    fit reads what lies in a file, such as an h5py Dataset, in slices. transform gives an array in memory; for one batch
    at a time there is Batches(..., transform=lambda x, rng: scale.transform(x)).
    Raises TypeError for x that is not real; ValueError if fit gets no rows or values that are not finite, or transform
    another D; RuntimeError for transform before fit.
    """

    def __init__(self) -> None:
        self.mean: Array | None = None
        self.std: Array | None = None

    def fit(self, x: ArrayLike) -> Self:
        """Compute mean and std from x, part after part."""
        x = sliceable("Standardize", "x", x)
        if len(x.shape) < 2 or 0 in x.shape:
            raise ValueError(f"Standardize: expected x of shape (N, ..., D) with rows to fit, got {x.shape}")
        # The first row is subtracted, so that a constant becomes exactly 0, however its mean is rounded.
        first = real_array("Standardize", x[:1]).reshape(-1, x.shape[-1])[0].astype(np.float64)
        N, mean, squares = 0, np.zeros_like(first), np.zeros_like(first)
        for rows in in_order(x.shape[0], max(1, CHUNK // math.prod(x.shape[1:]))):
            part = real_array("Standardize", x[rows]).reshape(-1, x.shape[-1])
            if not np.isfinite(part).all():
                raise ValueError("Standardize: expected x to be finite, got infinities or NaN")
            part = part - first
            m, n = part.mean(axis=0), len(part)
            # Of two parts together: the squares of both, and of how far the mean of each is from the common mean.
            squares += np.square(part - m).sum(axis=0) + np.square(m - mean) * (N * n / (N + n))
            mean += (m - mean) * (n / (N + n))
            N += n
        self.mean, self.std = first + mean, np.sqrt(squares / N)
        self.std[self.std == 0] = 1
        return self

    def transform(self, x: ArrayLike) -> Array:
        """x, standardized with the mean and std that fit computed, as a new array."""
        if self.mean is None or self.std is None:
            raise RuntimeError("Standardize: transform before fit; call fit with the training part first")
        x = real_array("Standardize", x)
        if x.shape[-1:] != self.mean.shape:
            raise ValueError(f"Standardize: expected x of shape (..., {len(self.mean)}), got {x.shape}")
        y = x - self.mean
        y /= self.std
        return y.astype(x.dtype if x.dtype.kind == "f" else np.float32, copy=False)

    def fit_transform(self, x: ArrayLike) -> Array:
        """Fit to x, and return it transformed."""
        return self.fit(x).transform(x)
