import math

import numpy as np
import pytest

from minnet.numerics import column_sum, log_softmax, row_max, row_sum, softmax

SHAPES = [(1,), (5,), (3, 1), (4, 5), (2, 3, 4), (2, 1, 3, 2), (0, 5)]


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reductions_are_those_of_plain_loops_in_any_rank(shape, dtype):
    x = frozen(np.random.default_rng(0).normal(size=shape).astype(dtype))
    rows = x.reshape(-1, shape[-1]).tolist()
    largest, sums, columns = row_max(x), row_sum(x), column_sum(x)
    assert largest.shape == sums.shape == (*shape[:-1], 1)
    assert columns.shape == shape[-1:]
    assert largest.dtype == sums.dtype == columns.dtype == dtype
    assert largest.reshape(-1).tolist() == [max(row) for row in rows]
    assert np.allclose(sums.reshape(-1), [math.fsum(row) for row in rows], atol=1e-6)
    assert np.allclose(columns, [math.fsum(row[c] for row in rows) for c in range(shape[-1])], atol=1e-6)


def test_reductions_do_not_mind_the_memory_layout():
    x = np.arange(24.0).reshape(2, 3, 4)
    for view in (x.transpose(2, 0, 1), x[..., ::-1], x[:, ::2, 1:3]):
        dense = view.copy()
        assert np.array_equal(row_max(view), row_max(dense))
        assert np.array_equal(row_sum(view), row_sum(dense))
        assert np.array_equal(column_sum(view), column_sum(dense))


def test_the_maximum_passes_on_infinities_and_nan():
    assert row_max(np.array([[1, np.inf], [-np.inf, -2]])).tolist() == [[np.inf], [-2]]
    assert np.isnan(row_max(np.array([[1, np.nan, 3]])))


def test_softmax_has_the_known_values():
    expected = [0.01165623, 0.08612854, 0.63640865, 0.03168492, 0.23412166]
    assert np.allclose(softmax(np.array([1.0, 3, 5, 2, 4])), expected, rtol=0, atol=5e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_and_its_logarithm_are_exact_at_extreme_scores(dtype):
    x = frozen(np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [-800, 0, 0]], dtype))
    third = math.log(3)
    assert softmax(x)[0].tolist() == [1, 0, 0]
    assert np.allclose(softmax(x)[1:], [[1 / 3] * 3, [0, 0.5, 0.5]])
    expected = [[0, -2e4, -1e4], [-third] * 3, [-800 - math.log(2), -math.log(2), -math.log(2)]]
    assert np.allclose(log_softmax(x), expected, rtol=1e-7, atol=0)
    assert softmax(x).dtype == log_softmax(x).dtype == dtype


def test_softmax_does_not_change_when_all_scores_move_together():
    x = np.random.default_rng(1).integers(-8, 8, (3, 2, 5)).astype(np.float64)
    assert np.array_equal(softmax(x + 1e6), softmax(x))
    assert np.array_equal(log_softmax(x - 1e6), log_softmax(x))


@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_rows_are_shares_that_sum_to_one(shape):
    x = frozen(np.random.default_rng(2).normal(size=shape) * 5)
    p = softmax(x)
    assert p.shape == shape
    assert (p > 0).all()
    assert all(abs(math.fsum(row) - 1) < 1e-14 for row in p.reshape(-1, shape[-1]).tolist())
    assert np.allclose([math.log(share) for share in p.reshape(-1)], log_softmax(x).reshape(-1), atol=1e-12)


def test_a_score_of_minus_infinity_gets_no_share():
    assert softmax(np.array([0.0, -np.inf, 0])).tolist() == [0.5, 0, 0.5]
    assert log_softmax(np.array([0.0, -np.inf]))[1] == -np.inf
