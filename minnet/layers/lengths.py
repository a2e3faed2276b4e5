"""Lengths of sequences: which steps of x (N, T, …) belong to a sequence, and which are padding behind its end.

A layer that mixes steps takes lengths as a further argument of its forward. It reads no number of the padding, gives
zeros there, and its dx is zero there, so that each sequence gives what it gives alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import plain_array
from ..layer import Layer
from ..naming import one_line


def checked_lengths(layer: Layer, lengths: Any, shape: Sequence[int]) -> Array:
    """lengths as an array of ints, for x of this shape, (N, T, …).

    Raises TypeError if they are not ints, ValueError unless there is one from 0 to T for each sample.
    """
    given = plain_array(one_line(layer), "lengths", lengths)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{one_line(layer)}: expected lengths to be ints, got {given.dtype}")
    if given.shape != tuple(shape[:1]):
        raise ValueError(
            f"{one_line(layer)}: expected lengths of shape {tuple(shape[:1])}, one for each sample, got {given.shape}"
        )
    if given.size and not 0 <= given.min() <= given.max() <= shape[1]:
        got = f"{given.min()} to {given.max()}"
        raise ValueError(f"{one_line(layer)}: expected lengths from 0 to the {shape[1]} steps of x, got {got}")
    return given.astype(np.intp)


def is_step(lengths: Array, T: int) -> Array:
    """Which steps belong to a sequence: (N, T), True for t < lengths[n]."""
    return np.arange(T) < lengths[:, None]


def without_padding(x: Array, lengths: Array) -> Array:
    """A copy of x (N, T, …) with zeros in the padding, whatever was there."""
    inside = is_step(lengths, x.shape[1])
    return np.where(inside.reshape(*inside.shape, *(1,) * (x.ndim - 2)), x, x.dtype.type(0))


def of_steps(loss: Layer, inside: Array, scores: Array, target: Any, sample_weight: Any = None) -> tuple[Array, ...]:
    """What a loss is given for scores at each step (N, T, …): those inside of the sequences, one row for each step.

    inside: what is_step returns. Raises ValueError for a target that has none for each step, or such weights.
    """
    given = [plain_array(one_line(loss), "target", target)]
    if sample_weight is not None:
        weight = plain_array(one_line(loss), "sample_weight", sample_weight)
        given.append(np.broadcast_to(weight[:, None], inside.shape) if weight.shape == inside.shape[:1] else weight)
    for name, array in zip(("a target", "a sample_weight"), given):
        if array.shape[:2] != inside.shape:
            expected = f"{name} for each step, {inside.shape} or ({', '.join(map(str, inside.shape))}, ...)"
            raise ValueError(f"{one_line(loss)}: expected {expected}, got {array.shape}")
    return tuple(array[inside] for array in (scores, *given))


def spread(rows: Array, inside: Array) -> Array:
    """Rows of the steps inside of the sequences as (N, T, …), with zeros in the padding."""
    x = np.zeros((*inside.shape, *rows.shape[1:]), rows.dtype)
    x[inside] = rows
    return x
