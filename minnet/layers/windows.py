"""Windows that slide over the positions of an image or a signal: what convolution and pooling have in common.

Positions are the axes between the batch and the channels: two of an image, one of a signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.lib.stride_tricks import as_strided

from ..layer import Layer

Sizes = tuple[int, ...]


def sizes(owner: str, name: str, value: Any, positions: int, least: int) -> Sizes:
    """An option with a number for each positional axis, from one int for all of them or a tuple.

    Raises TypeError for what is neither, ValueError for a number below least.
    """
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * positions
    if len(given) != positions or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in given):
        raise TypeError(f"{owner}: expected {name} to be an int or a tuple of {positions}, got {value!r}")
    if min(given) < least:
        raise ValueError(f"{owner}: expected {name} to be at least {least}, got {value!r}")
    return tuple(int(n) for n in given)


def count(positions: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit along each axis; 0 or less where not even one does."""
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(positions, kernel, stride, dilation))


def windows(x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """All windows, as a view: (N, *places, *kernel, C)."""
    batch, *along, channel = x.strides
    places = count(x.shape[1:-1], kernel, stride, dilation)
    steps = [*(a * s for a, s in zip(along, stride)), *(a * d for a, d in zip(along, dilation))]
    return as_strided(x, (len(x), *places, *kernel, x.shape[-1]), (batch, *steps, channel), writeable=False)


def pad(x: Array, before: Sizes, after: Sizes, value: float = 0.0) -> Array:
    """x with a margin of the value around its positions; a negative margin cuts off."""
    if not any(before) and not any(after):
        return x
    lengths = [b + n + a for b, n, a in zip(before, x.shape[1:-1], after)]
    padded = np.full((len(x), *lengths, x.shape[-1]), value, x.dtype)
    starts = [max(0, -b) for b in before]
    ends = [max(i, min(n, length - b)) for i, n, length, b in zip(starts, x.shape[1:-1], lengths, before)]
    inside = tuple(slice(i + b, j + b) for i, j, b in zip(starts, ends, before))
    padded[:, *inside] = x[:, *(slice(i, j) for i, j in zip(starts, ends))]
    return padded


def spread(x: Array, stride: Sizes) -> Array:
    """x with stride − 1 zeros between its positions."""
    if all(s == 1 for s in stride):
        return x
    wide = np.zeros((len(x), *((n - 1) * s + 1 for n, s in zip(x.shape[1:-1], stride)), x.shape[-1]), x.dtype)
    wide[(slice(None), *(slice(None, None, s) for s in stride))] = x
    return wide


def expect_rank(layer: Layer, x: Array, positions: str) -> None:
    """ValueError in the name of the layer if x has other axes than (N, positions, C)."""
    if x.ndim != 2 + len(positions.split(",")):
        raise ValueError(f"{layer!r}: expected x of shape (N, {positions}, C), got {x.shape}")


def expect_places(layer: Layer, x: Array, places: Iterable[int]) -> None:
    """ValueError in the name of the layer if there is no room for a window along an axis."""
    if min(places) < 1:
        raise ValueError(f"{layer!r}: expected x with room for at least one window, got shape {x.shape}")
