"""Initial values of parameters: each is a function of (shape, rng) that returns an array.

A kernel's last two axes are its inputs and outputs, and any in front of them are positions, so
fan_in = positions · inputs and fan_out = positions · outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from .arguments import described, number, signed_number
from .random import Rng, generator

Initializer = Callable[..., Array]


def zeros(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """All zero; draws nothing."""
    return np.zeros(shape)


def constant(value: float) -> Initializer:
    """A function that fills a shape with the value; draws nothing."""
    value = signed_number("constant", "value", value)

    def fill(shape: tuple[int, ...], rng: Rng = None) -> Array:
        return np.full(shape, value)

    return fill


def normal(std: float = 1.0, mean: float = 0.0) -> Initializer:
    """A function that draws from the normal distribution with this standard deviation and mean."""
    std, mean = number("normal", "std", std), signed_number("normal", "mean", mean)

    def draw(shape: tuple[int, ...], rng: Rng = None) -> Array:
        return generator(rng).normal(mean, std, shape)

    return draw


def uniform(low: float = 0.0, high: float = 1.0) -> Initializer:
    """A function that draws uniformly from low to high."""
    low, high = signed_number("uniform", "low", low), signed_number("uniform", "high", high)
    if low > high:
        raise ValueError(f"uniform: expected low to be at most high, got {low:g} and {high:g}")

    def draw(shape: tuple[int, ...], rng: Rng = None) -> Array:
        return generator(rng).uniform(low, high, shape)

    return draw


def glorot_uniform(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """Uniform in ±sqrt(6 / (fan_in + fan_out)).

    Raises ValueError for fewer than two axes or a size below 1.
    Source: Glorot and Bengio 2010.
    """
    limit = math.sqrt(6 / sum(_fans("glorot_uniform", shape)))
    return generator(rng).uniform(-limit, limit, shape)


def glorot_normal(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """Normal with standard deviation sqrt(2 / (fan_in + fan_out)).

    Raises ValueError for fewer than two axes or a size below 1.
    Source: Glorot and Bengio 2010.
    """
    return generator(rng).normal(0.0, math.sqrt(2 / sum(_fans("glorot_normal", shape))), shape)


def he_uniform(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """Uniform in ±sqrt(6 / fan_in): for layers in front of a ReLU.

    Raises ValueError for fewer than two axes or a size below 1.
    Source: He et al. 2015.
    """
    limit = math.sqrt(6 / _fans("he_uniform", shape)[0])
    return generator(rng).uniform(-limit, limit, shape)


def he_normal(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """Normal with standard deviation sqrt(2 / fan_in): for layers in front of a ReLU.

    Raises ValueError for fewer than two axes or a size below 1.
    Source: He et al. 2015.

    >>> from minnet import Linear, he_normal
    >>> layer = Linear(64, 10)
    >>> layer.W.data[...] = he_normal(layer.W.data.shape, rng=0)
    """
    return generator(rng).normal(0.0, math.sqrt(2 / _fans("he_normal", shape)[0]), shape)


def lecun_normal(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """Normal with standard deviation sqrt(1 / fan_in).

    Raises ValueError for fewer than two axes or a size below 1.
    Source: LeCun et al. 1998.
    """
    return generator(rng).normal(0.0, math.sqrt(1 / _fans("lecun_normal", shape)[0]), shape)


def orthogonal(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """A matrix of orthonormal rows or columns, whichever are fewer, drawn uniformly from all such matrices.

    A kernel counts as the matrix (positions · inputs, outputs).
    Raises ValueError for fewer than two axes or a size below 1.
    Source: Saxe et al. 2014; Mezzadri 2007 for the signs, which make the Q of a QR decomposition uniform.
    """
    rows, columns = _fans("orthogonal", shape)[0], shape[-1]
    q, r = np.linalg.qr(generator(rng).normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(shape)


def _fans(owner: str, shape: tuple[int, ...]) -> tuple[int, int]:
    if not isinstance(shape, (tuple, list)) or not all(isinstance(n, (int, np.integer)) for n in shape):
        raise TypeError(f"{owner}: expected a shape (..., inputs, outputs) of ints, got {described(shape)}")
    if len(shape) < 2:
        raise ValueError(f"{owner}: expected a shape of at least two axes, (..., inputs, outputs), got {shape}")
    if min(shape) < 1:
        raise ValueError(f"{owner}: expected a shape (..., inputs, outputs) of sizes of at least 1, got {shape}")
    *positions, inputs, outputs = shape
    return math.prod(positions) * inputs, math.prod(positions) * outputs
