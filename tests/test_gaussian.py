import math

import numpy as np
import pytest

from minnet import gaussian
from minnet.gaussian import erf


def frozen(array):
    array.flags.writeable = False
    return array


def written_by(function, x, *others):
    """What a function writes into an array like x that held something else."""
    written = np.full_like(x, 7)
    function(x, *others, written)
    return written


def normal_cdf(x):
    return written_by(gaussian.normal_cdf, x)


def normal_pdf(x):
    return written_by(gaussian.normal_pdf, x)


def cdf_by_tanh(x):
    return written_by(gaussian.cdf_by_tanh, x)


def pdf_by_tanh(x):
    return written_by(gaussian.pdf_by_tanh, x, cdf_by_tanh(x))


def relative_errors(got, expected):
    return np.array([abs(a - b) / abs(b) for a, b in zip(np.asarray(got).tolist(), expected) if b])


# Values that meet every branch: around zero, on both sides of 1 where the two approximations meet, and beyond 6.
ERF_AT = np.concatenate(
    [
        np.linspace(0, 7, 30_001),
        np.linspace(0.999, 1.001, 2001),
        np.logspace(-300, -1, 5001),
        [1, 1 - 2**-53, 1 + 2**-52, 5.9999, 6, 6.0001, 30, 1e4, 1e300],
    ]
)


@pytest.mark.rows("sign", [1, -1])
def test_erf_is_that_of_the_standard_library_to_the_last_digit_or_two(sign):
    x = frozen(sign * ERF_AT)
    assert relative_errors(erf(x), [math.erf(v) for v in x.tolist()]).max() < 4e-16


def test_erf_of_the_smallest_numbers_is_right_to_the_last_digit():
    x = [5e-324, 1e-310, 2.3e-308]
    assert np.allclose(erf(np.array(x)), [math.erf(v) for v in x], rtol=0, atol=5e-324)


def test_erf_is_odd_bounded_and_rises():
    x = np.linspace(0, 6.5, 20_001)
    y = erf(x)
    assert np.array_equal(erf(-x), -y)
    assert (abs(y) <= 1).all()
    assert (np.diff(y) > -2e-16).all()
    assert math.copysign(1, erf(np.array([-0.0]))[0]) == -1


@pytest.mark.rows(("dtype", "least"), [(np.float32, 1.2e-7), (np.float64, 2.5e-16)])
def test_the_distribution_is_that_of_the_standard_library(dtype, least):
    x = frozen(np.linspace(-9, 9, 20_001).astype(dtype))
    below = [math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()]
    assert normal_cdf(x).dtype == dtype
    assert np.allclose(normal_cdf(x), below, rtol=0, atol=least)


# 68.27 %, 95.45 % and 99.73 % of a normal distribution lie within one, two and three deviations of its mean.
def test_the_density_adds_up_to_the_known_shares():
    x = np.linspace(0, 3, 3001)
    shares = 2 * np.cumsum((normal_pdf(x)[1:] + normal_pdf(x)[:-1]) / 2) / 1000
    assert np.allclose(shares[[999, 1999, 2999]], [0.682689, 0.954500, 0.997300], rtol=0, atol=1e-6)
    assert normal_pdf(-x).tolist() == normal_pdf(x).tolist()


def test_the_approximation_is_close_and_its_density_is_its_derivative():
    x, h = np.linspace(-12, 12, 4001), 1e-5
    cdf = cdf_by_tanh(x)
    assert 1e-5 < abs(cdf - normal_cdf(x)).max() < 1e-3
    slopes = (cdf_by_tanh(x + h) - cdf_by_tanh(x - h)) / (2 * h)
    assert np.allclose(pdf_by_tanh(x), slopes, rtol=0, atol=1e-9)


@pytest.mark.rows("function", [erf, normal_cdf, normal_pdf, cdf_by_tanh, pdf_by_tanh])
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_empty_and_extreme_inputs_nan_and_any_layout(function, dtype):
    x = np.random.default_rng(3).normal(size=(2, 3, 4)).astype(dtype)
    least = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(function(x.T), function(x).T, rtol=least)
    np.testing.assert_allclose(function(x[..., ::-2]), function(x)[..., ::-2], rtol=least)
    assert function(np.zeros((0, 3), dtype)).shape == (0, 3)
    assert np.isnan(function(np.array([np.nan, 1], dtype))).tolist() == [True, False]
    low, high = (-1 if function is erf else 0), (0 if function not in (erf, normal_cdf, cdf_by_tanh) else 1)
    y = function(frozen(np.array([-np.inf, -1e30, -1e4, 1e4, 1e30, np.inf], dtype)))
    assert y.tolist() == [low] * 3 + [high] * 3 and y.dtype == dtype
