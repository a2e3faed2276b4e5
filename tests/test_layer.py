import copy
import inspect
import re

import numpy as np
import pytest

import minnet
from minnet import (
    BatchNorm,
    Buffer,
    Flatten,
    Layer,
    Linear,
    LogSoftmax,
    MeanSquaredError,
    Parameter,
    ReLU,
    Sequential,
    Softmax,
    SoftmaxCrossEntropy,
)
from minnet.layer import real_input

CONTRACT = [
    "Assign every trained array as a `Parameter` in `__init__` (no `super().__init__()` call, no registration).",
    "`forward(x)` returns `y` and keeps in `self.cache` what backward needs.",
    "`backward(dy)` **adds** to each `Parameter.grad` and returns `dx`, shaped like `x`.",
    "Neither writes into an array it was handed.",
    "Look at `self.training` if the two modes differ.",
]


class Scale(Layer):
    """y = g · x        dg = Σ dy · x        dx = g · dy"""

    def __init__(self, features):
        self.g = Parameter(np.ones(features))

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        x = self.cache
        self.g.grad += (dy * x).sum(axis=0)
        return dy * self.g.data


class Holder(Layer):
    """Whatever is given, as attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class Named(Layer):
    """Records nothing of its own; its arguments are of many kinds."""

    def __init__(self, *sizes, name="a", table=None, rng=None):
        pass


def p(*values):
    return Parameter(np.array(values))


def test_the_contract_stands_in_the_docstring_word_for_word():
    doc = " ".join(inspect.getdoc(Layer).split())
    assert [sentence for sentence in CONTRACT if sentence not in doc] == []


def test_a_buffer_is_saved_but_not_trained():
    layer = Holder(w=p(1), mean=Buffer([2.0]))
    assert list(layer.named_parameters()) == ["w"]
    assert list(layer.state_dict()) == ["w", "mean"]


def test_a_layer_needs_no_more_than_the_contract():
    layer = Scale(2)
    layer.g.data[:] = 2, 3
    x, dy = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, -1], [0.5, 2]])
    assert layer(x).tolist() == [[2, 6], [6, 12]]
    assert layer.backward(dy).tolist() == [[2, -3], [1, 6]]
    assert layer.g.grad.tolist() == [2.5, 6]
    assert repr(layer) == "Scale(2)"
    assert list(layer.named_parameters()) == ["g"]


def test_calling_the_constructor_of_layer_does_no_harm():
    class Polite(Layer):
        def __init__(self, n):
            super().__init__()
            self.w = Parameter(np.ones(n))

    assert list(Polite(3).named_parameters()) == ["w"]
    assert repr(Polite(3)) == "Polite(3)"


@pytest.mark.rows("layer", [ReLU, Softmax, LogSoftmax, Flatten, MeanSquaredError])
def test_arguments_that_a_layer_does_not_take_are_refused(layer):
    with pytest.raises(TypeError):
        layer(1)
    with pytest.raises(TypeError):
        layer(axis=1)


def test_a_layer_without_forward_or_backward_says_so():
    with pytest.raises(NotImplementedError, match=r"Holder\(\): has no forward"):
        Holder()(np.ones(2))
    with pytest.raises(NotImplementedError, match=r"Holder\(\): has no backward"):
        Holder().backward(np.ones(2))


def test_state_dict_gives_copies():
    layer = Holder(w=p(1.0), mean=Buffer([2.0]))
    for array in layer.state_dict().values():
        array[:] = 9
    assert layer.w.data[0] == 1
    assert layer.mean.data[0] == 2


def test_load_state_dict_writes_in_place_and_keeps_the_dtype():
    layer = Holder(w=p(1.0, 2.0), mean=Buffer([2.0]), steps=Buffer([3]))
    data = [layer.w.data, layer.mean.data, layer.steps.data]
    layer.load_state_dict({"steps": [6], "mean": np.array([0.5]), "w": np.array([4, 5])})
    assert [array.tolist() for array in data] == [[4, 5], [0.5], [6]]
    assert layer.w.data is data[0]
    assert [array.dtype.kind for array in data] == ["f", "f", "i"]
    assert layer.w.data.dtype == np.float32


def test_state_goes_from_one_model_to_another():
    source, target = (Sequential(Linear(3, 4, rng=i), ReLU(), Linear(4, 2, rng=i)) for i in (0, 1))
    x = np.ones((2, 3), np.float32)
    assert not np.array_equal(source(x), target(x))
    target.load_state_dict(source.state_dict())
    assert np.array_equal(source(x), target(x))


def test_load_state_dict_reports_every_problem_at_once_and_changes_nothing():
    model = Holder(a=p(1, 2), b=p(3), c=Buffer([4.0]), d=p(5), fine=p(6))
    before = {name: array.tolist() for name, array in model.state_dict().items()}
    state = {
        "a": np.ones(3),
        "c": np.array([1j]),
        "d": np.array(["x"]),
        "fine": np.array([7.0]),
        "extra": np.ones((2, 2)),
        "more": 1,
    }
    with pytest.raises(ValueError, match="nothing was loaded") as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    assert message.startswith("Holder(")
    parts = ["a has shape (3,), expected (2,)", "missing b (1,)", "c holds complex128", "d holds <U1"]
    parts += ["unexpected extra (2, 2)", "unexpected more ()"]
    assert [part for part in parts if part not in message] == []
    assert "fine" not in message.split("nothing was loaded")[1]
    assert {name: array.tolist() for name, array in model.state_dict().items()} == before


@pytest.mark.rows("value", [1.0, np.ones((1, 1)), np.ones(0)])
def test_load_state_dict_does_not_broadcast(value):
    layer = Holder(w=p(5))
    with pytest.raises(ValueError, match="w has shape"):
        layer.load_state_dict({"w": value})
    assert layer.w.data[0] == 5


def test_load_state_dict_that_is_not_strict_loads_what_fits_and_names_the_rest():
    body, head, longer = Linear(3, 4, rng=0), Linear(4, 2, rng=0), Linear(4, 5, rng=0)
    model, before = Sequential(Linear(3, 4), longer), longer.state_dict()
    kept = model[0].W.data
    state = Sequential(body, head, BatchNorm(2)).state_dict()
    del state["0.b"]
    left_out = model.load_state_dict(state, strict=False)
    assert left_out.missing == ["0.b"]
    assert left_out.unexpected == ["2.gamma", "2.beta", "2.running_mean", "2.running_var"]
    assert left_out.mismatched == ["1.W", "1.b"]
    assert model[0].W.data is kept
    np.testing.assert_array_equal(kept, body.W.data)
    np.testing.assert_equal(longer.state_dict(), before)


def test_load_state_dict_leaves_nothing_out_where_all_fits():
    model = Sequential(Linear(3, 2), BatchNorm(2))
    for strict in (True, False):
        assert not any(model.load_state_dict(Sequential(Linear(3, 2), BatchNorm(2)).state_dict(), strict=strict))


def test_load_state_dict_that_is_not_strict_refuses_a_state_of_which_nothing_fits():
    model = Sequential(Linear(3, 2, rng=0))
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"nothing was loaded: missing 0\.W .*; unexpected W \(3, 2\)"):
        model.load_state_dict(Linear(3, 2).state_dict(), strict=False)
    with pytest.raises(TypeError, match=r"Sequential\(\.\.\.\): expected strict to be True or False, got 'no'"):
        model.load_state_dict(before, strict="no")
    np.testing.assert_equal(model.state_dict(), before)


def test_load_state_dict_changes_nothing_if_a_value_is_too_large_for_the_dtype():
    layer = Holder(a=p(1), b=p(2), n=Buffer(np.array([3], np.int32)))
    for state, name in (({"b": [1e300]}, "b"), ({"b": [-1e39]}, "b"), ({"n": [2**40]}, "n")):
        # No flag of an overflow is asked for: some platforms raise none.
        with np.errstate(all="ignore"), pytest.raises(ValueError, match=f"{name} holds values that are too large"):
            layer.load_state_dict({"a": [5.0], "b": [6.0], "n": [7]} | state)
        assert [layer.a.data[0], layer.b.data[0], layer.n.data[0]] == [1, 2, 3]
    layer.load_state_dict({"a": [np.inf], "b": [np.float64(1e38)], "n": [2**31 - 1]})
    assert [layer.a.data[0], layer.b.data[0], layer.n.data[0]] == [np.inf, np.float32(1e38), 2**31 - 1]


def test_train_and_eval_reach_every_child_and_return_the_layer():
    layer = Holder(child=Holder(), items=[Holder(), {"k": (Holder(),)}])
    everyone = layer.walk(Layer).values()
    assert len(everyone) == 4
    assert all(one.training for one in everyone)
    assert layer.eval() is layer
    assert not any(one.training for one in everyone)
    assert layer.train() is layer
    assert all(one.training for one in everyone)
    layer.train(False)
    assert not any(one.training for one in everyone)
    assert Holder().training


def test_astype_changes_parameters_gradients_and_floating_buffers_in_place():
    layer = Holder(w=p(0.1), items=[Holder(w=p(0.2), mean=Buffer([0.5]), steps=Buffer([3]))])
    parameter = layer.w
    parameter.grad[:] = 4
    assert layer.astype(np.float64) is layer
    assert layer.w is parameter
    assert [q.data.dtype for q in layer.parameters()] == [q.grad.dtype for q in layer.parameters()] == [np.float64] * 2
    assert parameter.grad[0] == 4
    assert [b.data.dtype for b in layer.walk(Buffer).values()] == [np.float64, np.int64]
    layer.astype("float32")
    assert layer.w.data.dtype == np.float32
    assert layer.w.data[0] == np.float32(0.1)


@pytest.mark.rows("dtype", [int, complex, bool, object, np.float16, "e"])
def test_astype_refuses_what_is_not_computed_in(dtype):
    layer = Scale(2)
    with pytest.raises(TypeError, match=r"Scale\(2\): expected float32 or float64 to compute in"):
        layer.astype(dtype)
    assert layer.g.data.dtype == np.float32


def test_zero_grad_clears_every_gradient_in_place():
    layer = Holder(w=p(1), items=[Scale(2)])
    grads = [parameter.grad for parameter in layer.parameters()]
    for grad in grads:
        grad += 1
    layer.zero_grad()
    assert [grad.tolist() for grad in grads] == [[0], [0, 0]]


@pytest.mark.rows(
    "layer",
    [
        Linear(3, 4),
        Linear(3, out_features=4, bias=False),
        Linear(np.int64(3), 4, rng=5),
        Linear(3, 4, rng=np.random.default_rng(0)),
        ReLU(),
        Softmax(),
        LogSoftmax(),
        Flatten(),
        MeanSquaredError(),
        SoftmaxCrossEntropy(),
        SoftmaxCrossEntropy(weight=np.array([1, 2.5]), label_smoothing=0.1, ignore_index=-100),
        SoftmaxCrossEntropy([1, 2], np.float64(0.25)),
    ],
    ids=repr,
)
def test_the_repr_of_a_leaf_layer_evaluates_back(layer):
    again = eval(repr(layer), vars(minnet))
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)
    assert [(k, a.shape) for k, a in again.state_dict().items()] == [
        (k, a.shape) for k, a in layer.state_dict().items()
    ]
    public = {"weight", "label_smoothing", "ignore_index", "bias"}
    for name in public & set(vars(layer)):
        assert np.array_equal(getattr(again, name), getattr(layer, name))


def test_the_repr_asks_nothing_of_the_author_of_a_layer():
    assert repr(Named()) == "Named()"
    assert (
        repr(Named(3, (4, 5), name="b", table=np.eye(2)))
        == "Named(3, (4, 5), name='b', table=[[1.0, 0.0], [0.0, 1.0]])"
    )
    assert repr(Named(np.zeros, name=np.float32(0.5))) == "Named(zeros, name=0.5)"
    assert repr(Named(rng=np.random.default_rng())) == "Named()"


def test_copies_are_independent_and_keep_sharing_within():
    first, second = Scale(2), Scale(2)
    second.g = first.g
    model = Sequential(first, second)
    other = copy.deepcopy(model)
    assert other[0].g is other[1].g
    assert repr(other) == repr(model)
    other[0].g.data[:] = 7
    assert first.g.data.tolist() == [1, 1]


def layers_and_inputs():
    x = np.array([[1.0, -2.0, 3.0]])
    return [
        (Linear(3, 2, rng=0), (x,)),
        (ReLU(), (x,)),
        (Softmax(), (x,)),
        (LogSoftmax(), (x,)),
        (Flatten(), (x,)),
        (MeanSquaredError(), (x, 2 * x)),
        (SoftmaxCrossEntropy(), (x, [1])),
        (Scale(3), (x,)),
    ]


EVERY_LAYER = pytest.mark.rows(
    ("layer", "inputs"), [pytest.param(*pair, id=repr(pair[0])) for pair in layers_and_inputs()]
)


@EVERY_LAYER
def test_backward_before_forward_is_a_runtime_error_that_names_the_layer(layer, inputs):
    layer = copy.deepcopy(layer)
    dy = () if layer.is_loss else (np.ones((1, 3)),)
    with pytest.raises(RuntimeError, match=re.escape(f"{layer!r}: backward before forward")):
        layer.backward(*dy)
    assert not hasattr(layer, "cache")
    layer(*inputs)
    assert hasattr(layer, "cache")
    layer.clear_cache()
    with pytest.raises(RuntimeError, match=re.escape(f"{layer!r}: backward before forward")):
        layer.backward(*dy)


def test_clear_cache_reaches_every_child_and_can_be_repeated():
    model = Holder(items=[Scale(1), {"k": Scale(1)}])
    scales = [model.items[0], model.items[1]["k"]]
    for scale in scales:
        scale(np.ones((1, 1)))
    model.clear_cache()
    model.clear_cache()
    assert not any(hasattr(scale, "cache") for scale in scales)


@EVERY_LAYER
def test_a_second_backward_gives_the_same_and_doubles_the_parameters_gradients(layer, inputs):
    layer = copy.deepcopy(layer)
    y = layer(*inputs)
    dy = () if layer.is_loss else (np.linspace(-1, 2, y.size).reshape(y.shape),)
    first = np.array(layer.backward(*dy))
    once = [parameter.grad.copy() for parameter in layer.parameters()]
    assert np.array_equal(layer.backward(*dy), first)
    assert [parameter.grad.tolist() for parameter in layer.parameters()] == [(2 * grad).tolist() for grad in once]


@pytest.mark.rows(
    ("layer", "good", "bad", "dy"),
    [
        (Linear(3, 2, rng=0), (np.ones((1, 3)),), (np.ones((1, 4)),), (np.ones((1, 2)),)),
        (Softmax(), (np.ones((1, 3)),), (["a"],), (np.ones((1, 3)),)),
        (MeanSquaredError(), (np.ones((1, 3)), np.zeros((1, 3))), (np.ones((1, 3)), np.zeros((1, 2))), ()),
        (SoftmaxCrossEntropy(), (np.ones((1, 3)), [0]), (np.ones((1, 3)), [7]), ()),
    ],
    ids=["Linear", "Softmax", "MeanSquaredError", "SoftmaxCrossEntropy"],
)
def test_the_cache_of_an_earlier_pass_is_not_used_after_one_that_failed(layer, good, bad, dy):
    layer(*good)
    with pytest.raises((TypeError, ValueError)):
        layer(*bad)
    with pytest.raises(RuntimeError, match="backward before forward"):
        layer.backward(*dy)


def test_an_error_in_a_layers_forward_names_it_and_the_shape_it_was_given():
    with pytest.raises(ValueError, match=r"^Scale\(3\), given shape \(2, 4\): operands could not be broadcast"):
        Scale(3)(np.ones((2, 4)))


def test_a_layer_that_names_itself_is_not_named_twice():
    with pytest.raises(ValueError, match=r"^Linear\(3, 2\): expected x of shape \(\.\.\., 3\), got \(2, 4\)$"):
        Linear(3, 2)(np.ones((2, 4)))


@pytest.mark.rows("given", [np.float32, np.float64])
def test_floating_input_keeps_its_dtype_where_none_is_asked_for(given):
    x = np.ones((2, 3), given)
    assert real_input(ReLU(), x) is x


@pytest.mark.rows("x", [[[1, 2]], np.array([[1, 2]], np.uint8), np.array([[True, False]]), np.ones((1, 2), np.float16)])
def test_other_real_input_becomes_float32(x):
    assert real_input(ReLU(), x).dtype == np.float32


def test_input_is_cast_to_the_dtype_asked_for_without_touching_the_original():
    x = np.array([[1, 255]], np.uint8)
    assert real_input(ReLU(), x, 2, np.float64).tolist() == [[1, 255]]
    assert real_input(ReLU(), x, 2, np.float64).dtype == np.float64
    assert x.dtype == np.uint8


@pytest.mark.rows("x", [np.ones((1, 3), complex), np.array([[None] * 3]), [["a", "b", "c"]], np.ones((1, 3), "M8[s]")])
@pytest.mark.rows(
    "layer", [Linear(3, 2), ReLU(), Softmax(), LogSoftmax(), SoftmaxCrossEntropy(), MeanSquaredError()], ids=repr
)
def test_input_that_is_not_real_is_refused_by_name(layer, x):
    with pytest.raises(TypeError, match=re.escape(f"{layer!r}: expected real numbers, got an array of dtype")):
        layer(x)


@pytest.mark.rows("layer", [Linear(3, 3, rng=0), ReLU(), Softmax(), LogSoftmax(), Flatten()], ids=repr)
def test_integers_that_are_computed_with_have_the_gradient_of_the_same_real_numbers(layer):
    x = np.array([[1, 2, 3]])
    dy = np.array([[1, -1, 2]], np.float32)
    assert layer(x).shape == (1, 3)
    dx = layer.backward(dy)
    layer(x.astype(np.float32))
    assert np.array_equal(dx, layer.backward(dy))


def test_the_last_axis_is_checked_and_an_axis_is_needed():
    assert real_input(ReLU(), np.ones((2, 3, 4)), 4).shape == (2, 3, 4)
    with pytest.raises(ValueError, match=r"expected x of shape \(\.\.\., 4\), got \(2, 3\)"):
        real_input(ReLU(), np.ones((2, 3)), 4)
    with pytest.raises(ValueError, match=r"expected x of shape .* got \(\)"):
        real_input(Softmax(), np.float32(3))


def test_the_advice_to_flatten_is_given_only_where_it_helps():
    with pytest.raises(ValueError, match=r"got \(32, 8, 8\); put a Flatten\(\) before it"):
        Linear(64, 10)(np.ones((32, 8, 8)))
    with pytest.raises(ValueError, match="got") as caught:
        Linear(64, 10)(np.ones((32, 8, 9)))
    assert "Flatten" not in str(caught.value)


def test_a_read_only_buffer_is_replaced_and_nothing_is_half_loaded():
    class Both(Layer):
        def __init__(self):
            self.a, self.b = Parameter([1.0, 2.0]), Buffer([3.0, 4.0])

    layer = Both()
    layer.b.data = np.broadcast_to(np.float32(0), (2,))
    layer.load_state_dict({"a": np.array([5.0, 6.0]), "b": np.array([7.0, 8.0])})
    assert layer.a.data.tolist() == [5, 6] and layer.b.data.tolist() == [7, 8]
