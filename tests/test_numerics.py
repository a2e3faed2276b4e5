import math
import tracemalloc

import numpy as np
import pytest

from minnet.numerics import (
    BLOCK,
    WIDE,
    add_to_rows,
    column_sum,
    in_blocks,
    log_softmax,
    mean_weights,
    ones,
    row_max,
    row_starts,
    row_sum,
    sigmoid,
    softmax,
    softplus,
    transposed,
    with_column,
)

SHAPES = [(1,), (5,), (3, 1), (4, 5), (2, 3, 4), (2, 1, 3, 2), (0, 5), (3, WIDE + 1)]


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.rows("shape", SHAPES)
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_reductions_are_those_of_plain_loops_in_any_rank(shape, dtype):
    x = frozen(np.random.default_rng(0).normal(size=shape).astype(dtype))
    rows = x.reshape(-1, shape[-1]).tolist()
    largest, sums, columns = row_max(x.reshape(-1, shape[-1])), row_sum(x), column_sum(x)
    assert sums.shape == (*shape[:-1], 1)
    assert columns.shape == shape[-1:]
    assert largest.dtype == sums.dtype == columns.dtype == dtype
    assert largest.tolist() == [max(row) for row in rows]
    assert np.allclose(sums.reshape(-1), [math.fsum(row) for row in rows], atol=1e-6)
    assert np.allclose(columns, [math.fsum(row[c] for row in rows) for c in range(shape[-1])], atol=1e-6)


@pytest.mark.rows("shape", [(1, 1), (1, 7), (16, 3), (17, 40), (50, 2), (0, 3)])
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_a_transposed_copy_has_every_entry_in_its_place(shape, dtype):
    W = frozen(np.random.default_rng(0).normal(size=shape).astype(dtype))
    for view in (W, W[:, ::-1], W.T):
        turned = transposed(view)
        assert turned.flags.c_contiguous and turned.dtype == dtype and turned.shape == view.shape[::-1]
        assert all(turned[j, i] == view[i, j] for i, j in np.ndindex(view.shape))


def test_mean_weights_add_up_to_one_and_stay_as_they_are():
    weights = mean_weights(4, np.dtype(np.float32))
    assert weights.tolist() == [0.25] * 4 and weights.dtype == np.float32
    assert mean_weights(0, np.dtype(np.float64)).tolist() == []
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = 1


VECTORS = pytest.mark.rows(
    ("vector", "other"), [(ones, np.dtype(np.float32)), (mean_weights, np.dtype(np.float64)), (row_starts, 3)]
)


@VECTORS
def test_long_vectors_of_many_lengths_are_not_kept(vector, other):
    tracemalloc.start()
    try:
        for n in range(100_000, 100_040):
            assert len(vector(n, other)) == n
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000, "40 of them take 16 to 32 MB"


@VECTORS
def test_short_vectors_are_made_once_and_all_are_read_only(vector, other):
    assert vector(32, other) is vector(32, other)
    for n in (1, 32, 10**5):
        assert not vector(n, other).flags.writeable


def test_vectors_have_the_same_values_whether_they_are_kept_or_not():
    for n in (2**14, 2**14 + 1):
        assert ones(n, np.dtype(np.float32)).tolist() == [1.0] * n
        assert mean_weights(n, np.dtype(np.float64)).tolist() == [1 / n] * n
        assert row_starts(n, 3).tolist() == list(range(0, 3 * n, 3))


def test_reductions_do_not_mind_the_memory_layout():
    x = np.arange(24.0).reshape(2, 3, 4)
    for view in (x.transpose(2, 0, 1), x[..., ::-1], x[:, ::2, 1:3]):
        dense = view.copy()
        assert np.array_equal(row_max(view[0]), row_max(dense[0]))
        assert np.array_equal(row_sum(view), row_sum(dense))
        assert np.array_equal(column_sum(view), column_sum(dense))


def test_the_maximum_passes_on_infinities_and_nan():
    assert row_max(np.array([[1, np.inf], [-np.inf, -2]])).tolist() == [np.inf, -2]
    assert np.isnan(row_max(np.array([[1, np.nan, 3]])))


@pytest.mark.rows("shape", [(0, 3), (1, 3), (4, 3), (4, WIDE + 1)])
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_a_column_meets_every_entry_of_its_row(shape, dtype):
    rng = np.random.default_rng(0)
    rows, v = frozen(rng.normal(size=shape).astype(dtype)), frozen(rng.uniform(1, 2, size=shape[0]).astype(dtype))
    for ufunc, of in ((np.subtract, float.__sub__), (np.multiply, float.__mul__), (np.divide, float.__truediv__)):
        for view in (rows, rows[:, ::-1]):
            found = with_column(ufunc, view, v)
            assert found.dtype == dtype and found.shape == (rows.size,) and not np.may_share_memory(found, rows)
            expected = [dtype(of(entry, by)) for row, by in zip(view.tolist(), v.tolist()) for entry in row]
            assert found.tolist() == expected
            assert with_column(ufunc, over := view.copy(), v, out=over).tolist() == expected


@pytest.mark.rows("rows", [0, 1, 2, 5, 65])
def test_a_vector_is_added_to_every_row_in_place(rows):
    for x in (np.arange(3.0 * rows).reshape(rows, 3), np.arange(6.0 * rows).reshape(rows, 6)[:, ::2]):
        expected = [[float(entry + b) for entry, b in zip(row, (0.5, -1, 2))] for row in x]
        assert add_to_rows(x, np.array([0.5, -1, 2])) is None
        assert x.tolist() == expected


def test_softmax_has_the_known_values():
    expected = [0.01165623, 0.08612854, 0.63640865, 0.03168492, 0.23412166]
    assert np.allclose(softmax(np.array([1.0, 3, 5, 2, 4])), expected, rtol=0, atol=5e-9)


@pytest.mark.rows("dtype", [np.float32, np.float64])
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


@pytest.mark.rows("shape", SHAPES)
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


LONGEST = BLOCK // 4  # of float32
SIZES_IN_BLOCKS = [(0, 3), (2, 3), (LONGEST,), (LONGEST + 1,), (3, 30_001), (2, LONGEST), (2, 3, LONGEST // 5)]


@pytest.mark.rows("shape", SIZES_IN_BLOCKS, ids=str)
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_blocks_have_every_number_in_its_place(shape, dtype):
    seen = []

    def difference(a, b, y):
        seen.append(y.nbytes)
        np.subtract(a, b, out=y)

    a = frozen(np.arange(math.prod(shape), dtype=dtype).reshape(shape))
    b = frozen(np.random.default_rng(0).integers(0, 9, shape).astype(dtype))
    for left, right in [(a, b), (a.T, b.T), (a[..., ::-1], b[..., ::-1]), (a, np.broadcast_to(b[..., :1], shape))]:
        seen.clear()
        y = in_blocks(difference, left, right)
        assert y.dtype == dtype and np.array_equal(y, left - right)
        assert sum(seen) == left.nbytes and max(seen) <= BLOCK


def relative_errors(got, expected):
    return np.array([abs(a - b) / abs(b) for a, b in zip(np.asarray(got).tolist(), expected) if b])


def test_sigmoid_has_the_known_values():
    # σ(log k) = k / (1 + k).
    assert np.allclose(sigmoid(np.log([1.0, 3, 1 / 3, 9])), [0.5, 0.75, 0.25, 0.9], rtol=1e-15)


def test_sigmoid_keeps_its_digits_on_both_sides():
    x = np.concatenate([np.linspace(-700, 40, 5001), [-1e-300, 1e-300, -36.8, -37.5]])
    # A positive x reduces to a negative one, whose exponential is far from overflow.
    expected = [math.exp(v) / (1 + math.exp(v)) if v < 0 else 1 - math.exp(-v) / (1 + math.exp(-v)) for v in x.tolist()]
    assert relative_errors(sigmoid(frozen(x)), expected).max() < 6e-16
    assert np.allclose(sigmoid(x) + sigmoid(-x), 1, rtol=0, atol=3e-16)


def test_softplus_has_the_known_values():
    # log(1 + exp log k) = log(1 + k).
    assert np.allclose(softplus(np.log([1.0, 3, 1 / 3, 9])), np.log([2, 4, 4 / 3, 10]), rtol=1e-15)


def test_softplus_keeps_its_digits_on_both_sides():
    x = np.linspace(-700, 700, 7001)
    expected = [math.log1p(math.exp(v)) if v < 0 else v + math.log1p(math.exp(-v)) for v in x.tolist()]
    assert relative_errors(softplus(frozen(x)), expected).max() < 6e-16
    assert np.allclose(softplus(x) - softplus(-x), x, rtol=0, atol=1e-12)


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_sigmoid_and_softplus_are_exact_at_extreme_values(dtype):
    x = frozen(np.array([-np.inf, -1e4, 1e4, np.inf], dtype))
    assert sigmoid(x).tolist() == [0, 0, 1, 1]
    assert softplus(x).tolist() == [0, 0, 1e4, np.inf]
    assert sigmoid(x).dtype == softplus(x).dtype == dtype


@pytest.mark.rows("function", [sigmoid, softplus])
def test_elementwise_functions_keep_the_shape_pass_on_nan_and_do_not_mind_the_layout(function):
    x = np.random.default_rng(3).normal(size=(2, 3, 4))
    np.testing.assert_allclose(function(x.T), function(x).T, rtol=1e-14)
    np.testing.assert_allclose(function(x[..., ::-2]), function(x)[..., ::-2], rtol=1e-14)
    assert function(np.zeros((0, 3))).shape == (0, 3)
    assert np.isnan(function(np.array([np.nan, 1.0]))).tolist() == [True, False]
