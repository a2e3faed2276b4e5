import numpy as np
import pytest

from minnet import Flatten, LastStep, Linear, Reshape, Sequential, check_layer


@pytest.mark.rows(
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


@pytest.mark.rows("dtype", [np.uint8, np.int64, np.float32, np.float64])
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


# Reshape


@pytest.mark.rows(
    ("shape", "given", "result"),
    [
        ((2, 12), (3, 4), (2, 3, 4)),
        ((2, 3, 4), (12,), (2, 12)),
        ((2, 12), (-1, 4), (2, 3, 4)),
        ((2, 12), (2, -1, 3), (2, 2, 2, 3)),
        ((2, 12), (1, -1), (2, 1, 12)),
        ((1, 6), (3, 2), (1, 3, 2)),
        ((5,), (1, 1), (5, 1, 1)),
        ((5, 1), (), (5,)),
        ((0, 12), (3, 4), (0, 3, 4)),
        ((2, 3, 0), (0, 5), (2, 0, 5)),
    ],
)
def test_reshape_gives_every_sample_another_shape_and_back(shape, given, result):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    x.flags.writeable = False
    layer = Reshape(*given)
    y = layer(x)
    assert y.shape == result
    assert [row.reshape(-1).tolist() for row in y] == [sample.reshape(-1).tolist() for sample in x]
    dx = layer.backward(y + 1)
    assert dx.shape == shape
    assert np.array_equal(dx, x + 1)
    assert y.dtype == dx.dtype == np.float32


@pytest.mark.rows(("given", "result"), [((-1,), (0, 12)), ((3, -1), (0, 3, 4)), ((-1, 1, 3), (0, 4, 1, 3))])
def test_reshape_finds_the_open_size_of_an_empty_batch(given, result):
    layer = Reshape(*given)
    assert layer(np.zeros((0, 3, 4))).shape == result
    assert layer.backward(np.zeros(result)).shape == (0, 3, 4)


@pytest.mark.rows(
    ("shape", "given"),
    [((2, 3, 4), (4, 3)), ((1, 6), (-1,)), ((3, 4), (2, 1, 2)), ((2, 3, 4), (-1, 2))],
)
def test_reshape_keeps_the_contract(shape, given):
    check_layer(Reshape(*given), np.random.default_rng(0).normal(size=shape))


@pytest.mark.rows("layer", [Reshape(2, 2), LastStep()], ids=repr)
@pytest.mark.rows("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_reshape_and_last_step_leave_the_dtype_alone(layer, dtype):
    assert layer(np.ones((2, 4), dtype)).dtype == dtype


def test_reshape_reads_a_non_contiguous_input_in_order():
    x = np.arange(12.0).reshape(2, 3, 2).transpose(0, 2, 1)
    layer = Reshape(3, 2)
    assert layer(x).tolist() == [[[0, 2], [4, 1], [3, 5]], [[6, 8], [10, 7], [9, 11]]]
    assert np.array_equal(layer.backward(layer(x)), x)


def test_reshape_may_see_another_batch_in_the_second_step():
    layer = Reshape(2, 2)
    layer(np.ones((5, 4))), layer.backward(np.ones((5, 2, 2)))
    assert layer([[1, 2, 3, 4]]).tolist() == [[[1, 2], [3, 4]]]
    assert layer.backward(np.array([[[5, 6], [7, 8]]])).tolist() == [[5, 6, 7, 8]]


@pytest.mark.rows(("shape", "given"), [((2, 6), (4,)), ((3, 4), (6,)), ((2, 6), (4, -1)), ((4, 2), ()), ((4,), (2,))])
def test_samples_that_do_not_fit_are_refused_by_name(shape, given):
    with pytest.raises(ValueError, match=r"Reshape\(.*\): expected samples that fit into \("):
        Reshape(*given)(np.ones(shape))


def test_samples_are_not_mixed_to_make_them_fit():
    with pytest.raises(ValueError, match=r"Reshape\(4\): expected samples that fit into \(4,\), got \(2,\)"):
        Reshape(4)(np.ones((6, 2)))


def test_samples_of_an_empty_batch_must_fit_too():
    with pytest.raises(ValueError, match=r"Reshape\(5\): expected samples that fit into \(5,\), got \(12,\)"):
        Reshape(5)(np.zeros((0, 12)))


def test_reshape_needs_a_batch_axis():
    with pytest.raises(ValueError, match=r"Reshape\(-1\): expected x of shape \(N, \.\.\.\), got a single number"):
        Reshape(-1)(3.0)


@pytest.mark.rows("shape", [(-1, -1), (-2,), (2, -3)], ids=str)
def test_sizes_that_mean_nothing_are_refused_at_construction(shape):
    with pytest.raises(ValueError, match="Reshape"):
        Reshape(*shape)


@pytest.mark.rows("shape", [(2.5,), ("a",), (None, 2)], ids=str)
def test_sizes_that_are_no_ints_are_refused_at_construction(shape):
    with pytest.raises(TypeError, match="Reshape"):
        Reshape(*shape)


# LastStep


def test_last_step_picks_the_last_and_gives_the_others_no_gradient():
    layer = LastStep()
    x = np.arange(12.0).reshape(2, 3, 2)
    x.flags.writeable = False
    assert layer(x).tolist() == [[4, 5], [10, 11]]
    dx = layer.backward(np.array([[1.0, 2], [3, 4]]))
    assert dx.tolist() == [[[0, 0], [0, 0], [1, 2]], [[0, 0], [0, 0], [3, 4]]]


def test_last_step_takes_sequences_of_numbers_and_of_images():
    layer = LastStep()
    assert layer([[1, 2, 3], [4, 5, 6]]).tolist() == [3, 6]
    assert layer.backward(np.array([1.0, 2])).tolist() == [[0, 0, 1], [0, 0, 2]]
    assert layer(np.zeros((2, 5, 4, 3, 1))).shape == (2, 4, 3, 1)
    assert layer.backward(np.zeros((2, 4, 3, 1))).shape == (2, 5, 4, 3, 1)


@pytest.mark.rows("shape", [(2, 3, 4), (1, 1, 1), (3, 1, 2), (1, 5, 3), (4, 3), (2, 3, 2, 2)], ids=str)
def test_last_step_keeps_the_contract(shape):
    check_layer(LastStep(), np.random.default_rng(1).normal(size=shape))


def test_last_step_keeps_float32_and_may_see_another_length_in_the_second_step():
    layer = LastStep()
    layer(np.ones((2, 3, 4), np.float32))
    assert layer.backward(np.ones((2, 4), np.float32)).dtype == np.float32
    layer(np.ones((1, 2, 1), np.float32))
    assert layer.backward(np.ones((1, 1), np.float32)).tolist() == [[[0], [1]]]


def test_the_gradients_that_last_step_returns_are_not_shared():
    layer = LastStep()
    layer(np.ones((1, 2, 1)))
    first = layer.backward(np.ones((1, 1)))
    first += 5
    assert layer.backward(np.ones((1, 1))).tolist() == [[[0], [1]]]


@pytest.mark.rows("shape", [(), (4,), (4, 0), (4, 0, 2)], ids=str)
def test_what_has_no_steps_is_refused_by_name(shape):
    with pytest.raises(ValueError, match=r"LastStep\(\): expected x of shape \(N, T, \.\.\.\), got \("):
        LastStep()(np.ones(shape))


@pytest.mark.rows("layer", [Reshape(4), LastStep()], ids=repr)
def test_text_is_refused_by_name(layer):
    with pytest.raises(TypeError, match=r"\(.*\): expected real numbers"):
        layer(np.array([["a", "b"]]))


def test_shapes_fit_together_in_a_model():
    model = Sequential(Reshape(3, 4), Linear(4, 2, rng=0), LastStep(), Reshape(1, 2))
    assert model(np.ones((5, 12))).shape == (5, 1, 2)
    check_layer(model, np.random.default_rng(2).normal(size=(5, 12)))
