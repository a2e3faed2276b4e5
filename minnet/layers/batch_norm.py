"""BatchNorm, and the arithmetic by which it takes few passes over memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy import ndarray as Array

from ..arguments import expect_gradient, positive_number, share, whole_number
from ..initializers import zeros
from ..layer import Buffer, Layer, Parameter, real_input
from ..numerics import column_sum

# An array of few rows that fits into BLOCK is centred once, and the cache keeps x − μ: NumPy's calls are what costs
# there. Of others it keeps x, and passes over memory are what costs: each computes x − μ again, in blocks that stay in
# the L2 cache. Rows are joined into lines as long as NumPy's buffer: before a vector is added to rows that are shorter,
# both are copied into that buffer, which takes 1.5 times as long. LINE and BLOCK count array entries.
FEW, LINE, BLOCK = 2**9, 2**13, 2**16

Centre = tuple[Array, Array]  # (pivot, shift) with the sum μ: x − pivot − shift keeps the digits that x − μ would lose


def is_small(x: Array) -> bool:
    """Whether x − μ is computed once. Of many rows the sums would lose digits, which lines of several rows keep."""
    return x.size <= min(BLOCK, FEW * x.shape[-1])


def lines(x: Array, longest: int = LINE) -> Array:
    """x as a matrix of lines, each of which joins 1, 2, 4, ... rows (C,) of x."""
    C, rows = x.shape[-1], x.size // x.shape[-1]
    several = math.gcd(rows, 1 << (max(1, longest // C).bit_length() - 1))
    return x.reshape(rows // several, several * C)


def tiled(line: int, vector: Array) -> Array:
    """The vector (C,), repeated to fill a line."""
    rows = np.empty((line // len(vector), len(vector)), vector.dtype)
    rows[:] = vector
    return rows.reshape(-1)


def total(x: Array, C: int) -> Array:
    """Σ over the lines, and over the rows (C,) that each of them joins, in steps: long sums would lose digits."""
    several = x.shape[-1] // C
    for joined in (several, 1 << several.bit_length() // 2, 1):
        x = column_sum(x.reshape(-1, joined * C))
    return x


def differences(x: Array, pivot: Array) -> Iterator[tuple[slice, Array, Array]]:
    """Yields (slice of lines, x − pivot on them, scratch) block by block; the next block overwrites both arrays.

    If the pivot is 0, the first is a part of x itself, else it is the scratch.
    """
    length, width = x.shape
    step = max(1, BLOCK // width)
    scratch, subtracts, pivot = np.empty((min(step, length), width), x.dtype), pivot.any(), tiled(width, pivot)
    for n in range(0, length, step):
        part = slice(n, min(n + step, length))
        free = scratch[: part.stop - n]
        yield part, np.subtract(x[part], pivot, out=free) if subtracts else x[part], free


def affine(x: Array, centre: Centre | None, a: Array, c: Array, more: tuple[Array, Array] | None = None) -> Array:
    """y = (x − μ) a + c, plus u b if more is (u, b): u shaped like x, the other vectors (C,). No centre: x is x − μ."""
    if centre is None:
        y = x * a
        y += c
        if more:
            y += more[0] * more[1]
        return y
    pivot, shift = centre
    shape, x = x.shape, lines(x)
    y, width = np.empty(x.shape, x.dtype), x.shape[1]
    a, c = tiled(width, a), tiled(width, c - shift * a)
    if more:
        u, b = more[0].reshape(x.shape), tiled(width, more[1])
    for part, d, free in differences(x, pivot):
        np.multiply(d, a, out=free)
        np.add(free, c, out=y[part])
        if more:
            y[part] += np.multiply(u[part], b, out=free)
    return y.reshape(shape)


def sums(x: Array, centre: Centre | None, u: Array) -> tuple[Array, Array]:
    """Σ u and Σ u (x − μ) over all axes but the last. No centre: x is x − μ."""
    if centre is None:
        return column_sum(u), column_sum(u * x)
    pivot, shift = centre
    x = lines(x)
    u = u.reshape(x.shape)
    first, second = np.zeros((2, x.shape[1]), x.dtype)
    for part, d, free in differences(x, pivot):
        first += column_sum(u[part])
        second += column_sum(np.multiply(u[part], d, out=free))
    first, second = total(first, len(pivot)), total(second, len(pivot))
    return first, second - shift * first


def moments(x: Array) -> tuple[Array, Centre | None, Array, Array]:
    """x − μ and None if x is small, else x and its centre; then μ and σ². Over all axes but the last."""
    n, C = x.size // x.shape[-1], x.shape[-1]
    if is_small(x):
        pivot = x.reshape(n, C)[0]  # which is at most √(n − 1) σ away from μ
        if n > 128:
            some = x.reshape(n, C)[::8]
            pivot = pivot + column_sum(some - pivot) / len(some)  # which is at most √7 σ away, as in pivot_of
        d = x - pivot
        shift = column_sum(d) / n
        d -= shift
        return d, None, pivot + shift, column_sum(d * d) / n
    pivot, x_lines = pivot_of(x), lines(x)
    first, second = np.zeros((2, x_lines.shape[1]), x.dtype)
    for _, d, free in differences(x_lines, pivot):
        first += column_sum(d)
        second += column_sum(np.multiply(d, d, out=free))
    shift, square = total(first, C) / n, total(second, C) / n
    return x, (pivot, shift), pivot + shift, np.maximum(square - shift * shift, 0)


def pivot_of(x: Array) -> Array:
    """The mean of every eighth line, or 0 if that is at most 2 s, the s of these lines, away; exact for equal rows.

    Both cost less than two digits: the lines hold 1/8 of the rows or more, and if their mean is D away from that of the
    rest, then σ² ≥ 1/8 s² + 1/8 · 7/8 D². So the mean is at most 7/8 D ≤ √7 σ away from that of all rows, and 0 at most
    2 s + 7/8 D ≤ √39 σ. The lines are 64 or more, or single rows, so that they come from all parts of the batch.
    """
    first, some = x.reshape(-1, x.shape[-1])[0], lines(x, min(LINE, x.size // 64))[::8]
    d, n = some - tiled(some.shape[1], first), some.size // len(first)
    shift = total(d, len(first)) / n
    d -= tiled(some.shape[1], shift)
    pivot, _ = centred_at(first + shift, total(np.multiply(d, d, out=d), len(first)) / n)
    return pivot


def centred_at(mean: Array, variance: Array) -> Centre:
    """The centre with 0 as pivot, which saves a pass, if no mean is more than 2 σ away from it; else with the mean."""
    zero = np.zeros_like(mean)
    return (zero, mean) if (abs(mean) <= 2 * np.sqrt(variance)).all() else (mean, zero)


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
        gamma, training = self.gamma.data, self.training
        x = real_input(self, x, len(gamma), gamma.dtype)
        if training:
            n = x.size // len(gamma)
            if n < 2:
                raise ValueError(
                    f"{self!r}: expected at least two rows while training, to have a variance, got {x.shape}; "
                    "if the last batch has one row, choose another batch_size or Batches(drop_last=True)"
                )
            x, centre, mean, variance = moments(np.ascontiguousarray(x))
            self.update_running_statistics(mean, variance * (n / (n - 1)))
        else:
            mean, variance = self.running_mean.data.copy(), self.running_var.data
            x, centre = (x - mean, None) if is_small(x) else (x, centred_at(mean, variance))
        r = 1 / np.sqrt(variance + self.eps)
        self.cache = x, centre, r, training
        return affine(x, centre, gamma * r, self.beta.data)

    # dx of training with x̂ = (x − μ) r substituted, which gives dx = γ r dy + a (x − μ) + c.
    def backward(self, dy: Array) -> Array:
        x, centre, r, used_batch_statistics = self.cache
        expect_gradient(self, dy, x.shape)
        dy, slope, n = np.ascontiguousarray(dy, x.dtype), self.gamma.data * r, x.size // len(r)
        if self.frozen and not used_batch_statistics:
            return dy * slope
        dbeta, dgamma = sums(x, centre, dy)
        dgamma *= r
        self.gamma.grad += dgamma
        self.beta.grad += dbeta
        if not used_batch_statistics:
            return dy * slope
        a = slope * r * dgamma / -n
        return affine(x, centre, a, slope * dbeta / -n, (dy, slope))

    def update_running_statistics(self, mean: Array, variance: Array) -> None:
        """running ← (1 − m) running + m batch."""
        for running, batch in ((self.running_mean, mean), (self.running_var, variance)):  # which may be read-only
            running.data = (1 - self.momentum) * running.data + self.momentum * batch
