"""Functions of each entry by itself, between the layers that mix them."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from ..arguments import expect_gradient, signed_number, whole_number
from ..gaussian import cdf_by_tanh, normal_cdf, normal_pdf, pdf_by_tanh
from ..layer import Layer, Parameter, real_input
from ..numerics import as_rows, in_blocks, sigmoid, softplus


class _Activation(Layer):
    """What acts on each number by itself."""

    stepwise = True


def _zeros(x: Array) -> Array:
    """What to compare x with: NumPy takes the maximum of two arrays in a quarter of the time of an array and 0."""
    return np.zeros(x.shape, x.dtype)


def _slopes(x: Array, a: float | Array) -> Array:
    """1 where x > 0, else a; np.where takes ten times as long where the signs are at random."""
    s = (x > 0).astype(x.dtype)
    below = 1 - s
    below *= a
    s += below
    return s


class ReLU(_Activation):
    """The positive part.

    Forward     y = max(x, 0)
    Backward    dx = dy where x > 0, else 0

    Shapes      x, y (...)

    At 0, where the slope jumps from 0 to 1, the backward takes 0.
    Source: Nair and Hinton 2010.
    """

    def forward(self, x: Array) -> Array:
        x = real_input(self, x)
        self.cache = y = np.maximum(x, _zeros(x))
        return y

    # Multiplying by booleans takes 1.1 to 1.3 times as long as converting them to floats first.
    def backward(self, dy: Array) -> Array:
        y = self.cache
        expect_gradient(self, dy, y.shape)
        dx = (y > 0).astype(dy.dtype)
        dx *= dy
        return dx


class LeakyReLU(_Activation):
    """A ReLU that lets a little of the negative part through.

    Forward     y = x where x > 0, else a x
    Backward    dx = dy where x > 0, else a dy

    Shapes      x, y (...)

    negative_slope: a.
    Source: Maas, Hannun and Ng 2013.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = signed_number("LeakyReLU", "negative_slope", negative_slope)

    # For a ≤ 1, y is the larger of x and a x on both sides, else the smaller. With a = 0, 0 · ∞ would be NaN.
    def forward(self, x: Array) -> Array:
        self.cache = x = real_input(self, x)
        y = x * self.negative_slope if self.negative_slope else _zeros(x)
        return (np.maximum if self.negative_slope <= 1 else np.minimum)(x, y, out=y)

    def backward(self, dy: Array) -> Array:
        x = self.cache
        expect_gradient(self, dy, x.shape)
        return in_blocks(self._gradient, x, dy)

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        np.multiply(dy, _slopes(x, self.negative_slope), out=dx)


class PReLU(_Activation):
    """A leaky ReLU whose slope is learned.

    Forward     y = x where x > 0, else a x
    Backward    dx = dy where x > 0, else a dy      da = Σ dy x where x ≤ 0

    Shapes      x, y (..., C)   a (C,), or (1,) for one slope that all features share

    features: C, or 1. a starts at 0.25.
    Raises ValueError if there are several slopes and x does not end in C.
    Source: He et al. 2015.
    """

    def __init__(self, features: int = 1) -> None:
        self.a = Parameter(np.full(whole_number("PReLU", "features", features, least=1), 0.25), decay=False)

    def forward(self, x: Array) -> Array:
        a = self.a.data
        self.cache = x = real_input(self, x, len(a) if len(a) > 1 else None, a.dtype)
        above = _zeros(x)
        y = np.minimum(x, above)
        y *= a
        y += np.maximum(x, above, out=above)
        return y

    def backward(self, dy: Array) -> Array:
        x, a = self.cache, self.a.data
        expect_gradient(self, dy, x.shape)
        if not self.frozen:
            da = as_rows(dy * np.minimum(x, _zeros(x))).sum(axis=0)
            self.a.grad += da if len(a) > 1 else da.sum()
        dx = _slopes(x, a)
        dx *= dy
        return dx


class ELU(_Activation):
    """The identity above zero, an exponential approach to −α below.

    Forward     y = x where x > 0, else α (exp x − 1)
    Backward    dx = dy where x > 0, else α exp(x) dy

    Shapes      x, y (...)

    alpha: α.
    Source: Clevert, Unterthiner and Hochreiter 2016.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = signed_number("ELU", "alpha", alpha)

    def forward(self, x: Array) -> Array:
        self.cache = x = real_input(self, x)
        return in_blocks(self._value, x)

    def backward(self, dy: Array) -> Array:
        x = self.cache
        expect_gradient(self, dy, x.shape)
        return in_blocks(self._gradient, x, dy)

    def _value(self, x: Array, y: Array) -> None:
        above = _zeros(x)
        np.minimum(x, above, out=y)
        np.expm1(y, out=y)
        y *= self.alpha
        y += np.maximum(x, above, out=above)

    def _gradient(self, x: Array, dy: Array, dx: Array) -> None:
        np.minimum(x, _zeros(x), out=dx)
        np.exp(dx, out=dx)
        if self.alpha != 1:
            dx *= _slopes(x, self.alpha)
        dx *= dy


class GELU(_Activation):
    """Weighs x by how likely a standard normal variable is to lie below it.

    Forward     y = x Φ(x),  Φ(x) = (1 + erf(x / √2)) / 2
                "tanh": Φ(x) ≈ (1 + tanh u) / 2,  u = √(2/π) (x + 0.044715 x³)
    Backward    dx = dy (Φ(x) + x φ(x)),  φ(x) = exp(−x²/2) / √(2π)
                "tanh": φ(x) ≈ (1 − tanh² u) u' / 2,  u' = √(2/π) (1 + 3 · 0.044715 x²)

    Shapes      x, y (...)

    approximate: "none" for the exact function, "tanh" for the approximation that GPT-2 was trained with.
    Raises ValueError for any other word.
    Source: Hendrycks and Gimpel 2016.
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f'GELU: expected approximate to be "none" or "tanh", got {approximate!r}')
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        x = real_input(self, x)
        cdf = in_blocks(normal_cdf if self.approximate == "none" else cdf_by_tanh, x)
        self.cache = x, cdf
        return x * cdf

    def backward(self, dy: Array) -> Array:
        x, cdf = self.cache
        expect_gradient(self, dy, x.shape)
        return in_blocks(self._gradient, x, cdf, dy)

    def _gradient(self, x: Array, cdf: Array, dy: Array, dx: Array) -> None:
        if self.approximate == "none":
            normal_pdf(x, dx)
        else:
            pdf_by_tanh(x, cdf, dx)
        dx *= x
        dx += cdf
        dx *= dy


class SiLU(_Activation):
    """Weighs x by its own sigmoid; also called swish.

    Forward     y = x σ(x)
    Backward    dx = dy σ(x) (1 + x (1 − σ(x)))

    Shapes      x, y (...)

    Source: Elfwing, Uchibe and Doya 2018.
    """

    def forward(self, x: Array) -> Array:
        x = real_input(self, x)
        s = sigmoid(x)
        self.cache = x, s
        return x * s

    def backward(self, dy: Array) -> Array:
        x, s = self.cache
        expect_gradient(self, dy, x.shape)
        dx = 1 - s
        dx *= x
        dx += 1
        dx *= s
        dx *= dy
        return dx


class Sigmoid(_Activation):
    """The logistic function.

    Forward     y = σ(x) = 1 / (1 + exp(−x))
    Backward    dx = dy y (1 − y)

    Shapes      x, y (...)
    """

    gives_probabilities = True

    def forward(self, x: Array) -> Array:
        self.cache = y = sigmoid(real_input(self, x))
        return y

    def backward(self, dy: Array) -> Array:
        y = self.cache
        expect_gradient(self, dy, y.shape)
        dx = 1 - y
        dx *= y
        dx *= dy
        return dx


class Tanh(_Activation):
    """The hyperbolic tangent.

    Forward     y = tanh x
    Backward    dx = dy (1 − y²)

    Shapes      x, y (...)
    """

    def forward(self, x: Array) -> Array:
        self.cache = y = np.tanh(real_input(self, x))
        return y

    def backward(self, dy: Array) -> Array:
        y = self.cache
        expect_gradient(self, dy, y.shape)
        dx = y * y
        np.subtract(1, dx, out=dx)
        dx *= dy
        return dx


class Softplus(_Activation):
    """A smooth ReLU.

    Forward     y = log(1 + exp x)
    Backward    dx = dy σ(x)

    Shapes      x, y (...)

    Source: Dugas et al. 2001.
    """

    def forward(self, x: Array) -> Array:
        self.cache = x = real_input(self, x)
        return softplus(x)

    def backward(self, dy: Array) -> Array:
        x = self.cache
        expect_gradient(self, dy, x.shape)
        dx = sigmoid(x)
        dx *= dy
        return dx
