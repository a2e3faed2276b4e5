"""What every exported layer must do. A new layer is one row of the table or more; nothing else is written here."""

import copy
import inspect
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

import minnet
from minnet import *  # noqa: F403  the rows are evaluated as a user writes them
from minnet import Buffer, Layer, Loss, check_layer


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


def probabilities(*shape):
    return np.random.default_rng(0).dirichlet(np.ones(shape[-1]), shape[:-1])


def classes(*shape, below=3):
    return np.random.default_rng(0).integers(0, below, shape)


# The layer as it is written in code, then what its forward takes.
LAYERS = [
    ("AvgPool2d(2)", normal(2, 4, 6, 3)),
    ("AvgPool2d((3, 2), stride=2, padding=1)", normal(2, 5, 4, 1)),
    ("BatchNorm(4)", normal(5, 4)),
    ("BatchNorm(3, momentum=0.5, eps=0.1)", normal(2, 4, 5, 3)),
    ("Conv1d(2, 3, 3)", normal(2, 4, 2)),
    ("Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)", normal(2, 5, 4)),
    ("Conv1d(1, 1, 1, bias=False)", normal(1, 1, 1)),
    ("Conv1d(2, 3, 2, padding='same')", normal(3, 4, 2), np.array([4, 0, 2])),
    ("Conv2d(2, 1, 3, stride=2, padding='same')", normal(1, 4, 3, 2)),
    ("Conv2d(2, 3, 3)", normal(1, 3, 4, 2)),
    ("Conv2d(2, 3, (2, 3), stride=(2, 3), padding=(1, 2))", normal(1, 3, 4, 2)),
    ("Conv2d(4, 6, 3, padding=2, dilation=2, groups=2, bias=False)", normal(1, 2, 3, 4)),
    ("Conv2d(3, 3, 2, padding='same', groups=3)", normal(2, 2, 3, 3)),
    ("Conv2d(1, 2, 5, padding=4)", normal(1, 3, 2, 1)),
    ("ConvTranspose2d(2, 3, 2)", normal(2, 1, 2, 2)),
    ("ConvTranspose2d(2, 1, (3, 2), stride=(2, 3), padding=1, bias=False)", normal(1, 3, 2, 2)),
    ("CrossAttention(4, 2)", (normal(2, 3, 4), normal(2, 2, 4))),
    ("CrossAttention(3, 1)", (normal(3, 1, 3), normal(3, 2, 3)), np.array([2, 0, 1])),
    ("ConvTranspose2d(2, 1, 3, stride=2, output_padding=1)", normal(1, 2, 3, 2)),
    ("Dropout(rng=0)", normal(5, 4)),
    ("Dropout(0.2, rng=3)", normal(2, 3, 4)),
    ("Dropout(p=0.0)", normal(5, 4)),
    ("Dropout(1.0)", normal(5, 4)),
    ("ELU()", normal(5, 4)),
    ("ELU(alpha=0.3)", np.array([[0.0, 1.0, -1.0]])),
    ("Embedding(5, 3)", classes(2, 4, below=5)),
    ("Embedding(5, 3, padding_idx=1)", classes(2, 4, below=5)),
    ("Embedding(num_embeddings=1, features=1)", classes(3, below=1)),
    ("Flatten()", normal(2, 3, 4)),
    ("Flatten()", normal(5)),
    ("GELU()", normal(5, 4)),
    ("GELU('tanh')", normal(2, 3, 4)),
    ("GRU(2, 3)", normal(2, 3, 2)),
    ("GRU(1, 2)", normal(1, 1, 1)),
    ("GRU(2, 3, reverse=True)", normal(3, 3, 2), np.array([2, 3, 0])),
    ("GlobalAveragePool()", normal(2, 3, 4, 5)),
    ("GlobalAveragePool()", normal(2, 3)),
    ("GroupNorm(2, 4)", normal(2, 3, 5, 4)),
    ("GroupNorm(1, 3, eps=0.1)", normal(1, 3)),
    ("GlobalAveragePool()", normal(3, 4, 2), np.array([4, 0, 2])),
    ("GlobalAveragePool()", normal(2, 3, 2, 2), np.array([1, 3])),
    ("LastStep()", normal(3, 4, 2), np.array([4, 0, 2])),
    ("LSTM(2, 3)", normal(2, 3, 2)),
    ("LSTM(2, 2)", normal(1, 1, 2)),
    ("LSTM(2, 3, reverse=True)", normal(3, 3, 2), np.array([2, 3, 0])),
    ("LastStep()", normal(2, 3, 4)),
    ("LayerNorm(4)", normal(5, 4)),
    ("LayerNorm(4, eps=0.1)", normal(2, 3, 2, 4)),
    ("LeakyReLU()", normal(5, 4)),
    ("LeakyReLU(negative_slope=0.3)", np.array([[0.0, 1.0, -1.0]])),
    ("Linear(4, 3)", normal(5, 4)),
    ("Linear(4, 3)", normal(4)),
    ("Linear(4, 3)", normal(2, 3, 2, 4)),
    ("Linear(4, 3, bias=False)", normal(5, 4)),
    ("Linear(in_features=1, out_features=1)", normal(5, 1)),
    ("Linear(40, 30)", normal(50, 40)),
    ("LogSoftmax()", normal(5, 4)),
    ("LogSoftmax()", normal(2, 3, 4)),
    ("MaxPool2d(2)", normal(2, 4, 6, 3)),
    ("MaxPool2d(3, stride=1, padding=1)", normal(2, 4, 3, 1)),
    ("MaxPool2d((2, 3), (3, 1))", np.zeros((1, 5, 4, 1))),
    ("MultiHeadAttention(4, 2)", normal(2, 3, 4)),
    ("MultiHeadAttention(4, 4, causal=True)", normal(2, 3, 4)),
    ("MultiHeadAttention(3, 1, True)", normal(1, 1, 3)),
    ("MultiHeadAttention(4, 2)", normal(3, 3, 4), np.array([3, 0, 2])),
    ("MultiHeadAttention(4, 2, causal=True)", normal(3, 3, 4), np.array([3, 0, 2])),
    ("PReLU()", normal(2, 3, 4)),
    ("PReLU(4)", normal(5, 4)),
    ("PositionalEmbedding(5, 4)", normal(2, 3, 4)),
    ("PositionalEmbedding(3, 4)", normal(2, 3, 4)),
    ("RMSNorm(4)", normal(5, 4)),
    ("RMSNorm(4, eps=0.1)", normal(2, 3, 4)),
    ("RNN(2, 3)", normal(2, 3, 2)),
    ("RNN(2, 2)", normal(1, 1, 2)),
    ("RNN(2, 3, reverse=True)", normal(3, 3, 2), np.array([2, 3, 0])),
    ("ReLU()", normal(5, 4)),
    ("ReLU()", np.array([[0.0, 1.0, -1.0]])),
    ("Reshape(4, 3)", normal(2, 3, 4)),
    ("Reshape(2, -1)", normal(2, 3, 4)),
    ("SiLU()", normal(5, 4)),
    ("Sigmoid()", normal(5, 4)),
    ("Softmax()", normal(5, 4)),
    ("Softmax()", normal(2, 3, 4)),
    ("Softmax()", normal(4)),
    ("Softplus()", normal(5, 4)),
    ("Tanh()", normal(5, 4)),
    ("Upsample2d(2)", normal(1, 2, 3, 2)),
    ("Upsample2d((3, 2), 'bilinear')", normal(2, 2, 3, 1)),
]

LOSSES = [
    ("BinaryCrossEntropy()", normal(5, 4), classes(5, 4, below=2)),
    ("BinaryCrossEntropy()", normal(5), probabilities(5)),
    ("BinaryCrossEntropy()", normal(2, 3, 4), probabilities(2, 3, 4), np.arange(6.0).reshape(2, 3)),
    ("BinaryCrossEntropy(3.0)", normal(5, 4), classes(5, 4, below=2), np.arange(5.0)),
    ("BinaryCrossEntropy(pos_weight=[1, 2, 0, 0.5])", normal(5, 4), probabilities(5, 4), np.arange(20.0).reshape(5, 4)),
    ("BinaryCrossEntropy(3.0, mean_over='samples')", normal(5, 4), classes(5, 4, below=2), np.arange(5.0)),
    ("Huber()", normal(5, 4), normal(5, 4) + 1),
    ("Huber()", normal(5), normal(5) + 1, np.arange(5.0)),
    ("Huber(0.25)", normal(2, 3, 4), 2 * normal(2, 3, 4), np.arange(6.0).reshape(2, 3)),
    ("Huber(delta=5.0)", normal(5, 4), classes(5, 4)),
    ("Huber(0.25, mean_over='samples')", normal(5, 4), normal(5, 4) + 1, np.arange(5.0)),
    ("MeanAbsoluteError()", normal(5, 4), normal(5, 4) + 1),
    ("MeanAbsoluteError()", normal(5), normal(5)),
    ("MeanAbsoluteError()", normal(2, 3, 4), 2 * normal(2, 3, 4), np.arange(6.0).reshape(2, 3)),
    ("MeanAbsoluteError(mean_over='samples')", normal(5, 4), normal(5, 4) + 1, np.arange(5.0)),
    ("MeanSquaredError()", normal(5, 4), normal(5, 4) + 1),
    ("MeanSquaredError()", normal(5), normal(5) + 1),
    ("MeanSquaredError()", normal(5, 4), normal(5, 4) + 1, np.arange(5.0)),
    ("MeanSquaredError(mean_over='samples')", normal(2, 3, 4), normal(2, 3, 4) + 1, np.arange(6.0).reshape(2, 3)),
    ("MulticlassHinge()", normal(5, 3), classes(5)),
    ("MulticlassHinge()", normal(2, 4, 3), classes(2, 4), np.arange(8.0).reshape(2, 4)),
    ("MulticlassHinge()", np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 1.0]]), np.array([1, 2])),
    ("MulticlassHinge(margin=0.5)", normal(5, 3), classes(5), np.arange(5.0)),
    ("MulticlassHinge(mean_over='samples')", normal(2, 4, 3), classes(2, 4), np.arange(8.0).reshape(2, 4)),
    ("SoftmaxCrossEntropy()", normal(5, 3), classes(5)),
    ("SoftmaxCrossEntropy()", normal(5, 3), classes(5), np.arange(5.0)),
    ("SoftmaxCrossEntropy()", normal(5, 3), probabilities(5, 3)),
    ("SoftmaxCrossEntropy()", normal(2, 4, 3), classes(2, 4)),
    ("SoftmaxCrossEntropy([1, 2, 0.5])", normal(5, 3), classes(5)),
    ("SoftmaxCrossEntropy(weight=[1, 2, 0.5], label_smoothing=0.1)", normal(5, 3), classes(5)),
    ("SoftmaxCrossEntropy(label_smoothing=0.2)", normal(5, 3), probabilities(5, 3)),
    ("SoftmaxCrossEntropy(ignore_index=1)", normal(2, 4, 3), classes(2, 4)),
    ("SoftmaxCrossEntropy([1, 2, 0.5], 0.1, 1)", normal(5, 3), classes(5), np.arange(5.0)),
    ("SoftmaxCrossEntropy([1, 2, 0.5], 0.1, 1, mean_over='samples')", normal(5, 3), classes(5), np.arange(5.0)),
    ("SoftmaxCrossEntropy([1, 2, 0.5], mean_over='samples')", normal(5, 3), probabilities(5, 3), np.arange(5.0)),
]

# Their repr has lines, and does not evaluate back.
CONTAINERS = [
    ("Sequential()", normal(5, 4)),
    ("Sequential(Linear(4, 3), ReLU())", normal(5, 4)),
    ("Sequential([Flatten(), Linear(12, 3), Sequential(ReLU(), Linear(3, 2))])", normal(2, 3, 4)),
    ("Sequential(Linear(4, 3), SoftmaxCrossEntropy())", normal(5, 4), classes(5)),
    ("Residual(Linear(4, 4), Tanh())", normal(5, 4)),
    ("Residual(Sequential(LayerNorm(4), Linear(4, 4)))", normal(2, 3, 4)),
    ("Concatenate(Linear(4, 3), Sequential(Linear(4, 2), Tanh()))", normal(5, 4)),
    ("Concatenate(Conv2d(2, 1, 2, padding='same'), Residual(BatchNorm(2)))", normal(2, 1, 2, 2)),
    ("Padded(Linear(4, 3), Residual(LayerNorm(3)))", (normal(3, 2, 4), np.array([2, 0, 1]))),
    ("Padded(Embedding(5, 4), LastStep())", (classes(3, 2, below=5), np.array([2, 0, 1]))),
    ("Padded(Linear(4, 3), SoftmaxCrossEntropy())", (normal(3, 2, 4), np.array([2, 0, 1])), classes(3, 2)),
    ("Parallel(Linear(4, 3), Sequential(Embedding(5, 2), Flatten()))", (normal(5, 4), classes(5, 1, below=5))),
    ("Parallel(Flatten(), Sequential())", (normal(2, 3, 4), normal(2, 3))),
    ("Sequential(Embedding(5, 4), PositionalEmbedding(3, 4), GRU(4, 1))", classes(2, 2, below=5)),
    ("Sequential(Linear(4, 3), BinaryCrossEntropy())", normal(5, 4), probabilities(5, 3)),
    ("Sequential(Linear(4, 3), MulticlassHinge())", normal(5, 4), classes(5), np.arange(5.0)),
    ("Sequential(Linear(4, 3), MeanSquaredError())", normal(5, 4), normal(5, 3), np.arange(5.0)),
]

ABSTRACT = {"Layer", "Loss"}


def make(code):
    """The layer, with values that no other made from the same code has."""
    layer = eval(code, vars(minnet))
    for parameter in layer.parameters():
        parameter.data += 0.25
    return layer


def arrays(values):
    """Those in a value, which may be a tuple or list of them, and of None for integers and numbers for losses."""
    if isinstance(values, (tuple, list)):
        return [array for value in values for array in arrays(value)]
    return [values] if isinstance(values, np.ndarray) else []


def each(function, x):
    return tuple(map(function, x)) if isinstance(x, tuple) else function(x)


def row(code, *inputs):
    shapes = ", ".join(str(array.shape) for array in arrays(inputs))
    return pytest.param(code, inputs, id=f"{code} of {shapes}")


every_layer = pytest.mark.rows("code, inputs", [row(*entry) for entry in LAYERS + LOSSES + CONTAINERS])
every_layer_with_a_leaf = pytest.mark.rows(
    "code, inputs", [row(*entry) for entry in LAYERS + LOSSES + CONTAINERS if entry[0] != "Sequential()"]
)
every_layer_of_one_array = pytest.mark.rows(
    "code, inputs",
    [
        row(*entry)
        for entry in LAYERS + LOSSES + CONTAINERS
        if entry[0] != "Sequential()" and not isinstance(entry[1], tuple)
    ],
)
every_leaf = pytest.mark.rows("code", sorted({entry[0] for entry in LAYERS + LOSSES}))
every_code = pytest.mark.rows("code", sorted({entry[0] for entry in LAYERS + LOSSES + CONTAINERS}))
both_modes = pytest.mark.rows("training", [True, False], ids=["training", "evaluation"])


def arguments(code):
    """What the constructor is given, by name, the defaults too: without generators, and sizes that have no names."""
    signature = inspect.signature(type(layer := make(code)))
    bound = signature.bind(*layer._arguments[0], **layer._arguments[1])
    bound.apply_defaults()
    return {
        name: value
        for name, value in bound.arguments.items()
        if name != "rng" and signature.parameters[name].kind is not inspect.Parameter.VAR_POSITIONAL
    }


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


every_number = pytest.mark.rows(
    "code, inputs, name",
    [
        pytest.param(code, inputs, name, id=f"{code} {name}")
        for code, *inputs in LAYERS + LOSSES
        for name, value in arguments(code).items()
        if is_number(value) and name != "pos_weight"  # which is an array, or a number of one
    ],
)


def float32(x):
    return each(lambda array: array.astype(np.float32) if array.dtype.kind == "f" else array.copy(), x)


def upstream(y):
    """A gradient of y that is not constant, and a float for a loss."""
    return 1.5 if isinstance(y, float) else np.random.default_rng(1).normal(size=y.shape).astype(y.dtype)


def backward(layer, dy):
    asks = "input_gradient" in inspect.signature(layer.backward).parameters
    return layer.backward(dy, input_gradient=True) if asks else layer.backward(dy)


def gradients(layer):
    return {name: parameter.grad.copy() for name, parameter in layer.named_parameters().items()}


def test_every_exported_layer_stands_in_the_table():
    exported = {
        name for name in minnet.__all__ if inspect.isclass(kind := getattr(minnet, name)) and issubclass(kind, Layer)
    }
    there = {type(make(entry[0])).__name__ for entry in LAYERS + LOSSES + CONTAINERS}
    assert exported - ABSTRACT - there == set(), "add a row to LAYERS or LOSSES above"
    assert there - exported == set(), "export it in minnet/__init__.py"


def test_the_losses_stand_among_the_losses():
    assert all(isinstance(make(entry[0]), Loss) for entry in LOSSES)
    assert not any(isinstance(make(entry[0]), Loss) for entry in LAYERS)


def test_a_table_is_tried_to_its_end_and_a_failure_names_the_rows(request):
    tried = []

    def differ(x, y):
        tried.append((x, y))
        assert x != y

    marks = [pytest.mark.rows("x", [1, 2]).mark, pytest.mark.rows("y", [1, 2], ids=["one", "two"]).mark]
    item = SimpleNamespace(name="", obj=differ, funcargs={"x": None, "y": None}, iter_markers=lambda name: marks)
    with pytest.raises(AssertionError) as caught:
        request.node.ihook.pytest_pyfunc_call(pyfuncitem=item)
    assert tried == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert caught.value.__notes__ == ["2 of 4 rows fail:\n1 / one\n2 / two"]
    marks.append(pytest.mark.rows("z", []).mark)
    with pytest.raises(ValueError, match="a table without rows"):
        request.node.ihook.pytest_pyfunc_call(pyfuncitem=item)


@every_layer
def test_the_gradients_are_right_and_the_contract_holds(code, inputs):
    check_layer(make(code), *inputs)


@pytest.mark.long
@every_layer
def test_the_gradients_are_right_with_any_seed(code, inputs):
    for seed in range(1, 6):
        check_layer(make(code), *inputs, rng=seed)


@every_leaf
def test_the_repr_evaluates_back(code):
    layer = make(code)
    again = eval(repr(layer), vars(minnet))
    assert type(again) is type(layer)
    assert repr(again) == repr(layer) == code
    assert {name: p.data.shape for name, p in again.named_parameters().items()} == {
        name: p.data.shape for name, p in layer.named_parameters().items()
    }


@every_number
@pytest.mark.rows("bad", ["a", None, True, math.nan, math.inf, [1.0], 1j, np.complex64(1)], ids=repr)
def test_what_is_no_number_is_refused_by_the_name_of_the_layer_and_the_argument(code, inputs, name, bad):
    given = arguments(code)
    if bad is None and inspect.signature(type(make(code))).parameters[name].default is None:
        return  # it has a meaning
    with pytest.raises((TypeError, ValueError), match=rf"^{type(make(code)).__name__}: .*{name}"):
        type(make(code))(**given | {name: bad})


@every_number
@pytest.mark.rows("bad", [-1, 0, 4.5, -0.5, np.float64(4.5)], ids=repr)
def test_a_number_that_is_refused_is_so_by_the_name_of_the_layer_and_the_argument(code, inputs, name, bad):
    given = arguments(code)
    try:
        type(make(code))(**given | {name: bad})
    except (TypeError, ValueError) as error:
        assert re.match(rf"{type(make(code)).__name__}: .*({name}|groups|heads)", str(error))
    else:
        assert not (isinstance(given[name], int) and isinstance(bad, float))
        assert bad >= 0 or name in ("negative_slope", "alpha", "forget_bias", "ignore_index", "padding_idx")


@every_number
@pytest.mark.rows("kind", [np.float64, np.float32, np.int64])
def test_a_number_of_numpys_gives_the_bits_that_pythons_gives(code, inputs, name, kind):
    given = arguments(code)
    whole = isinstance(given[name], int)
    if whole != (kind is np.int64):
        return
    results = []
    for value in (kind(given[name]), kind(given[name]).item()):
        minnet.seed(0)
        layer = type(make(code))(**given | {name: value})
        y = layer(*map(float32, inputs))
        dx = backward(layer, upstream(y))
        results.append([y, dx, layer.state_dict(), gradients(layer)])
        assert {np.asarray(array).dtype for array in (y, dx) if isinstance(array, np.ndarray)} <= {np.dtype(np.float32)}
    np.testing.assert_equal(results[0], results[1])


@every_layer
@both_modes
def test_float32_stays_float32(code, inputs, training):
    layer = make(code).train(training)
    y = layer(*map(float32, inputs))
    assert isinstance(y, float) or y.dtype == np.float32
    dx = backward(layer, upstream(y))
    assert {array.dtype for array in arrays(dx)} <= {np.dtype(np.float32)}
    assert {gradient.dtype for gradient in gradients(layer).values()} <= {np.dtype(np.float32)}


@every_layer
def test_the_prediction_of_a_loss_stays_float32(code, inputs):
    assert make(code)(float32(inputs[0])).dtype == np.float32


@every_layer
@both_modes
def test_float64_is_computed_in_float64(code, inputs, training):
    layer = make(code).astype(np.float64).train(training)
    y = layer(*inputs)
    assert isinstance(y, float) or y.dtype == np.float64
    dx = backward(layer, upstream(y))
    assert {array.dtype for array in arrays(dx)} <= {np.dtype(np.float64)}
    assert {gradient.dtype for gradient in gradients(layer).values()} <= {np.dtype(np.float64)}


@every_layer
@both_modes
def test_nothing_handed_in_is_written_to(code, inputs, training):
    layer = make(code).train(training)
    handed = [float32(x) for x in inputs]
    for x in arrays(handed):
        x.flags.writeable = False
    y = layer(*handed)
    dy = upstream(y)
    if isinstance(dy, np.ndarray):
        dy.flags.writeable = False
    kept = copy.deepcopy(dy)
    backward(layer, dy)
    np.testing.assert_equal(handed, [float32(before) for before in inputs])
    np.testing.assert_array_equal(dy, kept)


@every_layer
@both_modes
def test_a_second_backward_doubles_the_gradients(code, inputs, training):
    layer = make(code).train(training)
    y = layer(*map(float32, inputs))
    dx = backward(layer, upstream(y))
    once = gradients(layer)
    again = backward(layer, upstream(y))
    np.testing.assert_equal(again, dx)
    for name, gradient in gradients(layer).items():
        np.testing.assert_array_equal(gradient, 2 * once[name], err_msg=name)
    layer.zero_grad()
    assert not any(gradient.any() for gradient in gradients(layer).values())


@every_layer
@both_modes
def test_parameters_get_the_same_gradients_where_dx_is_not_wanted(code, inputs, training, same_sums):
    layer = make(code).train(training)
    y = layer(*map(float32, inputs))
    backward(layer, upstream(y))
    expected = gradients(layer)
    layer.zero_grad()
    layer.input_gradient = False
    layer.backward(upstream(y))
    same_sums(gradients(layer).values(), expected.values())


@every_layer
@both_modes
def test_arrays_that_lie_otherwise_in_memory_give_the_same(code, inputs, training):
    results = []
    for order in (np.ascontiguousarray, np.asfortranarray, lambda x: np.repeat(x, 2, axis=-1)[..., ::2]):
        layer = make(code).astype(np.float64).train(training)
        for name, p in layer.named_parameters().items():
            p.data[...] = np.random.default_rng(len(name)).normal(size=p.data.shape)
        y = layer(*(each(order, x) for x in inputs))
        dy = upstream(y)
        dx = backward(layer, order(dy) if isinstance(dy, np.ndarray) else dy)
        results.append([np.asarray(y), *arrays(dx), *gradients(layer).values()])
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@every_layer
def test_the_state_survives_a_round_trip(code, inputs):
    layer, other = make(code), make(code)
    layer(*map(float32, inputs))
    other.load_state_dict(layer.state_dict())
    for now in (layer, other):
        now.eval()
    np.testing.assert_array_equal(other(*map(float32, inputs)), layer(*map(float32, inputs)))
    assert list(other.state_dict()) == list(layer.state_dict()) == list(layer.walk(minnet.Parameter, Buffer))


@every_layer
def test_a_deep_copy_is_independent(code, inputs):
    layer = make(code)
    twin = copy.deepcopy(layer)
    before = layer.state_dict()
    for parameter in twin.parameters():
        parameter.data += 1
        parameter.grad += 1
    twin(*map(float32, inputs))
    np.testing.assert_equal(layer.state_dict(), before)
    assert not any(gradient.any() for gradient in gradients(layer).values())
    assert not any("cache" in vars(part) for part in layer.walk(Layer).values())


def of_other_shapes(y):
    """Gradients that are not shaped like y, though they could be broadcast to it or have as many entries."""
    yield np.ones((1, *y.shape), y.dtype)
    yield np.ones((len(y) + 1, *y.shape[1:]), y.dtype)
    yield np.ones(1, y.dtype) if y.shape != (1,) else np.ones((1, 1), y.dtype)
    yield np.float32(1)
    if y.ndim > 1:
        yield np.ones(y.shape[1:], y.dtype)
        yield np.ones(y.shape[:-1], y.dtype)
        yield np.ones(y.size, y.dtype)
    if len(y) > 1:
        yield np.ones((1, *y.shape[1:]), y.dtype)
    if y.shape[-1] > 1:
        yield np.ones((*y.shape[:-1], 1), y.dtype)
    if y.T.shape != y.shape:
        yield np.ones(y.T.shape, y.dtype)


@pytest.mark.rows("code, inputs", [row(*entry) for entry in LAYERS])
@both_modes
@pytest.mark.rows("wanted", [True, False], ids=["dx wanted", "dx not wanted"])
def test_a_gradient_of_another_shape_than_y_is_refused_by_name(code, inputs, training, wanted):
    layer = make(code).train(training)
    y = layer(*map(float32, inputs))
    layer.input_gradient = wanted
    for dy in of_other_shapes(y):
        with pytest.raises(ValueError, match=re.escape(f"{layer!r}: expected dy of shape {y.shape}, like y, got ")):
            layer.backward(dy)
    assert not any(gradient.any() for gradient in gradients(layer).values())
    layer.backward(upstream(y))


@pytest.mark.rows("code, inputs", [row(*entry) for entry in LAYERS if make(entry[0]).parameters()])
def test_a_gradient_that_cannot_be_added_to_is_an_error_that_names_the_layer(code, inputs):
    model = minnet.Sequential(make(code))
    y = model(float32(inputs[0]))
    for parameter in model.parameters():
        parameter.grad.flags.writeable = False
    with pytest.raises(ValueError, match=re.escape(f"layer 0, {code}, in backward ") + ".* is read-only"):
        model.backward(upstream(y), input_gradient=True)


@pytest.mark.rows("code, inputs", [row(*entry) for entry in LAYERS])
def test_a_layer_whose_arrays_came_read_only_from_another_process_trains_all_the_same(code, inputs):
    layer, other = make(code), make(code)
    other.load_state_dict(layer.state_dict())
    for part in other.walk(minnet.Parameter, Buffer).values():
        part.data.flags.writeable = False
    np.testing.assert_equal(other(*map(float32, inputs)), layer(*map(float32, inputs)))
    np.testing.assert_equal(other.state_dict(), layer.state_dict())


@every_layer_with_a_leaf
def test_backward_before_forward_is_an_error_that_names_the_layer(code, inputs):
    layer = make(code)
    with pytest.raises(RuntimeError, match="backward before forward") as caught:
        backward(layer, np.ones(3, np.float32))
    assert type(list(layer.walk(Layer).values())[-1]).__name__ in str(caught.value)


@every_layer
def test_clear_cache_leaves_none_behind(code, inputs):
    layer = make(code)
    layer(*map(float32, inputs))
    layer.clear_cache()
    assert not any("cache" in vars(part) for part in layer.walk(Layer).values())


@pytest.mark.rows("bad", [np.complex64, object, "U3"], ids=["complex", "object", "text"])
@every_layer_of_one_array
def test_input_that_is_not_real_is_a_type_error_that_names_the_layer(code, inputs, bad):
    layer = make(code)
    first, *_ = (part for part in layer.walk(Layer).values() if not isinstance(part, minnet.Sequential))
    x = np.ones(inputs[0].shape).astype(bad)
    with pytest.raises(TypeError, match=r"expected (real numbers|integer ids)") as caught:
        layer(x, *inputs[1:])
    assert type(first).__name__ in str(caught.value)


@every_layer_of_one_array
def test_several_arrays_of_equal_shapes_are_not_stacked_into_rows_but_refused_by_name(code, inputs):
    layer = make(code)
    first, *_ = (part for part in layer.walk(Layer).values() if not isinstance(part, minnet.Sequential))
    with pytest.raises(TypeError, match=r"got a tuple of 4 arrays") as caught:
        layer((inputs[0],) * 4, *inputs[1:])  # more than any layer takes
    assert type(first).__name__ in str(caught.value)


@every_layer_of_one_array
def test_a_mask_is_not_lost_but_refused_by_name(code, inputs):
    layer = make(code)
    first, *_ = (part for part in layer.walk(Layer).values() if not isinstance(part, minnet.Sequential))
    masked = np.ma.array(inputs[0], mask=np.arange(inputs[0].size).reshape(inputs[0].shape) == 0)
    with pytest.raises(TypeError, match=r"got a masked array") as caught:
        layer(masked, *inputs[1:])
    assert type(first).__name__ in str(caught.value)


@every_layer_of_one_array
@pytest.mark.rows("dtype", [np.float16, np.longdouble, np.uint8, np.int64, bool])
def test_input_of_another_dtype_gives_float32_but_layers_that_only_move_numbers_keep_integers(code, inputs, dtype):
    layer, of_ids = make(code), inputs[0].dtype.kind == "i"
    y = layer(inputs[0] if of_ids else inputs[0].astype(dtype), *inputs[1:])
    kept = np.dtype(dtype).kind != "f" and type(layer).__name__ in ("Flatten", "LastStep", "Reshape")
    assert isinstance(y, float) or y.dtype == (dtype if kept else np.float32)


@every_code
def test_modes_reach_every_layer(code):
    layer = make(code)
    assert layer.eval() is layer
    assert not any(part.training for part in layer.walk(Layer).values())
    assert layer.train() is layer
    assert all(part.training for part in layer.walk(Layer).values())


@every_code
def test_two_seeds_give_other_values_and_the_same_seed_the_same(code):
    drawn = []
    for seed in (1, 2, 1):
        minnet.seed(seed)
        drawn.append(eval(code, vars(minnet)).state_dict())
    np.testing.assert_equal(drawn[0], drawn[2])
    random = [name for name, array in drawn[0].items() if np.unique(array).size > 1]
    assert not any(np.array_equal(drawn[0][name], drawn[1][name]) for name in random)
