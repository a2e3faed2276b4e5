import ast
import inspect
import textwrap
import tokenize
from io import StringIO

import numpy as np
import pytest

from minnet import Linear, Parameter, Sequential, seed


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def known(dtype=np.float64):
    layer = Linear(3, 2).astype(dtype)
    layer.load_state_dict({"W": [[0.1, -0.4], [0.2, 0.5], [0.3, -0.6]], "b": [0.01, -0.02]})
    return layer


X, DY = [[1, 2, 3], [-1, 0, 2]], [[1, 2], [-1, 0.5]]


def test_linear_and_its_gradients_have_the_values_that_pytorch_gives():
    layer = known()
    # PyTorch gives these, with the weight transposed.
    assert np.allclose(layer(frozen(X)), [[1.41, -1.22], [0.51, -0.82]], rtol=0, atol=1e-7)
    assert np.allclose(layer.backward(frozen(DY)), [[-0.7, 1.2, -0.9], [-0.3, 0.05, -0.6]], rtol=0, atol=1e-7)
    assert np.allclose(layer.W.grad, [[2, 1.5], [2, 4], [1, 7]], rtol=0, atol=1e-12)
    assert np.allclose(layer.b.grad, [0, 2.5], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 5, 3), (2, 1, 4, 3)])
def test_leading_axes_are_only_more_rows(shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=shape), rng.normal(size=(*shape[:-1], 2))
    layer, flat = known(), known()
    y, expected = layer(x), flat(x.reshape(-1, 3))
    dx, expected_dx = layer.backward(dy), flat.backward(dy.reshape(-1, 2))
    assert y.shape == (*shape[:-1], 2)
    assert dx.shape == shape
    assert np.array_equal(y.reshape(-1, 2), expected)
    assert np.array_equal(dx.reshape(-1, 3), expected_dx)
    assert np.allclose(layer.W.grad, flat.W.grad)
    assert np.allclose(layer.b.grad, flat.b.grad)


def test_every_gradient_agrees_with_differences():
    rng = np.random.default_rng(1)
    layer = Linear(4, 3, rng=1).astype(np.float64)
    layer.b.data[:] = rng.normal(size=3)
    x, dy, h = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 3)), 1e-6
    layer(x)
    gradients = [layer.backward(dy), layer.W.grad, layer.b.grad]
    for array, gradient in zip([x, layer.W.data, layer.b.data], gradients):
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + h
            above = (layer(x) * dy).sum()
            array[index] = kept - h
            below = (layer(x) * dy).sum()
            array[index] = kept
            assert gradient[index] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-7)


def test_without_a_bias_there_is_no_b():
    layer = Linear(3, 2, bias=False)
    assert list(layer.named_parameters()) == ["W"]
    assert layer(np.zeros((1, 3))).tolist() == [[0, 0]]
    assert layer.backward(np.ones((1, 2))).shape == (1, 3)


def test_arrays_have_the_documented_names_shapes_and_decay():
    layer = Linear(3, 2)
    assert {name: p.data.shape for name, p in layer.named_parameters().items()} == {"W": (3, 2), "b": (2,)}
    assert [p.decay for p in layer.parameters()] == [True, False]
    assert layer.b.data.tolist() == [0, 0]


def test_weights_start_glorot_uniform_from_the_rng():
    W = Linear(50, 100, rng=0).W.data
    assert 0.199 < abs(W).max() <= 0.2
    assert np.array_equal(W, Linear(50, 100, rng=np.random.default_rng(0)).W.data)
    seed(0)
    assert np.array_equal(W, Linear(50, 100).W.data)
    assert not np.array_equal(W, Linear(50, 100).W.data)


@pytest.mark.parametrize("inside", [np.float32, np.float64])
@pytest.mark.parametrize("given", [np.uint8, np.int64, np.float16, np.float32, np.float64, bool])
def test_real_input_is_cast_to_the_dtype_of_the_parameters(inside, given):
    layer = known(inside)
    y = layer(frozen([[1, 0, 1]], given))
    assert y.dtype == inside
    assert np.allclose(y, [[0.41, -1.02]])
    layer.backward(np.ones((1, 2), inside))
    assert layer.W.grad.dtype == layer.b.grad.dtype == inside
    assert layer.W.grad.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_float32_stays_float32():
    layer = Linear(3, 2)
    x = frozen(X, np.float32)
    assert layer(x).dtype == np.float32
    assert layer.backward(frozen(DY, np.float32)).dtype == np.float32
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(np.float32)}


def test_a_list_is_as_good_as_an_array():
    assert np.allclose(known()(X), [[1.41, -1.22], [0.51, -0.82]])


def test_gradients_add_up_and_the_next_step_is_right():
    layer = known()
    layer(frozen(X))
    layer.backward(frozen(DY))
    layer(frozen([[2, 0, 1]]))
    layer.backward(frozen([[1, 10]]))
    # The first pass left [[2, 1.5], [2, 4], [1, 7]] and [0, 2.5]; the second adds the outer product of the last two.
    assert np.allclose(layer.W.grad, [[4, 21.5], [2, 4], [2, 17]])
    assert np.allclose(layer.b.grad, [1, 12.5])


def test_a_non_contiguous_input_gives_the_same():
    x, dy = np.zeros((2, 6)), np.zeros((2, 4))
    x[:, ::2], dy[:, ::2] = X, DY
    layer, plain = known(), known()
    assert np.allclose(layer(x[:, ::2]), plain(frozen(X)))
    assert np.allclose(layer.backward(dy[:, ::2]), plain.backward(frozen(DY)))
    assert np.allclose(layer.W.grad, plain.W.grad)


def test_an_empty_batch_gives_an_empty_output_and_no_gradient():
    layer = Linear(3, 2)
    assert layer(np.zeros((0, 3))).shape == (0, 2)
    assert layer.backward(np.zeros((0, 2))).shape == (0, 3)
    assert not layer.W.grad.any()


def test_dx_is_left_out_where_nobody_will_use_it():
    layer = known()
    layer(frozen(X))
    layer.input_gradient = False
    assert layer.backward(frozen(DY)) is None
    assert np.allclose(layer.W.grad, [[2, 1.5], [2, 4], [1, 7]])


def test_two_layers_can_share_a_weight():
    first, second = Linear(2, 2, bias=False), Linear(2, 2, bias=False)
    second.W = first.W
    model = Sequential(first, second).astype(np.float64)
    model.load_state_dict({"0.W": [[1, 2], [3, 4]]})
    assert model(frozen([[1, 0]])).tolist() == [[7, 10]]
    model.backward(frozen([[1, 0]]))
    # y₀ = x W W with x = (1, 0): W₀₀² + W₀₁ W₁₀ has the slopes 2 W₀₀, W₁₀ and W₀₁.
    assert first.W.grad.tolist() == [[2, 3], [2, 0]]


def test_a_parameter_put_in_place_of_w_is_used():
    layer = Linear(2, 1, bias=False)
    layer.W = Parameter([[2.0], [3.0]])
    assert layer(np.ones((1, 2))).tolist() == [[5]]


@pytest.mark.parametrize("shape", [(4,), (2, 4), (3, 2), (), (2, 3, 1)])
def test_an_input_that_does_not_end_in_in_features_is_refused_by_name(shape):
    with pytest.raises(ValueError, match=r"Linear\(3, 2\): expected x of shape \(\.\.\., 3\), got"):
        Linear(3, 2)(np.ones(shape))


@pytest.mark.parametrize("sizes", [(0, 0), (-3, 3), (-1, 4), (4, -1)])
def test_sizes_below_one_are_value_errors(sizes):
    with pytest.raises(ValueError):
        Linear(*sizes)


@pytest.mark.parametrize("sizes", [(2.5, 3), (3, "4"), (None, 3)])
def test_sizes_that_are_no_ints_are_type_errors(sizes):
    with pytest.raises(TypeError):
        Linear(*sizes)


def test_linear_takes_at_most_eighteen_lines_of_code():
    source = textwrap.dedent(inspect.getsource(Linear))
    docstring = ast.parse(source).body[0].body[0]
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines = {
        line
        for token in tokenize.generate_tokens(StringIO(source).readline)
        if token.type not in layout
        for line in range(token.start[0], token.end[0] + 1)
    }
    lines -= set(range(docstring.lineno, docstring.end_lineno + 1))
    assert len(lines) <= 18
