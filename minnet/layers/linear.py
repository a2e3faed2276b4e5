"""Layers that multiply by a matrix: where most parameters live and most time goes."""

from __future__ import annotations

from numpy import ndarray as Array

from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import as_rows, column_sum
from ..random import Rng, generator


class Linear(Layer):
    """Affine map of the last axis.

    Forward     y = x W + b
    Backward    dx = dy Wᵀ      dW = xᵀ dy      db = Σ dy

    Shapes      x (..., D)   y (..., K)   W (D, K)   b (K,)

    in_features: D.  out_features: K.  bias: whether b is learned.
    rng: what draws the initial W, glorot_uniform; b starts at zero and is not decayed.
    Raises ValueError if x does not end in D.
    Source: Glorot and Bengio 2010, for the initial scale.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None) -> None:
        self.W = Parameter(glorot_uniform((in_features, out_features), generator(rng)))
        self.bias = bias
        if bias:
            self.b = Parameter(zeros((out_features,)), decay=False)

    def forward(self, x: Array) -> Array:
        self.cache = x = real_input(self, x, len(self.W.data), self.W.data.dtype)
        y = as_rows(x).dot(self.W.data)
        if self.bias:
            y += self.b.data
        return y.reshape(*x.shape[:-1], y.shape[-1])

    def backward(self, dy: Array) -> Array | None:
        x, dy = as_rows(self.cache), as_rows(dy)
        self.W.grad += x.T.dot(dy)
        if self.bias:
            self.b.grad += column_sum(dy)
        return dy.dot(self.W.data.T).reshape(self.cache.shape) if self.input_gradient else None
