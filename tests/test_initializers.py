import math

import numpy as np
import pytest

from minnet import (
    constant,
    generator,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    normal,
    orthogonal,
    seed,
    uniform,
    zeros,
)

BY_FANS = [glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_normal, orthogonal]
RANDOM = [*BY_FANS, normal(0.5), uniform(-2, 3)]


def test_zeros_are_zero_and_draw_nothing():
    before = generator().bit_generator.state
    assert zeros((2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert zeros((4,), 3).shape == (4,)
    assert generator().bit_generator.state == before


# In the kernels, fan_in is 3·3·4 and 5·2: the positions times the inputs, which are the axis before the last.
@pytest.mark.rows(
    ("shape", "limit"),
    [
        ((50, 100), 0.2),
        ((100, 50), 0.2),
        ((1, 5), 1.0),
        ((5, 1), 1.0),
        ((3, 3, 4, 8), 0.2357023),
        ((5, 2, 28), 0.2),
        ((5, 28, 2), 0.2),
    ],
)
def test_glorot_uniform_fills_its_interval_evenly(shape, limit):
    rng = np.random.default_rng(0)
    drawn = np.concatenate([glorot_uniform(shape, rng).reshape(-1) for _ in range(20_000 // np.prod(shape))])
    assert abs(drawn).max() <= limit * (1 + 1e-6)
    assert abs(drawn).max() > 0.99 * limit
    assert abs(drawn.mean()) < 0.02 * limit
    # The standard deviation of a uniform distribution is its half width over the root of three.
    assert drawn.std() == pytest.approx(0.57735 * limit, rel=0.03)


@pytest.mark.rows(
    ("shape", "deviation"),
    [
        ((50, 100), 0.2),
        ((200, 3), 0.1),
        ((2, 30), 1.0),
        ((3, 3, 4, 8), 0.2357023),
        ((5, 10, 28), 0.2),
        ((5, 4, 2), 0.3162278),
    ],
)
def test_he_normal_has_the_deviation_of_its_fan_in(shape, deviation):
    rng = np.random.default_rng(1)
    drawn = np.concatenate([he_normal(shape, rng).reshape(-1) for _ in range(1 + 20_000 // np.prod(shape))])
    assert drawn.std() == pytest.approx(deviation, rel=0.03)
    assert abs(drawn.mean()) < 0.03 * deviation
    # Of a normal distribution 4.55 % lie beyond two deviations; of a uniform one, none.
    assert (abs(drawn) > 2 * deviation).mean() == pytest.approx(0.0455, abs=0.008)


@pytest.mark.rows("draw", RANDOM)
def test_what_is_drawn_depends_on_the_rng_alone(draw):
    shape = (3, 4)
    assert draw(shape).shape == shape
    assert np.array_equal(draw(shape, 5), draw(shape, np.random.default_rng(5)))
    assert not np.array_equal(draw(shape, 5), draw(shape, 6))
    rng = np.random.default_rng(5)
    assert not np.array_equal(draw(shape, rng), draw(shape, rng))
    seed(5)
    assert np.array_equal(draw(shape), draw(shape, 5))


@pytest.mark.rows("draw", BY_FANS)
@pytest.mark.rows("shape", [(), (3,)])
def test_a_shape_without_inputs_and_outputs_is_refused(draw, shape):
    with pytest.raises(ValueError, match="at least two axes"):
        draw(shape)


@pytest.mark.rows("draw", BY_FANS)
@pytest.mark.rows("shape", [(0, 0), (-3, 3), (-1, 4)])
def test_a_shape_of_impossible_sizes_is_a_value_error(draw, shape):
    with pytest.raises(ValueError):
        draw(shape)


@pytest.mark.rows("draw", BY_FANS)
@pytest.mark.rows("shape", [3, "ab", (2.0, 3), None])
def test_what_is_no_shape_is_refused_by_the_name_of_the_initializer(draw, shape):
    with pytest.raises(TypeError, match=rf"^{draw.__name__}: expected a shape \(..., inputs, outputs\) of ints, got "):
        draw(shape)


@pytest.mark.rows("make", [constant, normal, uniform])
@pytest.mark.rows("value", ["a", None, True, math.nan, math.inf, [1.0]])
def test_an_argument_that_is_no_number_is_refused_by_the_name_of_the_initializer(make, value):
    with pytest.raises((TypeError, ValueError), match=rf"^{make.__name__}: expected (value|std|low) to be "):
        make(value)


def test_a_deviation_below_zero_and_an_interval_that_ends_before_it_begins_are_refused():
    with pytest.raises(ValueError, match="normal: expected std to be at least 0 and finite, got -1"):
        normal(-1)
    with pytest.raises(ValueError, match="normal: expected mean to be finite, got nan"):
        normal(1, math.nan)
    with pytest.raises(ValueError, match="uniform: expected low to be at most high, got 3 and -2"):
        uniform(3, -2)
    assert uniform(2, 2)((2,)).tolist() == [2, 2]


def test_constant_fills_a_shape_and_draws_nothing():
    before = generator().bit_generator.state
    assert constant(0.3)((2, 3)).tolist() == [[0.3] * 3] * 2
    assert constant(-1)((2,), 7).tolist() == [-1, -1]
    assert constant(2)((1,)).dtype == np.float64
    assert generator().bit_generator.state == before


def many(draw, shape, rng=0):
    """At least 40 000 numbers, drawn in arrays of a shape."""
    rng = np.random.default_rng(rng)
    return np.concatenate([draw(shape, rng).reshape(-1) for _ in range(1 + 40_000 // np.prod(shape))])


# A kernel of 3·3 positions, 8 inputs and 16 outputs has the fans 72 and 144.
@pytest.mark.rows(
    ("draw", "shape", "deviation"),
    [
        (glorot_normal, (3, 3, 8, 16), 0.0962250),
        (glorot_normal, (3, 3, 16, 8), 0.0962250),
        (glorot_normal, (50, 150), 0.1),
        (he_normal, (3, 3, 8, 16), 0.1666667),
        (he_normal, (3, 3, 16, 8), 0.1178511),
        (lecun_normal, (3, 3, 8, 16), 0.1178511),
        (lecun_normal, (3, 3, 16, 8), 0.0833333),
        (lecun_normal, (25, 4), 0.2),
        (lecun_normal, (5, 5, 3), 0.2),
        (normal(), (7, 3), 1.0),
        (normal(0.02), (100, 3), 0.02),
    ],
)
def test_normal_draws_have_the_deviation_that_their_source_says(draw, shape, deviation):
    drawn = many(draw, shape)
    assert drawn.std() == pytest.approx(deviation, rel=0.02)
    assert abs(drawn.mean()) < 0.02 * deviation
    # Of a normal distribution 4.55 % lie beyond two deviations; of a uniform one, none.
    assert (abs(drawn) > 2 * deviation).mean() == pytest.approx(0.0455, abs=0.006)


@pytest.mark.rows(
    ("draw", "shape", "low", "high"),
    [
        (glorot_uniform, (3, 3, 8, 16), -0.1666667, 0.1666667),
        (glorot_uniform, (3, 3, 16, 8), -0.1666667, 0.1666667),
        (he_uniform, (3, 3, 8, 16), -0.2886751, 0.2886751),
        (he_uniform, (3, 3, 16, 8), -0.2041241, 0.2041241),
        (he_uniform, (6, 50), -1.0, 1.0),
        (he_uniform, (3, 2, 50), -1.0, 1.0),
        (uniform(), (7, 3), 0.0, 1.0),
        (uniform(-2, 3), (7, 3), -2.0, 3.0),
        (uniform(high=5), (7,), 0.0, 5.0),
    ],
)
def test_uniform_draws_fill_the_interval_that_their_source_says(draw, shape, low, high):
    drawn, width = many(draw, shape), high - low
    assert low - 1e-6 * width <= drawn.min() < low + 0.002 * width
    assert high - 0.002 * width < drawn.max() <= high + 1e-6 * width
    # The standard deviation of a uniform distribution is its width over the root of twelve.
    assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.01 * width)
    assert drawn.std() == pytest.approx(0.288675 * width, rel=0.02)


def test_normal_takes_the_deviation_and_then_the_mean():
    drawn = many(normal(0.5, 3.0), (10, 10))
    assert drawn.mean() == pytest.approx(3, abs=0.02)
    assert drawn.std() == pytest.approx(0.5, rel=0.02)


@pytest.mark.rows("draw", [constant(1), normal(0.1), uniform(-1, 1), zeros])
@pytest.mark.rows("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_what_needs_no_fans_takes_any_shape(draw, shape):
    assert draw(shape).shape == shape


@pytest.mark.rows("shape", [(7, 3), (3, 7), (5, 5), (1, 4), (4, 1), (1, 1), (3, 3, 8, 16), (1, 2, 3, 10), (5, 2, 3)])
def test_orthogonal_rows_or_columns_have_length_one_and_no_part_in_common(shape):
    drawn = orthogonal(shape, 0)
    assert drawn.shape == shape
    matrix = drawn.reshape(-1, shape[-1])
    vectors = matrix.T if matrix.shape[0] >= matrix.shape[1] else matrix
    products = [[float(np.dot(a, b)) for b in vectors] for a in vectors]
    assert np.allclose(products, np.eye(len(vectors)), rtol=0, atol=1e-12)


def test_orthogonal_matrices_are_drawn_uniformly():
    rng = np.random.default_rng(0)
    drawn = np.array([orthogonal((3, 3), rng) for _ in range(4000)])
    # Uniform means that each entry is as often positive as negative, that its square is 1/3 on average, and that
    # half of them mirror; without the signs of R, the QR decomposition gives one-sided entries.
    assert np.allclose((drawn > 0).mean(axis=0), 0.5, atol=0.04)
    assert np.allclose((drawn**2).mean(axis=0), 1 / 3, atol=0.03)
    assert (np.linalg.det(drawn) > 0).mean() == pytest.approx(0.5, abs=0.04)


def test_orthogonal_keeps_lengths():
    W, x = orthogonal((6, 6), 1), np.random.default_rng(2).normal(size=6)
    assert np.linalg.norm(x @ W) == pytest.approx(np.linalg.norm(x), rel=1e-12)
