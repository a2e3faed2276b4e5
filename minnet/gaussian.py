"""The normal distribution by which GELU weighs its input: exact, and as its approximation has it."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array


@np.errstate(over="ignore")  # tanh ∞ is 1
def normal_cdf(x: Array, cdf: Array) -> None:
    """cdf ← Φ(x) = (1 + erf(x / √2)) / 2: how likely a standard normal variable is to lie below x.

    In float32 it is (1 + tanh u) / 2 with u = x p(x²), where p is the polynomial of degree 6 whose largest error is
    least, 3e-8 of Φ for |x| < 5.6; p rises, so that beyond, where Φ is 0 or 1, it stays so. With the rounding of
    float32 the error is 1e-7.
    """
    if x.dtype == np.float32:
        _polynomial(_NORMAL_CDF, x * x, out=cdf)
        cdf *= x
        np.tanh(cdf, out=cdf)
        cdf += 1
    else:
        np.add(erf(x * math.sqrt(1 / 2)), 1, out=cdf)
    cdf *= 1 / 2


@np.errstate(over="ignore")  # exp(−∞) is 0
def normal_pdf(x: Array, pdf: Array) -> None:
    """pdf ← φ(x) = exp(−x²/2) / √(2π), the derivative of Φ."""
    np.multiply(x, x, out=pdf)
    pdf *= -1 / 2
    np.exp(pdf, out=pdf)
    pdf *= 1 / math.sqrt(2 * math.pi)


@np.errstate(over="ignore")  # tanh ∞ is 1
def cdf_by_tanh(x: Array, cdf: Array) -> None:
    """cdf ← (1 + tanh u) / 2 ≈ Φ(x),  u = √(2/π) (x + 0.044715 x³)."""
    np.multiply(x, x, out=cdf)
    cdf *= math.sqrt(2 / math.pi) * 0.044715
    cdf += math.sqrt(2 / math.pi)
    cdf *= x
    np.tanh(cdf, out=cdf)
    cdf += 1
    cdf *= 1 / 2


def pdf_by_tanh(x: Array, cdf: Array, pdf: Array) -> None:
    """pdf ← (1 − tanh² u) u' / 2 = 2 Φ (1 − Φ) u', the derivative of that,  u' = √(2/π) (1 + 3 · 0.044715 x²)."""
    np.clip(x, -10, 10, out=pdf)  # Φ is 0 or 1 well before
    pdf *= pdf
    pdf *= 2 * math.sqrt(2 / math.pi) * 3 * 0.044715
    pdf += 2 * math.sqrt(2 / math.pi)
    pdf *= cdf
    pdf *= 1 - cdf


def erf(x: Array) -> Array:
    """The error function 2/√π ∫₀ˣ exp(−t²) dt, to 4e-16 of its value in float64.

    For |x| < 1 a polynomial approximates erf(x)/x in 2x² − 1; from there on another approximates exp(x²) erfc(x) in
    (|x| − 3)/(|x| + 3); beyond 6, erf is 1. The coefficients are those of Chebyshev interpolants, computed with 50
    digits and checked against math.erf.
    """
    a = np.minimum(abs(x), 6)
    b = np.minimum(a, 1)
    near = b * _polynomial(_ERF_NEAR, 2 * b * b - 1)
    far = 1 - np.exp(-a * a) * _polynomial(_ERFC_FAR, (12 * (a - 3) / (a + 3) + 1) / 5)
    return np.copysign(np.where(a < 1, near, far), x)


# fmt: off
_NORMAL_CDF = (
    0.79788494146, 0.036333084572, -3.2594976072e-05, -5.5306192953e-05, 3.9647442229e-06, -1.3226332128e-07,
    1.7561701694e-09,
)
_ERF_NEAR = (
    0.9654687386698673, -0.1405360890227171, 0.019852496688983708, -0.0022854855611441132, 0.00021751715604159932,
    -1.7537169441124866e-05, 1.223382738359897e-06, -7.511569286591727e-08, 4.115800583208149e-09,
    -2.035228405815769e-10, 9.167619596865806e-12, -3.8078824063194953e-13, 1.4543887079465116e-14,
)
_ERFC_FAR = (
    0.20798329133342885, -0.15436117429436919, 0.0496984454033948, -0.012713147695691995, 0.0024793146970724187,
    -0.00033160296057845436, 1.956358330834969e-05, 2.4255574811020284e-06, -5.541277438329464e-07,
    -4.526722197970927e-09, 1.1340261055840323e-08, -2.6378817019432074e-10, -2.5809703293704675e-10,
    6.030100178315267e-12, 6.716060821011204e-12, 4.468786282795809e-15, -1.6799777159311457e-13,
)
# fmt: on


def _polynomial(coefficients: tuple[float, ...], x: Array, out: Array | None = None) -> Array:
    """c₀ + c₁ x + c₂ x² + …, by Horner's rule."""
    y = np.multiply(x, coefficients[-1], out=out)
    for c in coefficients[-2:0:-1]:
        y += c
        y *= x
    y += coefficients[0]
    return y
