"""Layers that move numbers about without changing them."""

from __future__ import annotations

import math

from numpy import ndarray as Array

from ..arguments import real_array
from ..layer import Layer


class Flatten(Layer):
    """Every sample as one row.

    Forward     y = x in another shape
    Backward    dx = dy in the shape of x

    Shapes      x (N, ...)   y (N, D), D the product of the other axes

    Raises ValueError if x has no batch axis.
    """

    def forward(self, x: Array) -> Array:
        x = real_array(repr(self), x)
        if not x.shape:
            raise ValueError(f"{self!r}: expected x of shape (N, ...), got a single number")
        self.cache = x.shape
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def backward(self, dy: Array) -> Array:
        return dy.reshape(self.cache)
