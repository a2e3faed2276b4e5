"""Layers that move numbers about without changing them."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import REAL, expect_gradient, real_array, whole_number
from ..layer import Layer, real_input
from .lengths import checked_lengths

ALL = slice(None)


def floats_or_ids(layer: Layer, x: ArrayLike) -> Array:
    """x as a floating array, as other layers take it; but integers stay, since they may be ids for an Embedding."""
    if type(x) is not Array or x.dtype.kind not in REAL:
        x = real_array(repr(layer), x)
    return real_input(layer, x) if x.dtype.kind == "f" and x.shape else x


class Flatten(Layer):
    """Every sample as one row.

    Forward     y = x in another shape
    Backward    dx = dy in the shape of x

    Shapes      x (N, ...)   y (N, D), D the product of the other axes

    Raises ValueError if x has no batch axis.
    """

    def forward(self, x: Array) -> Array:
        x = floats_or_ids(self, x)
        if not x.shape:
            raise ValueError(f"{self!r}: expected x of shape (N, ...), got a single number")
        y = x.reshape(len(x), math.prod(x.shape[1:]))
        self.cache = x.shape, y.shape
        return y

    def backward(self, dy: Array) -> Array:
        x_shape, y_shape = self.cache
        expect_gradient(self, dy, y_shape)
        return dy.reshape(x_shape)


class Reshape(Layer):
    """Every sample in another shape.

    Forward     y = x in another shape
    Backward    dx = dy in the shape of x

    Shapes      x (N, ...)   y (N, *shape)

    shape: that of one sample; one number may be −1, for whatever is left.
    Raises ValueError if a sample of x does not fit into shape.
    """

    def __init__(self, *shape: int) -> None:
        self.shape = tuple(whole_number("Reshape", "each size", n, least=-1) for n in shape)
        if self.shape.count(-1) > 1:
            raise ValueError(f"Reshape: expected at most one size to be -1, got {shape}")

    def forward(self, x: Array) -> Array:
        x = floats_or_ids(self, x)
        if not x.shape:
            raise ValueError(f"{self!r}: expected x of shape (N, ...), got a single number")
        size, known = math.prod(x.shape[1:]), abs(math.prod(self.shape))
        if size != known and not (-1 in self.shape and known and size % known == 0):
            raise ValueError(f"{self!r}: expected samples that fit into {self.shape}, got {x.shape[1:]}")
        y = x.reshape(len(x), *(size // known if n == -1 else n for n in self.shape))
        self.cache = x.shape, y.shape
        return y

    def backward(self, dy: Array) -> Array:
        x_shape, y_shape = self.cache
        expect_gradient(self, dy, y_shape)
        return dy.reshape(x_shape)


class LastStep(Layer):
    """The last step of a sequence.

    Forward     y = x[:, −1], or with lengths y[n] = x[n, lengths[n] − 1], 0 where lengths[n] is 0
    Backward    dx = dy at that step, and 0 elsewhere

    Shapes      x (N, T, ...)   lengths (N,)   y (N, ...)

    lengths: how many steps of each x count, given as forward(x, lengths); see Padded.
    Of a recurrent layer with reverse=True this is the step that it read first: take its last_state() instead.
    Raises ValueError for x without steps and lengths that don't fit, TypeError for lengths that are not ints.
    """

    joins_steps = True

    def forward(self, x: Array, lengths: Array | None = None) -> Array:
        x = floats_or_ids(self, x)
        if x.ndim < 2 or not x.shape[1]:
            raise ValueError(f"{self!r}: expected x of shape (N, T, ...), got {x.shape}")
        if lengths is None:
            self.cache = x.shape, (ALL, -1)
            return x[:, -1]
        lengths = checked_lengths(self, lengths, x.shape)
        some = np.flatnonzero(lengths)
        self.cache = x.shape, (some, lengths[some] - 1)
        y = np.zeros((len(x), *x.shape[2:]), x.dtype)
        y[some] = x[self.cache[1]]
        return y

    def backward(self, dy: Array) -> Array:
        shape, (rows, steps) = self.cache
        expect_gradient(self, dy, (shape[0], *shape[2:]))
        dx = np.zeros(shape, dy.dtype)
        dx[rows, steps] = dy[rows]
        return dx
