"""Layers that bring activations of a sample to mean 0 and variance 1; they differ in what the mean is taken over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy import ndarray as Array

from ..arguments import expect_gradient, positive_number, whole_number
from ..initializers import zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import as_rows, column_sum, mean_weights, ones

# Large arrays are worked on in blocks of so many entries, which stay in the L2 cache from one pass to the next.
BLOCK = 2**16


def blocks(x: Array, *others: Array) -> Iterator[tuple[Array, ...]]:
    """Parts of arrays that have the first axis in common, each of at most BLOCK entries of x or of one index."""
    if x.size <= BLOCK:
        yield x, *others
        return
    step = max(1, BLOCK // (x.size // len(x)))
    for n in range(0, len(x), step):
        yield tuple(array[n : n + step] for array in (x, *others))


def row_means(rows: Array) -> Array:
    """The mean of each row of a matrix, as a column."""
    return rows.dot(mean_weights(rows.shape[1], rows.dtype))[:, None]


def standardize(
    x: Array, pivot: Array, mean: Callable[[Array], Array], eps: float, free: Array, xhat: Array, r: Array
) -> None:
    """xhat ← x̂ = (x − μ) r, with r ← 1 / √(σ² + ε); free is overwritten.

    Means are taken of x − pivot, with one of the values as pivot: a large μ then costs no digits, and a constant x
    gives exactly 0.
    """
    np.subtract(x, pivot, out=xhat)
    xhat -= mean(xhat)
    np.divide(1, np.sqrt(mean(np.multiply(xhat, xhat, out=free)) + eps), out=r)
    xhat *= r


# Of all backward passes here. x̂ depends on each x directly, through μ and through σ²:
# dx̂ᵢ/dxⱼ = r (δᵢⱼ − 1/n − x̂ᵢ x̂ⱼ / n), since dμ/dxⱼ = 1/n and dr/dxⱼ = −r² x̂ⱼ / n. Summed against dx̂, the second and
# third term become means: dx = r (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)). Without a μ there is no second term.


class LayerNorm(Layer):
    """Standardizes each position over its features, then scales and shifts them.

    Forward     y = γ x̂ + β,  x̂ = (x − μ) / √(σ² + ε),  μ and σ² over the last axis
    Backward    dγ = Σ dy x̂      dβ = Σ dy      dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / √(σ² + ε),  dx̂ = γ dy

    Shapes      x, y (..., D)   γ, β (D,)   sums over all axes but the last, means over the last

    features: D.  eps: ε, above 0.
    Raises ValueError for x that does not end in D.
    Source: Ba, Kiros and Hinton 2016.
    """

    stepwise = True

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        features = whole_number(type(self).__name__, "features", features, least=1)
        self.gamma = Parameter(np.ones(features), decay=False)
        self.beta = Parameter(zeros((features,)), decay=False)
        self.eps = positive_number(type(self).__name__, "eps", eps)

    def forward(self, x: Array) -> Array:
        gamma, beta = self.gamma.data, self.beta.data
        x = real_input(self, x, len(gamma), gamma.dtype)
        rows = as_rows(x)
        y, xhat, r = np.empty(rows.shape, x.dtype), np.empty(rows.shape, x.dtype), np.empty((len(rows), 1), x.dtype)
        for x_b, y_b, xhat_b, r_b in blocks(rows, y, xhat, r):
            standardize(x_b, x_b[:, :1], row_means, self.eps, y_b, xhat_b, r_b)
            np.multiply(xhat_b, gamma, out=y_b)
            y_b += beta
        self.cache = xhat, r, x.shape
        return y.reshape(x.shape)

    def backward(self, dy: Array) -> Array:
        xhat, r, shape = self.cache
        expect_gradient(self, dy, shape)
        gamma, rows = self.gamma.data, as_rows(dy)
        dx, weights = np.empty(rows.shape, xhat.dtype), gamma / len(gamma)
        for dy_b, dx_b, xhat_b, r_b in blocks(rows, dx, xhat, r):
            product = dy_b * xhat_b
            if not self.frozen:
                self.gamma.grad += column_sum(product)
                self.beta.grad += column_sum(dy_b)
            mean, mean_product = dy_b.dot(weights), product.dot(weights)
            np.multiply(xhat_b, mean_product[:, None], out=product)
            product += mean[:, None]
            np.multiply(dy_b, gamma, out=dx_b)
            dx_b -= product
            dx_b *= r_b
        return dx.reshape(shape)


class RMSNorm(Layer):
    """Divides each position by the root mean square of its features, then scales them; nothing is centred.

    Forward     y = γ x̂,  x̂ = x r,  r = 1 / √(mean x² + ε) over the last axis
    Backward    dγ = Σ dy x̂      dx = r (dx̂ − x̂ mean(dx̂ x̂)),  dx̂ = γ dy

    Shapes      x, y (..., D)   γ (D,)   sums over all axes but the last, means over the last

    features: D.  eps: ε, above 0.
    Raises ValueError for x that does not end in D.
    Source: Zhang and Sennrich 2019.
    """

    stepwise = True

    def __init__(self, features: int, eps: float = 1e-6) -> None:
        features = whole_number(type(self).__name__, "features", features, least=1)
        self.gamma = Parameter(np.ones(features), decay=False)
        self.eps = positive_number(type(self).__name__, "eps", eps)

    def forward(self, x: Array) -> Array:
        gamma = self.gamma.data
        x = real_input(self, x, len(gamma), gamma.dtype)
        rows = as_rows(x)
        y, xhat, r = np.empty(rows.shape, x.dtype), np.empty(rows.shape, x.dtype), np.empty((len(rows), 1), x.dtype)
        for x_b, y_b, xhat_b, r_b in blocks(rows, y, xhat, r):
            np.divide(1, np.sqrt(row_means(np.multiply(x_b, x_b, out=y_b)) + self.eps), out=r_b)
            np.multiply(x_b, r_b, out=xhat_b)
            np.multiply(xhat_b, gamma, out=y_b)
        self.cache = xhat, r, x.shape
        return y.reshape(x.shape)

    def backward(self, dy: Array) -> Array:
        xhat, r, shape = self.cache
        expect_gradient(self, dy, shape)
        gamma, rows = self.gamma.data, as_rows(dy)
        dx, weights = np.empty(rows.shape, xhat.dtype), gamma / len(gamma)
        for dy_b, dx_b, xhat_b, r_b in blocks(rows, dx, xhat, r):
            product = dy_b * xhat_b
            if not self.frozen:
                self.gamma.grad += column_sum(product)
            np.multiply(xhat_b, product.dot(weights)[:, None], out=product)
            np.multiply(dy_b, gamma, out=dx_b)
            dx_b -= product
            dx_b *= r_b
        return dx.reshape(shape)


class GroupNorm(Layer):
    """Standardizes each sample over groups of its channels and all positions, then scales and shifts each channel.

    Forward     y = γ x̂ + β,  x̂ = (x − μ) / √(σ² + ε),  μ and σ² over the positions and the channels of a group
    Backward    dγ = Σ dy x̂      dβ = Σ dy      dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / √(σ² + ε),  dx̂ = γ dy

    Shapes      x, y (N, ..., C)   γ, β (C,)   sums over all axes but the last, means over the axes of μ

    groups: how many; each is of neighbouring channels.  features: C.  eps: ε, above 0.
    Raises ValueError for groups that don't divide C, and for x without a batch axis or positions, or that does not end
    in C.
    Source: Wu and He 2018.
    """

    def __init__(self, groups: int, features: int, eps: float = 1e-5) -> None:
        features = whole_number("GroupNorm", "features", features, least=1)
        groups = whole_number("GroupNorm", "groups", groups, least=1)
        if features % groups:
            raise ValueError(f"GroupNorm: expected groups to divide the {features} features, got {groups}")
        self.gamma = Parameter(np.ones(features), decay=False)
        self.beta = Parameter(zeros((features,)), decay=False)
        self.groups, self.eps = groups, positive_number("GroupNorm", "eps", eps)

    def forward(self, x: Array) -> Array:
        gamma, beta = self.gamma.data, self.beta.data
        x = real_input(self, x, len(gamma), gamma.dtype)
        if x.ndim < 2 or not (positions := math.prod(x.shape[1:-1])):
            raise ValueError(f"{self!r}: expected x of shape (N, ..., {len(gamma)}) with positions, got {x.shape}")
        samples = x.reshape(len(x), positions, len(gamma))
        y, xhat = np.empty(samples.shape, x.dtype), np.empty(samples.shape, x.dtype)
        r = np.empty((len(x), 1, len(gamma)), x.dtype)
        for x_b, y_b, xhat_b, r_b in blocks(samples, y, xhat, r):
            pivot = self.of_channels(x_b[:, 0, :: len(gamma) // self.groups])
            standardize(x_b, pivot, self.group_means, self.eps, y_b, xhat_b, r_b)
            np.multiply(xhat_b, gamma, out=y_b)
            y_b += beta
        self.cache = xhat, r, x.shape
        return y.reshape(x.shape)

    def backward(self, dy: Array) -> Array:
        xhat, r, shape = self.cache
        expect_gradient(self, dy, shape)
        gamma, dx = self.gamma.data, np.empty(xhat.shape, xhat.dtype)
        for dy_b, dx_b, xhat_b, r_b in blocks(dy.reshape(xhat.shape), dx, xhat, r):
            product, positions = dy_b * xhat_b, dy_b.shape[1]
            dbeta, dgamma = position_sums(dy_b), position_sums(product)
            if not self.frozen:
                self.gamma.grad += column_sum(dgamma)
                self.beta.grad += column_sum(dbeta)
            np.multiply(xhat_b, r_b * self.channel_means(dgamma * gamma) / positions, out=product)
            product += r_b * self.channel_means(dbeta * gamma) / positions
            np.multiply(dy_b, r_b * gamma, out=dx_b)
            dx_b -= product
        return dx.reshape(shape)

    def group_means(self, x: Array) -> Array:
        """The mean over the positions and the channels of a group, (N, 1, C), of x (N, positions, C)."""
        return self.channel_means(position_sums(x)) / x.shape[1]

    def channel_means(self, x: Array) -> Array:
        """The mean over the channels of a group, (N, 1, C), of x (N, C)."""
        per_group = x.shape[1] // self.groups
        return self.of_channels(x.reshape(-1, per_group).dot(mean_weights(per_group, x.dtype)))

    def of_channels(self, x: Array) -> Array:
        """x (N, groups) or flat, repeated for each channel of the group: (N, 1, C)."""
        C = len(self.gamma.data)
        return x.repeat(C // self.groups).reshape(-1, 1, C)


def position_sums(x: Array) -> Array:
    """Σ over the positions, (N, C), of x (N, positions, C)."""
    return x[:, 0] if x.shape[1] == 1 else np.matmul(ones(x.shape[1], x.dtype), x)
