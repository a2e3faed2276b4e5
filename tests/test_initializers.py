import numpy as np
import pytest

from minnet import generator, glorot_uniform, he_normal, seed, zeros


def test_zeros_are_zero_and_draw_nothing():
    before = generator().bit_generator.state
    assert zeros((2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert zeros((4,), 3).shape == (4,)
    assert generator().bit_generator.state == before


# In the kernels, fan_in is 3·3·4 and 5·2: the positions times the inputs, which are the axis before the last.
@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("draw", [glorot_uniform, he_normal])
def test_what_is_drawn_depends_on_the_rng_alone(draw):
    shape = (3, 4)
    assert draw(shape).shape == shape
    assert np.array_equal(draw(shape, 5), draw(shape, np.random.default_rng(5)))
    assert not np.array_equal(draw(shape, 5), draw(shape, 6))
    rng = np.random.default_rng(5)
    assert not np.array_equal(draw(shape, rng), draw(shape, rng))
    seed(5)
    assert np.array_equal(draw(shape), draw(shape, 5))


@pytest.mark.parametrize("draw", [glorot_uniform, he_normal])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_shape_without_inputs_and_outputs_is_refused(draw, shape):
    with pytest.raises(ValueError, match="at least two axes"):
        draw(shape)


@pytest.mark.parametrize("draw", [glorot_uniform, he_normal])
@pytest.mark.parametrize("shape", [(0, 0), (-3, 3), (-1, 4)])
def test_a_shape_of_impossible_sizes_is_a_value_error(draw, shape):
    with pytest.raises(ValueError):
        draw(shape)
