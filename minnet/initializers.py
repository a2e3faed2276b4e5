"""First values of parameters: each is a function of (shape, rng) that returns an array.

A kernel's last two axes are its inputs and outputs, and any in front of them are positions, so
fan_in = positions · inputs and fan_out = positions · outputs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array

from .random import Rng, generator


def zeros(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """All zero; draws nothing."""
    return np.zeros(shape)


def glorot_uniform(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """Uniform in ±sqrt(6 / (fan_in + fan_out)).

    Raises ValueError for fewer than two axes or a size below 1.
    Source: Glorot and Bengio 2010.
    """
    limit = math.sqrt(6 / sum(_fans(shape)))
    return generator(rng).uniform(-limit, limit, shape)


def he_normal(shape: tuple[int, ...], rng: Rng = None) -> Array:
    """Normal with standard deviation sqrt(2 / fan_in).

    Raises ValueError for fewer than two axes or a size below 1.
    Source: He et al. 2015.
    """
    fan_in, _ = _fans(shape)
    return generator(rng).normal(0.0, math.sqrt(2 / fan_in), shape)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        raise ValueError(f"expected a shape of at least two axes, (..., inputs, outputs), got {shape}")
    if not all(isinstance(n, (int, np.integer)) for n in shape):
        raise TypeError(f"expected a shape (..., inputs, outputs) of ints, got {shape}")
    if min(shape) < 1:
        raise ValueError(f"expected a shape (..., inputs, outputs) of sizes of at least 1, got {shape}")
    *positions, inputs, outputs = shape
    return math.prod(positions) * inputs, math.prod(positions) * outputs
