import numpy as np
import pytest

from minnet import Conv1d, Conv2d
from minnet.layers.windows import (
    Strips,
    add_strips,
    columns,
    count,
    expect_axes,
    expect_places,
    kernel_copies,
    pad,
    runs,
    sizes,
    split_columns,
    windows,
)


def numbered(*shape):
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


def row(values):
    """A signal of one sample and one channel."""
    return np.array(values, np.float64).reshape(1, -1, 1)


# Options


@pytest.mark.rows(
    ("value", "positions", "expected"),
    [
        (3, 2, (3, 3)),
        (3, 1, (3,)),
        ((3, 5), 2, (3, 5)),
        ([3, 5], 2, (3, 5)),
        ((4,), 1, (4,)),
        (np.int64(2), 2, (2, 2)),
        ((np.int32(2), 1), 2, (2, 1)),
    ],
)
def test_one_number_stands_for_all_axes(value, positions, expected):
    given = sizes("Conv2d", "stride", value, positions, least=1)
    assert given == expected
    assert {type(n) for n in given} == {int}


@pytest.mark.rows("value", [2.0, (2, 2.0), (2,), (2, 2, 2), (), "2", None, True, (2, True), np.array([2, 2])])
def test_what_is_no_number_for_each_axis_is_a_type_error_that_names_owner_and_option(value):
    with pytest.raises(TypeError, match=r"^Conv2d: expected stride to be an int or a tuple of 2, got "):
        sizes("Conv2d", "stride", value, 2, least=1)


@pytest.mark.rows(("value", "least"), [(0, 1), ((1, 0), 1), (-1, 0), ((0, -3), 0)])
def test_a_number_that_is_too_small_is_a_value_error(value, least):
    with pytest.raises(ValueError, match=rf"^Conv2d: expected stride to be at least {least}, got "):
        sizes("Conv2d", "stride", value, 2, least)
    assert sizes("Conv2d", "stride", least, 2, least) == (least, least)


# How many windows fit


@pytest.mark.rows(
    ("n", "kernel", "stride", "dilation", "expected"),
    [
        (7, 3, 1, 1, 5),
        (7, 3, 2, 1, 3),
        (8, 3, 2, 1, 3),
        (7, 3, 1, 2, 3),
        (7, 3, 1, 3, 1),
        (7, 7, 1, 1, 1),
        (7, 7, 5, 1, 1),
        (7, 1, 10, 1, 1),
        (7, 1, 7, 4, 1),
        (8, 1, 7, 4, 2),
    ],
)
def test_windows_are_counted_as_they_are_laid(n, kernel, stride, dilation, expected):
    laid = [p for p in range(0, n, stride) if p + dilation * (kernel - 1) < n]
    assert len(laid) == expected
    assert count((n,), (kernel,), (stride,), (dilation,)) == (expected,)


@pytest.mark.rows(("n", "kernel", "stride", "dilation"), [(2, 3, 1, 1), (2, 3, 5, 1), (0, 1, 1, 1), (6, 3, 2, 3)])
def test_where_no_window_fits_the_count_is_not_positive(n, kernel, stride, dilation):
    assert count((n,), (kernel,), (stride,), (dilation,))[0] <= 0


def test_each_axis_is_counted_by_its_own_options():
    assert count((7, 9), (3, 1), (2, 4), (3, 2)) == (1, 3)


# The windows


@pytest.mark.rows(
    ("kernel", "stride", "dilation"),
    [
        ((2, 3), (1, 1), (1, 1)),
        ((1, 1), (2, 3), (1, 1)),
        ((2, 2), (2, 1), (1, 3)),
        ((5, 6), (1, 1), (1, 1)),
        ((3, 2), (3, 4), (2, 1)),
    ],
)
def test_windows_hold_what_a_loop_finds(kernel, stride, dilation):
    x = numbered(2, 5, 6, 3)
    seen = windows(x, kernel, stride, dilation)
    assert seen.shape == (2, *count((5, 6), kernel, stride, dilation), *kernel, 3)
    for n, i, j, u, v, c in np.ndindex(seen.shape):
        expected = x[n, stride[0] * i + dilation[0] * u, stride[1] * j + dilation[1] * v, c]
        assert seen[n, i, j, u, v, c] == expected


def test_windows_of_a_signal_have_one_axis_of_places():
    seen = windows(row([1, 2, 3, 4, 5]), (2,), (2,), (2,))
    assert seen[0, ..., 0].tolist() == [[1, 3], [3, 5]]


def test_windows_are_a_view_that_cant_be_written_to():
    x = numbered(1, 4, 4, 1)
    seen = windows(x, (2, 2), (1, 1), (1, 1))
    assert np.shares_memory(seen, x)
    with pytest.raises(ValueError, match="read-only"):
        seen[...] = 0


def test_windows_follow_the_memory_layout_of_x():
    x = numbered(2, 4, 5, 3)
    expected = windows(x, (2, 3), (1, 2), (2, 1))
    backwards = np.ascontiguousarray(x[::-1, :, ::-1])
    for same in (np.asfortranarray(x), np.repeat(x, 2, axis=2)[:, :, ::2], backwards[::-1, :, ::-1]):
        assert np.array_equal(windows(same, (2, 3), (1, 2), (2, 1)), expected)


# Margins


@pytest.mark.rows(
    ("before", "after", "expected"),
    [
        (0, 0, [1, 2, 3]),
        (2, 0, [9, 9, 1, 2, 3]),
        (0, 1, [1, 2, 3, 9]),
        (1, 2, [9, 1, 2, 3, 9, 9]),
        (-1, 0, [2, 3]),
        (0, -2, [1]),
        (-1, -1, [2]),
        (2, -1, [9, 9, 1, 2]),
        (-2, 3, [3, 9, 9, 9]),
        (-3, 1, [9]),
        (1, -3, [9]),
        (-5, 4, [9, 9]),
        (4, -5, [9, 9]),
        (-1, -2, []),
    ],
)
def test_a_margin_adds_places_and_a_negative_one_cuts_them_off(before, after, expected):
    padded = pad(row([1, 2, 3]), (before,), (after,), 9)
    assert padded.shape == (1, len(expected), 1)
    assert padded.reshape(-1).tolist() == expected


def test_each_axis_has_its_own_margins():
    padded = pad(numbered(1, 2, 2, 1), (1, 0), (0, 2))
    assert padded[0, ..., 0].tolist() == [[0, 0, 0, 0], [1, 2, 0, 0], [3, 4, 0, 0]]
    assert pad(numbered(1, 2, 2, 1), (-1, 1), (0, 0))[0, ..., 0].tolist() == [[0, 3, 4]]


def test_a_margin_leaves_samples_and_channels_alone():
    x = numbered(2, 1, 3)
    assert pad(x, (1,), (0,)).tolist() == [[[0, 0, 0], [1, 2, 3]], [[0, 0, 0], [4, 5, 6]]]


def test_padding_keeps_the_dtype_and_x_itself():
    x = numbered(1, 2, 2, 1).astype(np.float32)
    padded = pad(x, (1, 1), (1, 1), -np.inf)
    assert padded.dtype == np.float32
    padded[...] = 7
    assert x.reshape(-1).tolist() == [1, 2, 3, 4]


# Runs


@pytest.mark.rows("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.rows(("axes", "shape"), [(1, (2, 5, 4)), (2, (2, 20)), (3, (40,))])
def test_runs_are_the_same_numbers_fewer_items_at_a_time(dtype, axes, shape):
    x = numbered(2, 5, 4).astype(dtype)
    items = runs(x, axes)
    assert items.shape == shape[: 3 - axes] and np.shares_memory(items, x)
    assert np.array_equal(np.ascontiguousarray(items).view(dtype).reshape(x.shape), x)
    runs(x[:, ::2])[...] = runs(x[:, 1:4].copy())
    assert np.array_equal(x[:, ::2], numbered(2, 5, 4)[:, [1, 2, 3]])


def test_runs_of_windows_overlap():
    seen = windows(row([1, 2, 3, 4, 5]), (3,), (1,), (1,))
    assert np.ascontiguousarray(runs(seen, 2)).view(np.float64).reshape(3, 3).tolist() == [
        [1, 2, 3],
        [2, 3, 4],
        [3, 4, 5],
    ]


# Strips


# x, W, stride, dilation, groups, and how many places a strip may have.
STRIPS = [
    ((2, 5, 8, 3), (3, 3, 3, 4), (1, 1), (1, 1), 1, [1, 2, 3, 6]),
    ((1, 4, 9, 1), (2, 3, 1, 2), (1, 2), (1, 1), 1, [1, 2, 4]),
    ((2, 3, 7, 2), (1, 1, 2, 3), (2, 3), (1, 1), 1, [1, 3]),
    ((2, 5, 5, 4), (3, 2, 2, 6), (1, 1), (2, 1), 2, [1, 2, 4]),
    ((1, 2, 6, 3), (1, 3, 1, 3), (1, 1), (1, 1), 3, [1, 2, 4]),
    ((1, 3, 7, 2), (2, 3, 2, 2), (1, 1), (1, 2), 1, [1]),
    ((2, 9, 2), (4, 2, 3), (1,), (1,), 1, [1, 2, 3, 6]),
    ((2, 9, 2), (2, 1, 4), (3,), (1,), 2, [1, 3]),
]
every_strip = pytest.mark.rows(
    ("x", "W", "stride", "dilation", "groups", "t"), [(*case, t) for *case, ts in STRIPS for t in ts]
)


@every_strip
def test_strips_of_any_width_give_what_a_plain_convolution_gives(x, W, stride, dilation, groups, t, plain_convolution):
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=x), rng.normal(size=W)
    none = (0,) * len(stride)
    strips = Strips(W.shape[:-2], stride, dilation, none, none, groups, t)
    dy = np.zeros((len(x), *strips.places(x.shape[1:-1]), W.shape[-1]))
    expected, _, _ = plain_convolution(x, W, dy, stride, dilation, [(0, 0) for _ in stride], groups)
    got = split_columns(strips.unfold(x) @ strips.matrix(W), t).reshape(expected.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(split_columns(columns(got, t, groups), t).reshape(got.shape), got)


@every_strip
def test_folding_is_the_adjoint_of_unfolding(x, W, stride, dilation, groups, t):
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=x), rng.normal(size=W)
    none = (0,) * len(stride)
    strips = Strips(W.shape[:-2], stride, dilation, none, none, groups, t)
    dy = rng.normal(size=(len(x), *strips.places(x.shape[1:-1]), W.shape[-1]))
    dx = np.ones(x.shape)
    strips.fold(dy, strips.matrix(W), dx)
    y = split_columns(strips.unfold(x) @ strips.matrix(W), t).reshape(dy.shape)
    assert (x * (dx - 1)).sum() == pytest.approx((y * dy).sum(), rel=0, abs=1e-12 * abs(y * dy).sum())


@every_strip
def test_the_kernel_stands_in_its_matrix_once_for_each_place(x, W, stride, dilation, groups, t):
    none = (0,) * len(stride)
    strips = Strips(W[:-2], stride, dilation, none, none, groups, t)
    T = strips.matrix(numbered(*W))
    assert np.count_nonzero(T) == t * np.prod(W)
    stand = kernel_copies(split_columns(T, t).reshape(*strips.strip_shape, W[-2], t, W[-1]), W[:-2], stride[-1])
    for i in range(t):
        assert np.array_equal(stand[..., i, :], numbered(*W))


@every_strip
def test_the_gradient_of_the_kernel_is_the_sum_over_its_copies(x, W, stride, dilation, groups, t):
    none = (0,) * len(stride)
    strips = Strips(W[:-2], stride, dilation, none, none, groups, t)
    dT = np.random.default_rng(0).normal(size=strips.matrix(numbered(*W)).shape)
    # Of <T(W), dT>, which is linear in W, the derivative along V is <T(V), dT>.
    V = np.random.default_rng(1).normal(size=W)
    expected = strips.matrix(V) * dT
    assert (strips.kernel_of(dT) * V).sum() == pytest.approx(expected.sum(), rel=0, abs=1e-13 * abs(expected).sum())


@pytest.mark.rows(("per_line", "width", "step", "dilation"), [(3, 4, 2, 1), (40, 2, 1, 1), (40, 3, 2, 4), (2, 3, 5, 3)])
@pytest.mark.rows("call", [0, 10**6])
def test_strips_are_added_where_they_lie_in_whichever_order(per_line, width, step, dilation, call, monkeypatch):
    monkeypatch.setattr("minnet.layers.windows.CALL", call)
    strips = np.random.default_rng(0).normal(size=(2, 3, per_line, width, 2, 5))
    x = np.ones((2, 3, step * (per_line - 1) + dilation * (width - 1) + 2, 2, 5))
    expected = x.copy()
    for j, v in np.ndindex(per_line, width):
        expected[:, :, step * j + dilation * v] += strips[:, :, j, v]
    add_strips(x, strips, step, dilation)
    np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.rows(
    ("kernel", "stride", "dilation", "groups", "places", "c", "K", "expected"),
    [
        ((5, 5), (1, 1), (1, 1), 1, 28, 1, 6, 7),  # LeNet's
        ((5, 5), (1, 1), (1, 1), 1, 10, 6, 16, 2),
        ((3, 3), (1, 1), (1, 1), 1, 28, 1, 64, 2),
        ((3, 3), (1, 1), (1, 1), 1, 28, 32, 16, 1),
        ((3, 3), (1, 1), (1, 1), 1, 28, 32, 64, 1),
        ((3, 3), (1, 1), (1, 1), 32, 28, 1, 64, 14),
        ((3, 3), (1, 1), (1, 1), 1, 29, 1, 6, 29),
        ((3, 3), (1, 1), (1, 2), 1, 28, 1, 6, 1),
        ((1, 1), (1, 1), (1, 1), 1, 28, 32, 6, 1),
        ((3,), (1,), (1,), 1, 1, 1, 6, 1),
    ],
)
def test_the_more_channels_there_are_the_narrower_are_the_strips(
    kernel, stride, dilation, groups, places, c, K, expected
):
    none = (0,) * len(kernel)
    assert Strips(kernel, stride, dilation, none, none, groups).with_best_t(places, c, K).t == expected


def test_to_fold_takes_longer_so_that_strips_are_wider():
    strips = Strips((5, 5), (1, 1), (1, 1), (0, 0), (0, 0))
    assert strips.with_best_t(10, 6, 16, folding=True).t == 5
    # Of few channels it is to begin the runs that takes the time, of many the numbers.
    for c, K in ((1, 6), (32, 64)):
        there, back = strips.with_best_t(28, c, K), strips.with_best_t(28, c, K, folding=True)
        assert there.t < back.t, (c, there.t, back.t)


def test_samples_come_in_blocks_of_a_limited_size_and_none_is_left_out(monkeypatch):
    strips = Strips((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
    monkeypatch.setattr("minnet.layers.windows.BLOCK", 1000)
    # 9 numbers for each of 20 windows of a sample of one channel, 5 samples make 900.
    assert list(strips.blocks((12, 4, 5, 1))) == [slice(0, 5), slice(5, 10), slice(10, 15)]
    assert list(strips.blocks((2, 40, 50, 1))) == [slice(0, 1), slice(1, 2)]
    assert list(strips.blocks((0, 4, 5, 1))) == []
    # Of five channels it is as many numbers for one sample.
    assert list(strips.blocks((2, 4, 5, 5))) == [slice(0, 1), slice(1, 2)]


# The door


def test_another_rank_is_an_error_that_names_the_layer_and_the_axes():
    with pytest.raises(ValueError, match=r"^Conv2d\(1, 1, 3\): expected x of shape \(N, h, w, C\), got \(3, 3, 1\)$"):
        expect_axes(Conv2d(1, 1, 3), numbered(3, 3, 1), "h, w")
    with pytest.raises(
        ValueError, match=r"^Conv2d\(2, 1, 3\): expected x of shape \(N, h, w, 2\), got \(1, 3, 3, 1\)$"
    ):
        expect_axes(Conv2d(2, 1, 3), numbered(1, 3, 3, 1), "h, w", 2)
    with pytest.raises(ValueError, match=r"^Conv1d\(1, 1, 3\): expected x of shape \(N, T, C\), got \(1, 3, 3, 1\)$"):
        expect_axes(Conv1d(1, 1, 3), numbered(1, 3, 3, 1), "T")
    expect_axes(Conv1d(1, 1, 3), numbered(3, 3, 1), "T")


def test_no_room_for_a_window_is_an_error_that_names_the_layer_and_the_shape():
    with pytest.raises(ValueError, match=r"^Conv2d\(1, 1, 3\): expected x with room .*, got shape \(1, 2, 3, 1\)$"):
        expect_places(Conv2d(1, 1, 3), numbered(1, 2, 3, 1), (0, 1))
    expect_places(Conv2d(1, 1, 3), numbered(1, 3, 3, 1), (1, 1))
