"""Layers that bring activations of a sample to mean 0 and variance 1; they differ in what the mean is taken over."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from ..arguments import expect_gradient, positive_number, whole_number
from ..initializers import zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import column_sum, row_mean

Mean = Callable[[Array], Array]


def standardize(x: Array, pivot: Array, mean: Mean, eps: float) -> tuple[Array, Array, Array, Array]:
    """x̂ = (x − μ) r with r = 1 / √(σ² + ε); returns x̂, r, μ and σ².

    Means are taken of x − pivot, with one of the values as pivot: a large μ then costs no digits, and a constant x
    gives exactly 0.
    """
    d = x - pivot
    shift = mean(d)
    d -= shift
    variance = mean(d * d)
    r = 1 / np.sqrt(variance + eps)
    d *= r
    return d, r, pivot + shift, variance


# x̂ depends on each x directly, through μ and through σ²: dx̂ᵢ/dxⱼ = r (δᵢⱼ − 1/n − x̂ᵢ x̂ⱼ / n), since dμ/dxⱼ = 1/n and
# dr/dxⱼ = −r² x̂ⱼ / n. Summed against dx̂, the second and third term become means.
def standardize_backward(dxhat: Array, xhat: Array, r: Array, mean: Mean) -> Array:
    """dx = r (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂))."""
    return r * (dxhat - mean(dxhat) - xhat * mean(dxhat * xhat))


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
        gamma = self.gamma.data
        x = real_input(self, x, len(gamma), gamma.dtype)
        xhat, r, _, _ = standardize(x, x[..., :1], row_mean, self.eps)
        self.cache = xhat, r
        return gamma * xhat + self.beta.data

    def backward(self, dy: Array) -> Array:
        xhat, r = self.cache
        expect_gradient(self, dy, xhat.shape)
        if not self.frozen:
            self.gamma.grad += column_sum(dy * xhat)
            self.beta.grad += column_sum(dy)
        return standardize_backward(dy * self.gamma.data, xhat, r, row_mean)


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
        r = 1 / np.sqrt(row_mean(x * x) + self.eps)
        xhat = x * r
        self.cache = xhat, r
        return gamma * xhat

    # dr/dxⱼ = −r² x̂ⱼ / n, as above but without the mean.
    def backward(self, dy: Array) -> Array:
        xhat, r = self.cache
        expect_gradient(self, dy, xhat.shape)
        if not self.frozen:
            self.gamma.grad += column_sum(dy * xhat)
        dxhat = dy * self.gamma.data
        return r * (dxhat - xhat * row_mean(dxhat * xhat))


class GroupNorm(Layer):
    """Standardizes each sample over groups of its channels and all positions, then scales and shifts each channel.

    Forward     y = γ x̂ + β,  x̂ = (x − μ) / √(σ² + ε),  μ and σ² over the positions and the channels of a group
    Backward    dγ = Σ dy x̂      dβ = Σ dy      dx = (dx̂ − mean dx̂ − x̂ mean(dx̂ x̂)) / √(σ² + ε),  dx̂ = γ dy

    Shapes      x, y (N, ..., C)   γ, β (C,)   sums over all axes but the last, means over the axes of μ

    groups: how many; each is of neighbouring channels.  features: C.  eps: ε, above 0.
    Raises ValueError for groups that don't divide C, and for x without a batch axis or that does not end in C.
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
        gamma = self.gamma.data
        x = real_input(self, x, len(gamma), gamma.dtype)
        if x.ndim < 2:
            raise ValueError(f"{self!r}: expected x of shape (N, ..., {len(gamma)}), got {x.shape}")
        grouped = self.by_group(x)
        xhat, r, _, _ = standardize(grouped, grouped[..., :1], row_mean, self.eps)
        self.cache = xhat, r, x.shape
        return gamma * self.by_position(xhat, x.shape) + self.beta.data

    def backward(self, dy: Array) -> Array:
        xhat, r, shape = self.cache
        expect_gradient(self, dy, shape)
        if not self.frozen:
            self.gamma.grad += column_sum(dy * self.by_position(xhat, shape))
            self.beta.grad += column_sum(dy)
        dx = standardize_backward(self.by_group(dy * self.gamma.data), xhat, r, row_mean)
        return self.by_position(dx, dy.shape)

    def by_group(self, x: Array) -> Array:
        """x with the entries of each group in one row: (N, groups, positions · C / groups)."""
        positions, per_group = math.prod(x.shape[1:-1]), x.shape[-1] // self.groups
        split = x.reshape(len(x), positions, self.groups, per_group)
        return split.swapaxes(1, 2).reshape(len(x), self.groups, positions * per_group)

    def by_position(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """The inverse of by_group: rows in the shape of x."""
        split = rows.reshape(len(rows), self.groups, math.prod(shape[1:-1]), shape[-1] // self.groups)
        return split.swapaxes(1, 2).reshape(shape)
