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


def loss_arguments(target: Any, sample_weight: Any = None, *, lengths: Array, steps: int) -> tuple[Any, Any]:
    """A loss's target and sample weight for scores at each step (N, T, …): the weight is 0 in the padding.

    The target there becomes 0, or equal shares of what its last axis has, which any loss takes.
    """
    inside = is_step(lengths, steps)
    target = np.asarray(target)
    if target.shape[:2] == inside.shape:
        share = 1 / max(1, target.shape[2]) if target.ndim > 2 else target.dtype.type(0)
        target = np.where(inside.reshape(*inside.shape, *(1,) * (target.ndim - 2)), target, share)
    weight = np.asarray(1.0 if sample_weight is None else sample_weight)
    if weight.shape not in ((), inside.shape[:1], inside.shape):
        return target, sample_weight  # which the loss refuses
    return target, inside * (weight[:, None] if weight.ndim == 1 else weight)
