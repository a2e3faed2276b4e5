"""The softmax and its logarithm: what makes shares of the scores along the last axis.

They stand apart from the other activations, since an entry of y depends on all entries of x beside it.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from ..arguments import expect_gradient
from ..layer import Layer, real_input
from ..numerics import log_softmax, row_sum, softmax


class Softmax(Layer):
    """Positive shares that sum to one along the last axis.

    Forward     p = exp(x) / Σ exp(x)
    Backward    dx = p ⊙ (dy − Σ dy ⊙ p)

    Shapes      x, p (..., C); sums over C

    To train a classifier, end in SoftmaxCrossEntropy instead, which contains the softmax.
    Source: Bridle 1990.
    """

    stepwise = True
    gives_probabilities = True

    def forward(self, x: Array) -> Array:
        self.cache = p = softmax(real_input(self, x))
        return p

    # ∂pᵢ/∂xⱼ = pᵢ (δᵢⱼ − pⱼ): pᵢ(1 − pᵢ) on the diagonal and −pᵢ pⱼ off it.
    # So dxⱼ = Σᵢ dyᵢ pᵢ (δᵢⱼ − pⱼ) = pⱼ (dyⱼ − Σᵢ dyᵢ pᵢ), without the matrix ever being formed.
    def backward(self, dy: Array) -> Array:
        p = self.cache
        expect_gradient(self, dy, p.shape)
        return p * (dy - row_sum(dy * p))


class LogSoftmax(Layer):
    """The logarithm of the softmax, exact where the softmax itself underflows.

    Forward     y = x − log Σ exp(x)
    Backward    dx = dy − p Σ dy,  p = exp(y)

    Shapes      x, y (..., C); sums over C

    Source: Bridle 1990; ∂yᵢ/∂xⱼ = δᵢⱼ − pⱼ.
    """

    stepwise = True

    def forward(self, x: Array) -> Array:
        self.cache = y = log_softmax(real_input(self, x))
        return y

    def backward(self, dy: Array) -> Array:
        y = self.cache
        expect_gradient(self, dy, y.shape)
        return dy - np.exp(y) * row_sum(dy)
