import numpy as np
import pytest

from minnet import Flatten


@pytest.mark.parametrize(
    ("shape", "flat"),
    [((2, 3, 4), (2, 12)), ((2, 3), (2, 3)), ((5,), (5, 1)), ((2, 1, 3, 2), (2, 6)), ((0, 3, 4), (0, 12))],
)
def test_flatten_makes_one_row_of_each_sample_and_back(shape, flat):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    x.flags.writeable = False
    layer = Flatten()
    y = layer(x)
    assert y.shape == flat
    assert [row.tolist() for row in y] == [sample.reshape(-1).tolist() for sample in x]
    dy = y + 1
    dx = layer.backward(dy)
    assert dx.shape == shape
    assert np.array_equal(dx, x + 1)
    assert y.dtype == dx.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64])
def test_flatten_leaves_the_dtype_alone(dtype):
    assert Flatten()(np.ones((2, 2, 2), dtype)).dtype == dtype


def test_flatten_keeps_the_order_of_a_non_contiguous_input():
    x = np.arange(12.0).reshape(2, 3, 2).transpose(0, 2, 1)
    layer = Flatten()
    assert layer(x).tolist() == [[0, 2, 4, 1, 3, 5], [6, 8, 10, 7, 9, 11]]
    assert np.array_equal(layer.backward(layer(x)), x)


def test_flatten_takes_a_list():
    assert Flatten()([[[1, 2], [3, 4]]]).tolist() == [[1, 2, 3, 4]]


def test_flatten_needs_a_batch_axis():
    with pytest.raises(ValueError, match=r"Flatten\(\): expected x of shape \(N, \.\.\.\), got a single number"):
        Flatten()(np.float32(3))
