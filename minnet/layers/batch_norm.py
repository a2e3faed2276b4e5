"""BatchNorm, and the arithmetic by which it takes few passes over memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy import ndarray as Array

from ..arguments import expect_gradient, positive_number, share, whole_number
from ..initializers import zeros
from ..layer import Buffer, Layer, Parameter, real_input
from ..numerics import as_rows, column_sum

# Batch norm's arithmetic, in few passes over memory: the cache holds x rather than x̂, which is computed again in blocks
# that stay in the L2 cache. NumPy is slow on short rows, so several rows are joined into one line: twice as fast for 32
# channels. Both constants count array entries.
LINE, BLOCK = 1024, 2**16


def lines(x: Array) -> Array:
    """x as a matrix of lines, each of which joins one or several rows (C,) of x."""
    C, rows = x.shape[-1], x.size // x.shape[-1]
    several = math.gcd(rows, 1 << (max(1, LINE // C).bit_length() - 1))
    return x.reshape(rows // several, several * C)


def tiled(line: int, vector: Array) -> Array:
    """The vector (C,), repeated to fill a line."""
    several = line // len(vector)
    return vector if several == 1 else np.concatenate([vector] * several)


def differences(x: Array, pivot: Array) -> Iterator[tuple[slice, Array]]:
    """Yields (slice of lines, x − pivot on them) block by block; the array is overwritten by the next block."""
    length, width = x.shape
    step = max(1, BLOCK // width)
    scratch, pivot = np.empty((min(step, length), width), x.dtype), tiled(width, pivot)
    for n in range(0, length, step):
        part = slice(n, min(n + step, length))
        yield part, np.subtract(x[part], pivot, out=scratch[: part.stop - n])


def affine(x: Array, pivot: Array, a: Array, c: Array, more: tuple[Array, Array] | None = None) -> Array:
    """y = (x − pivot) a + c, plus u b if more is (u, b): u shaped like x, the other vectors (C,)."""
    shape, x = x.shape, lines(x)
    y, width = np.empty(x.shape, x.dtype), x.shape[1]
    a, c = tiled(width, a), tiled(width, c)
    if more:
        u, b = more[0].reshape(x.shape), tiled(width, more[1])
    for part, d in differences(x, pivot):
        d *= a
        np.add(d, c, out=y[part])
        if more:
            y[part] += np.multiply(u[part], b, out=d)
    return y.reshape(shape)


def sums(x: Array, pivot: Array, u: Array | None = None) -> tuple[Array, Array]:
    """Σ u and Σ u (x − pivot) over all axes but the last; u is x − pivot by default."""
    x = lines(x)
    both = np.zeros((2, x.shape[1]), x.dtype)
    for part, d in differences(x, pivot):
        factor = d if u is None else u.reshape(x.shape)[part]
        both[0] += column_sum(factor)
        both[1] += column_sum(np.multiply(factor, d, out=d))
    first, second = both.reshape(2, -1, len(pivot)).sum(axis=1)
    return first, second


def approximate_mean(x: Array) -> Array:
    """The mean of every eighth row; exact if all rows are equal.

    Close enough to cost less than a digit: if the means of these rows and of the rest differ by D, then
    σ² ≥ 1/8 · 7/8 · D², and the mean of all is at most 7/8 · D ≤ √7 σ away.
    """
    some = as_rows(x)[::8]
    return some[0] + column_sum(some - some[0]) / len(some)


class BatchNorm(Layer):
    """Standardizes each feature over the batch and all positions, then scales and shifts it.

    Forward     y = γ x̂ + β,  x̂ = (x − μ) / √(σ² + ε)
                training: μ, σ² of this batch; evaluation: the running ones
    Backward    dγ = Σ dy x̂      dβ = Σ dy      dx̂ = γ dy
                training: dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / √(σ² + ε); evaluation: dx = dx̂ / √(σ² + ε)

    Shapes      x, y (..., C)   γ, β, running_mean, running_var (C,); sums and means over all axes but the last

    features: C.  momentum: m in running ← (1 − m) running + m batch, in which the batch's variance is the unbiased one;
    from 0 to 1.  eps: ε, above 0.
    Raises ValueError for x that does not end in C, or with fewer than two rows while training.
    Source: Ioffe and Szegedy 2015; the running statistics as in PyTorch.
    """

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        features = whole_number(type(self).__name__, "features", features, least=1)
        self.gamma = Parameter(np.ones(features), decay=False)
        self.beta = Parameter(zeros((features,)), decay=False)
        self.running_mean = Buffer(np.zeros(features))
        self.running_var = Buffer(np.ones(features))
        self.momentum = share(type(self).__name__, "momentum", momentum)
        self.eps = positive_number(type(self).__name__, "eps", eps)

    def forward(self, x: Array) -> Array:
        gamma = self.gamma.data
        x = real_input(self, x, len(gamma), gamma.dtype)
        if not self.training:
            pivot, shift = self.running_mean.data.copy(), np.zeros_like(gamma)
            r = 1 / np.sqrt(self.running_var.data + self.eps)
        else:
            n = x.size // len(gamma)
            if n < 2:
                raise ValueError(
                    f"{self!r}: expected at least two rows while training, to have a variance, got {x.shape}; "
                    "if the last batch has one row, choose another batch_size or Batches(drop_last=True)"
                )
            pivot = approximate_mean(x)
            shift, square = (total / n for total in sums(x, pivot))
            variance = np.maximum(square - shift * shift, 0)
            r = 1 / np.sqrt(variance + self.eps)
            self.update_running_statistics(pivot + shift, variance * (n / (n - 1)))
        self.cache = x, pivot, shift, r, self.training
        return affine(x, pivot, gamma * r, self.beta.data - shift * (gamma * r))

    # dx of training with x̂ = (x − pivot − shift) r substituted, which gives dx = γ r dy + a (x − pivot) + c.
    def backward(self, dy: Array) -> Array:
        x, pivot, shift, r, used_batch_statistics = self.cache
        expect_gradient(self, dy, x.shape)
        gamma, n = self.gamma.data, x.size // len(pivot)
        if self.frozen and not used_batch_statistics:
            return dy * (gamma * r)
        dbeta, dgamma = sums(x, pivot, dy)
        dgamma = (dgamma - shift * dbeta) * r
        self.gamma.grad += dgamma
        self.beta.grad += dbeta
        if not used_batch_statistics:
            return dy * (gamma * r)
        a = -gamma * r * r * dgamma / n
        return affine(x, pivot, a, -gamma * r * dbeta / n - a * shift, (dy, gamma * r))

    def update_running_statistics(self, mean: Array, variance: Array) -> None:
        """running ← (1 − m) running + m batch."""
        for running, batch in ((self.running_mean, mean), (self.running_var, variance)):  # which may be read-only
            running.data = (1 - self.momentum) * running.data + self.momentum * batch
