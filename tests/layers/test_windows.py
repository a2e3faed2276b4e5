import numpy as np
import pytest

from minnet import Conv1d, Conv2d
from minnet.layers.windows import count, expect_places, expect_rank, pad, sizes, spread, windows


def numbered(*shape):
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


def row(values):
    """A signal of one sample and one channel."""
    return np.array(values, np.float64).reshape(1, -1, 1)


# Options


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("value", [2.0, (2, 2.0), (2,), (2, 2, 2), (), "2", None, True, (2, True), np.array([2, 2])])
def test_what_is_no_number_for_each_axis_is_a_type_error_that_names_owner_and_option(value):
    with pytest.raises(TypeError, match=r"^Conv2d: expected stride to be an int or a tuple of 2, got "):
        sizes("Conv2d", "stride", value, 2, least=1)


@pytest.mark.parametrize(("value", "least"), [(0, 1), ((1, 0), 1), (-1, 0), ((0, -3), 0)])
def test_a_number_that_is_too_small_is_a_value_error(value, least):
    with pytest.raises(ValueError, match=rf"^Conv2d: expected stride to be at least {least}, got "):
        sizes("Conv2d", "stride", value, 2, least)
    assert sizes("Conv2d", "stride", least, 2, least) == (least, least)


# How many windows fit


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "dilation"), [(2, 3, 1, 1), (2, 3, 5, 1), (0, 1, 1, 1), (6, 3, 2, 3)]
)
def test_where_no_window_fits_the_count_is_not_positive(n, kernel, stride, dilation):
    assert count((n,), (kernel,), (stride,), (dilation,))[0] <= 0


def test_each_axis_is_counted_by_its_own_options():
    assert count((7, 9), (3, 1), (2, 4), (3, 2)) == (1, 3)


# The windows


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


# Spreading


@pytest.mark.parametrize(
    ("stride", "expected"), [(1, [1, 2, 3]), (2, [1, 0, 2, 0, 3]), (4, [1, 0, 0, 0, 2, 0, 0, 0, 3])]
)
def test_spreading_puts_zeros_between_the_places(stride, expected):
    assert spread(row([1, 2, 3]), (stride,)).reshape(-1).tolist() == expected


def test_each_axis_is_spread_by_its_own_stride():
    wide = spread(numbered(1, 2, 2, 1).astype(np.float32), (1, 3))
    assert wide[0, ..., 0].tolist() == [[1, 0, 0, 2], [3, 0, 0, 4]]
    assert wide.dtype == np.float32


# The door


def test_another_rank_is_an_error_that_names_the_layer_and_the_axes():
    with pytest.raises(ValueError, match=r"^Conv2d\(1, 1, 3\): expected x of shape \(N, h, w, C\), got \(3, 3, 1\)$"):
        expect_rank(Conv2d(1, 1, 3), numbered(3, 3, 1), "h, w")
    with pytest.raises(ValueError, match=r"^Conv1d\(1, 1, 3\): expected x of shape \(N, T, C\), got \(1, 3, 3, 1\)$"):
        expect_rank(Conv1d(1, 1, 3), numbered(1, 3, 3, 1), "T")
    expect_rank(Conv1d(1, 1, 3), numbered(3, 3, 1), "T")


def test_no_room_for_a_window_is_an_error_that_names_the_layer_and_the_shape():
    with pytest.raises(ValueError, match=r"^Conv2d\(1, 1, 3\): expected x with room .*, got shape \(1, 2, 3, 1\)$"):
        expect_places(Conv2d(1, 1, 3), numbered(1, 2, 3, 1), (0, 1))
    expect_places(Conv2d(1, 1, 3), numbered(1, 3, 3, 1), (1, 1))
