"""Samples split at random into a training and a test part."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import flag, is_stored, number
from ..parts import each_part, named_parts, paired_arrays
from ..random import Rng, generator


def train_test_split(
    x: ArrayLike, y: ArrayLike, test_size: float | int = 0.2, stratify: bool = True, *, rng: Rng = None
) -> tuple[Array, Array, Array, Array]:
    """Split the samples at random: x_train, x_test, y_train, y_test.

    test_size: the share of the samples in the test part, rounded up; or, as an int, their number.
    stratify: whether each class, that is each value of a one-dimensional y, makes up the same share of both parts, to
    within one sample.
    rng: what draws the parts.
    Raises ValueError for x and y of different lengths, for a part that would be empty, and if stratify finds no labels
    in y; TypeError for what lies in a file and is read in slices.
    """
    for name, array in {**named_parts(x), "y": y}.items():
        if is_stored(array):
            raise TypeError(
                f"train_test_split: expected {name} in memory, got a {type(array).__name__}, which is read in slices; "
                f"pass {name}[:], which reads it, or keep two parts in the file"
            )
    x, y = paired_arrays("train_test_split", x, y)
    n = len(y)
    number("train_test_split", "test_size", test_size)
    size = test_size if isinstance(test_size, (int, np.integer)) else math.ceil(test_size * n)
    if isinstance(test_size, bool) or not 0 < size < n:
        raise ValueError(f"train_test_split: expected test_size to leave samples in both parts of {n}, got {test_size}")
    stratify = flag("train_test_split", "stratify", stratify)
    if stratify and (y.ndim != 1 or y.dtype.kind == "f"):
        raise ValueError(
            f"train_test_split: expected one label per sample to stratify by, got y of shape {y.shape} and {y.dtype}; "
            "pass stratify=False"
        )
    order = generator(rng).permutation(n)
    in_test = _stratified(y[order], size) if stratify else np.arange(n) < size
    train, test = order[~in_test], order[in_test]
    return each_part(lambda part: part[train], x), each_part(lambda part: part[test], x), y[train], y[test]


def _stratified(y: Array, size: int) -> Array:
    """A mask of `size` rows, the first ones of each class, in which each class has its share to within one row.

    Every class gets its share rounded down; those that lost most by the rounding get one row more.
    """
    _, label, count = np.unique(y, return_inverse=True, return_counts=True)
    share = count * float(size) / len(y)  # a float: counts may be int32, in which the product wraps around
    quota = np.floor(share)
    quota[np.argsort(quota - share, kind="stable")[: size - int(quota.sum())]] += 1
    rank = np.empty(len(y))
    rank[np.argsort(label, kind="stable")] = np.arange(len(y)) - np.repeat(np.cumsum(count) - count, count)
    return rank < quota[label]
