import copy
import pickle
import re

import numpy as np
import pytest

from minnet import (
    BatchNorm,
    Concatenate,
    Dropout,
    Flatten,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    Loss,
    MeanSquaredError,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    check_layer,
)


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype)
    array.flags.writeable = False
    return array


def classifier(*front):
    return Sequential(*front, Linear(4, 5, rng=0), ReLU(), Linear(5, 3, rng=1), SoftmaxCrossEntropy()).astype(
        np.float64
    )


def batch(n=6):
    rng = np.random.default_rng(7)
    return frozen(rng.normal(size=(n, 4))), frozen(rng.integers(0, 3, n), np.int64)


class Double(Layer):
    """A layer of a user's, without parameters."""

    def forward(self, x):
        self.cache = ()
        return 2 * x

    def backward(self, dy):
        return 2 * dy


class NeverBackward(Double):
    def backward(self, dy):
        raise AssertionError("nobody needs this gradient")


class Wrapper(Layer):
    """A container of a user's."""

    def __init__(self, inner):
        self.inner = [inner]

    def forward(self, x):
        return self.inner[0](x)

    def backward(self, dy):
        return self.inner[0].backward(dy)


class Raises(Layer):
    def __init__(self, error):
        self.error = error

    def forward(self, x):
        raise self.error


class Misshapes(Double):
    def backward(self, dy):
        return np.zeros((7, 7, 7))


class NegativeLogLikelihood(Loss):
    """A loss of a user's."""

    def forward(self, y, target=None, sample_weight=None):
        if target is None:
            return y
        self.cache = y, target
        return float(-y[np.arange(len(y)), target].mean())

    def backward(self, dloss=1.0):
        y, target = self.cache
        dy = np.zeros_like(y)
        dy[np.arange(len(y)), target] = -dloss / len(y)
        return dy


class OnlyShape:
    """Stands in for an array whose values must not be read."""

    def __init__(self, array):
        self.shape, self.dtype, self.ndim, self.size = array.shape, array.dtype, array.ndim, array.size

    def __len__(self):
        return self.shape[0]


def test_layers_run_one_after_the_other_and_backward_in_reverse():
    first, second = Linear(2, 2, bias=False), Linear(2, 1, bias=False)
    model = Sequential(first, Double(), second).astype(np.float64)
    model.load_state_dict({"0.W": [[1, 2], [3, 4]], "2.W": [[5], [6]]})
    assert model(frozen([[1, -1]])).tolist() == [[-44]]
    assert model.backward(frozen([[1]])).tolist() == [[34, 78]]
    assert first.W.grad.tolist() == [[10, 12], [-10, -12]]
    assert second.W.grad.tolist() == [[-4], [-4]]


def test_an_index_gives_a_layer_and_a_slice_a_sequential_of_the_same_layers():
    layers = [Linear(2, 3), ReLU(), Linear(3, 2)]
    model = Sequential(*layers)
    assert len(model) == 3
    assert list(model) == layers
    assert model[0] is layers[0]
    assert model[-1] is layers[2]
    assert isinstance(model[1:], Sequential)
    assert list(model[1:]) == layers[1:]
    with pytest.raises(IndexError):
        model[3]


@pytest.mark.rows("kind", [list, tuple])
def test_one_list_of_layers_is_taken_too(kind):
    layers = [Linear(2, 3), ReLU()]
    assert list(Sequential(kind(layers))) == layers


def test_the_list_that_was_given_can_change_afterwards():
    layers = [Linear(2, 3), ReLU()]
    model = Sequential(layers)
    layers.append(Linear(3, 1))
    assert len(model) == 2


def test_an_empty_sequential_is_the_identity():
    x = frozen([[1, 2]])
    assert Sequential()(x) is x
    assert Sequential().backward(x) is x


def test_children_are_named_by_number():
    model = Sequential(Flatten(), Linear(2, 2), Sequential(ReLU(), Linear(2, 2)))
    assert list(model.state_dict()) == ["1.W", "1.b", "2.1.W", "2.1.b"]


def test_attributes_of_a_subclass_are_found_too():
    class Gated(Sequential):
        def __init__(self, *layers):
            super().__init__(*layers)
            self.gate = Parameter([1.0])

    assert list(Gated(Linear(1, 1, bias=False)).named_parameters()) == ["0.W", "gate"]


def test_the_repr_numbers_the_layers_and_counts_the_parameters():
    lines = repr(Sequential(Flatten(), Sequential(Linear(64, 20), ReLU()), Linear(20, 10, bias=False))).splitlines()
    assert [line.strip() for line in lines] == [
        "Sequential(",
        "0: Flatten()",
        "1: Sequential(",
        "0: Linear(64, 20)",
        "1: ReLU()",
        ")  1,300 parameters",
        "2: Linear(20, 10, bias=False)",
        ")  1,500 parameters",
    ]


def test_a_shared_parameter_is_counted_once_in_the_repr():
    model = Sequential(Linear(3, 3), Linear(3, 3))
    model[1].W = model[0].W
    assert repr(model).endswith("15 parameters")


@pytest.mark.rows("thing", [None, 3, np.tanh, "relu"])
def test_what_is_no_layer_is_refused(thing):
    with pytest.raises(TypeError, match=r"layer 1 is .* expected a Layer"):
        Sequential(ReLU(), thing)


def test_a_class_in_place_of_a_layer_is_refused_with_advice():
    with pytest.raises(TypeError, match=r"layer 1 is .*write ReLU\(\.\.\.\)"):
        Sequential(Linear(2, 2), ReLU)


@pytest.mark.rows(
    "build",
    [
        lambda a: Sequential(a, a),
        lambda a: Sequential(a, ReLU(), a),
        lambda a: Sequential(a, Sequential(ReLU(), a)),
        lambda a: Sequential(Sequential(a), Sequential(a)),
        lambda a: Sequential(a, Wrapper(a)),
        lambda a: Sequential(Wrapper(a), Wrapper(Sequential(Double(), a))),
        lambda a: Sequential([a, a]),
    ],
)
@pytest.mark.rows("layer", [Linear(2, 2), Double()], ids=repr)
def test_one_layer_object_in_two_places_is_refused_with_advice(build, layer):
    with pytest.raises(ValueError, match=re.escape(repr(layer)) + r" .*layer 0.*layer \d.*share the Parameter"):
        build(layer)


@pytest.mark.rows(
    "build",
    [
        lambda: Sequential(SoftmaxCrossEntropy(), Linear(2, 2)),
        lambda: Sequential(MeanSquaredError(), MeanSquaredError()),
        lambda: Sequential(Sequential(Linear(2, 2), MeanSquaredError()), ReLU()),
        lambda: Sequential(Sequential(Sequential(NegativeLogLikelihood())), Sequential()),
    ],
)
def test_a_loss_that_is_not_last_is_refused(build):
    with pytest.raises(ValueError, match="is layer 0 of 2, a loss can only be the last"):
        build()


@pytest.mark.rows(
    "build",
    [
        lambda: Sequential(Linear(2, 2), Softmax(), SoftmaxCrossEntropy()),
        lambda: Sequential(Linear(2, 2), Sequential(ReLU(), Softmax()), SoftmaxCrossEntropy()),
        lambda: Sequential(Softmax(), Sequential(SoftmaxCrossEntropy())),
        lambda: Sequential(
            Sequential(Sequential(Softmax())), Sequential(), Sequential(Sequential(SoftmaxCrossEntropy()))
        ),
        lambda: Sequential(Sequential(Linear(2, 2), Softmax()), SoftmaxCrossEntropy([1, 2])),
    ],
)
def test_a_softmax_in_front_of_a_loss_that_contains_one_is_refused(build):
    with pytest.raises(ValueError, match=r"Softmax\(\) in front of SoftmaxCrossEntropy\(.*leave it out"):
        build()


def test_a_softmax_elsewhere_is_allowed():
    Sequential(Softmax(), Linear(2, 2), SoftmaxCrossEntropy())
    Sequential(Linear(2, 2), Softmax(), MeanSquaredError())
    Sequential(Linear(2, 2), LogSoftmax(), NegativeLogLikelihood())


def test_a_users_loss_that_takes_scores_is_kept_from_a_softmax():
    class Own(NegativeLogLikelihood):
        takes_scores = True

    with pytest.raises(ValueError, match=r"Softmax\(\) in front of Own\(\)"):
        Sequential(Softmax(), Own())


def test_a_target_without_a_loss_is_refused():
    with pytest.raises(ValueError, match="does not end in a loss"):
        Sequential(Linear(2, 2))(np.ones((1, 2)), [0])


def test_backward_without_dy_needs_a_loss():
    model = Sequential(Linear(2, 2))
    model(np.ones((1, 2)))
    with pytest.raises(TypeError, match="backward needs dy"):
        model.backward()


def test_a_model_gives_the_loss_with_a_target_and_the_prediction_without():
    model, (x, y) = classifier(), batch()
    loss = model(x, y)
    assert type(loss) is float
    prediction = model(x)
    assert prediction.shape == (6, 3)
    assert np.allclose(prediction.sum(axis=1), 1)
    assert loss == pytest.approx(-np.log(prediction[np.arange(6), y]).mean(), rel=1e-12)


def test_the_gradients_of_a_model_agree_with_differences():
    model, (x, y), h = classifier(), batch(), 1e-6
    weights = [1, 2, 0.5, 1, 0, 3]
    model(x, y, weights)
    dx = model.backward(input_gradient=True)
    x = x.copy()
    for array, gradient in [(x, dx), *((p.data, p.grad) for p in model.parameters())]:
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + h
            above = model(x, y, sample_weight=weights)
            array[index] = kept - h
            below = model(x, y, sample_weight=weights)
            array[index] = kept
            assert gradient[index] == pytest.approx((above - below) / (2 * h), rel=1e-5, abs=1e-8)


def test_a_loss_on_its_own_gives_the_same_gradients_as_one_in_the_model():
    (x, y), whole, body, loss = batch(), classifier(), classifier()[:-1], SoftmaxCrossEntropy()
    assert whole(x, y) == loss(body(x), y)
    dx = body.backward(loss.backward())
    assert np.array_equal(whole.backward(input_gradient=True), dx)
    for a, b in zip(whole.parameters(), body.parameters()):
        assert np.array_equal(a.grad, b.grad)


def test_sample_weights_reach_the_loss():
    model, (x, y) = classifier(), batch()
    kept = [0, 2, 5]
    assert model(x, y, [1, 0, 1, 0, 0, 1]) == pytest.approx(model(x[kept], y[kept]), rel=1e-12)
    assert model(x, y, sample_weight=[1, 2, 0.5, 1, 0, 3]) != pytest.approx(model(x, y), rel=1e-3)


def test_backward_of_a_model_takes_the_factor_of_the_loss():
    (x, y), once, thrice = batch(), classifier(), classifier()
    once(x, y), thrice(x, y)
    once.backward(), thrice.backward(3.0)
    for a, b in zip(once.parameters(), thrice.parameters()):
        assert np.allclose(3 * a.grad, b.grad, rtol=1e-12, atol=1e-15)


def test_backward_twice_doubles_every_gradient():
    model, (x, y) = classifier(), batch()
    model(x, y)
    model.backward()
    once = [p.grad.copy() for p in model.parameters()]
    model.backward()
    assert all(np.array_equal(p.grad, 2 * grad) for p, grad in zip(model.parameters(), once))
    assert all(grad.any() for grad in once)


def test_the_second_training_step_is_right():
    model, (x, y) = classifier(), batch()
    x2, y2 = 0.5 * x[:4] + 1, (y[:4] + 1) % 3
    model(x, y)
    model.backward()
    for p in model.parameters():
        p.data -= 0.5 * p.grad
        p.grad[...] = 0
    fresh = classifier()
    fresh.load_state_dict(model.state_dict())
    assert model(x2, y2) == fresh(x2, y2)
    model.backward(), fresh.backward()
    assert all(np.array_equal(a.grad, b.grad) for a, b in zip(model.parameters(), fresh.parameters()))


def test_the_gradient_does_not_grow_with_the_batch():
    (x, y), once, twice = batch(), classifier(), classifier()
    assert once(x, y) == pytest.approx(twice(np.concatenate([x, x]), np.concatenate([y, y])), rel=1e-12)
    once.backward(), twice.backward()
    for a, b in zip(once.parameters(), twice.parameters()):
        assert np.allclose(a.grad, b.grad, rtol=1e-10, atol=1e-14)


def test_training_in_float32_stays_in_float32():
    model, (x, y) = classifier().astype(np.float32), batch()
    model(x.astype(np.float32), y)
    assert model.backward(input_gradient=True).dtype == np.float32
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(np.float32)}
    assert model(x.astype(np.float32)).dtype == np.float32


def test_a_nested_sequential_that_ends_in_a_loss_is_the_tail_of_a_model():
    (x, y), flat = batch(), classifier()
    nested = Sequential(Linear(4, 5), Sequential(ReLU(), Sequential(Linear(5, 3), SoftmaxCrossEntropy()))).astype(
        np.float64
    )
    nested.load_state_dict(dict(zip(nested.state_dict(), flat.state_dict().values())))
    weights = np.arange(6.0)
    assert nested.is_loss
    assert nested(x, y, weights) == flat(x, y, weights)
    assert np.array_equal(nested.backward(input_gradient=True), flat.backward(input_gradient=True))
    assert nested(x, y) == flat(x, y)
    assert nested.backward() is None
    flat.backward()
    assert all(np.array_equal(a.grad, b.grad) and a.grad.any() for a, b in zip(nested.parameters(), flat.parameters()))
    assert np.array_equal(nested(x), flat(x))
    nested(x, y), flat(x, y)
    assert nested.count_correct() == flat.count_correct()


def test_a_users_loss_ends_a_model():
    (x, y), own, built_in = batch(), Sequential(*classifier()[:-1], LogSoftmax(), NegativeLogLikelihood()), classifier()
    assert own(x, y) == pytest.approx(built_in(x, y), rel=1e-12)
    assert own.backward() is None
    built_in.backward()
    assert all(
        np.allclose(a.grad, b.grad, rtol=1e-10, atol=1e-15) for a, b in zip(own.parameters(), built_in.parameters())
    )


def test_backward_of_a_model_returns_no_gradient_of_the_data_unless_asked():
    model, (x, y) = classifier(), batch()
    model(x, y)
    assert model.backward() is None
    assert model.backward(input_gradient=True).shape == x.shape


def test_backward_of_a_part_returns_dx_unless_told_not_to():
    body, (x, _) = classifier()[:-1], batch()
    body(x)
    dy = np.ones((6, 3))
    assert body.backward(dy).shape == x.shape
    assert body.backward(dy, input_gradient=False) is None


@pytest.mark.rows("front", [0, 1, 2])
def test_the_gradient_of_the_data_is_not_even_computed(front, same_sums):
    fronts = [lambda: (), lambda: (Double(), Flatten()), lambda: (Sequential(Double(), Sequential(Double())),)]
    model, plain, (x, y) = classifier(*fronts[front]()), classifier(*fronts[front]()), batch()
    model(x, y), plain(x, y)
    plain.backward(input_gradient=True)
    # The values of the first weights serve the gradient of the data alone: without them, training must still work.
    weight = model.parameters()[0]
    weight.data = OnlyShape(weight.data)
    assert model.backward() is None
    same_sums([p.grad for p in model.parameters()], [p.grad for p in plain.parameters()])
    assert all(p.grad.any() for p in model.parameters())
    with pytest.raises((AttributeError, TypeError)):
        model.backward(input_gradient=True)


def test_the_gradient_of_the_data_is_not_computed_in_a_nested_first_block_either():
    block = Sequential(NeverBackward(), Linear(4, 5), ReLU())
    model, (x, y) = Sequential(NeverBackward(), block, Linear(5, 3), SoftmaxCrossEntropy()).astype(np.float64), batch()
    model(x, y)
    weight = block[1].W
    weight.data = OnlyShape(weight.data)
    assert model.backward() is None
    assert weight.grad.any()


def test_layers_in_front_of_the_first_parameter_do_not_run_backward():
    model, (x, y) = classifier(NeverBackward(), Flatten()), batch()
    model(x, y)
    assert model.backward() is None
    with pytest.raises(AssertionError, match="nobody needs this gradient"):
        model.backward(input_gradient=True)


def test_a_parameter_that_is_assigned_after_construction_is_trained_too():
    class Shift(Layer):
        def forward(self, x):
            self.cache = ()
            return x + self.shift.data

        def backward(self, dy):
            self.shift.grad += dy.sum(axis=0)
            return dy

    shift, (x, y) = Shift(), batch()
    model = Sequential(shift, Linear(4, 3, rng=0), SoftmaxCrossEntropy())
    shift.shift = Parameter(np.zeros(4))
    assert model.parameters()[0] is shift.shift
    model(x, y)
    model.backward()
    assert shift.shift.grad.any()


def test_later_layers_still_get_their_gradient():
    seen = []

    class Watch(Double):
        def backward(self, dy):
            seen.append((self.input_gradient, dy.shape))
            return 2 * dy

    class Trained(Watch):
        def __init__(self):
            self.w = Parameter([1.0])

    model, (x, y) = Sequential(Trained(), Watch(), Linear(4, 3), SoftmaxCrossEntropy()), batch()
    model(x, y)
    model.backward()
    assert seen == [(True, (6, 4)), (False, (6, 4))]
    assert model[0].input_gradient


def test_a_layer_that_fails_in_backward_is_asked_for_dx_again_afterwards():
    model, (x, y) = classifier(), batch()
    model(x, y)
    model[0].clear_cache()
    with pytest.raises(RuntimeError):
        model.backward()
    assert model[0].input_gradient
    model(x, y)
    assert model.backward(input_gradient=True) is not None


def test_a_model_without_parameters_still_gives_the_gradient_of_its_input():
    model = Sequential(Double(), MeanSquaredError())
    assert model(frozen([[1, 2]]), [[1, 1]]) == 5
    assert model.backward() is None
    # y = 2 x, loss = Σ (y − 1)² / 2.
    assert model.backward(input_gradient=True).tolist() == [[2, 6]]


def message_of(kind, call):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_an_error_in_forward_names_index_layer_shape_and_producer():
    model = Sequential(Flatten(), Linear(12, 5), ReLU(), Linear(4, 3))
    message = message_of(ValueError, lambda: model(np.ones((2, 3, 4))))
    for part in ["layer 3, Linear(4, 3)", "given shape (2, 5)", "by layer 2, ReLU()", "expected x of shape (..., 4)"]:
        assert part in message
    assert message.count("Linear(4, 3)") == 1


def test_an_error_in_the_first_layer_names_the_input():
    message = message_of(ValueError, lambda: Sequential(Linear(64, 10), ReLU())(np.ones((2, 8, 8))))
    for part in ["layer 0, Linear(64, 10)", "given shape (2, 8, 8)", "by the input", "put a Flatten() before it"]:
        assert part in message


def test_an_error_in_a_nested_sequential_names_both_places():
    model = Sequential(Flatten(), Sequential(ReLU(), Linear(5, 2)), ReLU())
    message = message_of(ValueError, lambda: model(np.ones((2, 4))))
    outer, inner = "layer 1, Sequential(...), given shape (2, 4) by layer 0, Flatten()", "layer 1, Linear(5, 2)"
    assert message.startswith(outer)
    assert inner in message
    assert "by layer 0, ReLU()" in message
    assert "\n" not in message


def test_an_error_about_the_target_names_the_loss():
    model, (x, _) = classifier(), batch()
    message = message_of(ValueError, lambda: model(x, np.full(6, 3)))
    for part in [
        "layer 3, SoftmaxCrossEntropy()",
        "given shape (6, 3) by layer 2, Linear(5",
        "label 3",
        "classes 0 to 2",
    ]:
        assert part in message


@pytest.mark.rows("error", [KeyError("lost"), TypeError("no"), ZeroDivisionError("by zero")], ids=repr)
def test_an_error_in_a_users_layer_keeps_its_kind_and_is_located(error):
    message = message_of(type(error), lambda: Sequential(ReLU(), Raises(error))(np.ones((2, 3))))
    assert "layer 1, Raises(" in message
    assert "given shape (2, 3) by layer 0, ReLU()" in message
    assert str(error.args[0]).split(": ")[-1] in message


def test_an_error_without_a_text_is_located_in_a_note():
    with pytest.raises(OSError) as caught:
        Sequential(ReLU(), Raises(OSError(5, "disk")))(np.ones((2, 3)))
    assert "layer 1, Raises(" in caught.value.__notes__[0]


def test_an_error_in_backward_names_index_layer_and_shape():
    model = Sequential(Linear(3, 4), Linear(4, 5))
    model(np.ones((2, 3)))
    message = message_of(ValueError, lambda: model.backward(np.ones((2, 7))))
    for part in ["layer 1, Linear(4, 5)", "given shape (2, 7)"]:
        assert part in message


def test_an_error_in_backward_names_the_layer_that_produced_the_gradient():
    model = Sequential(Linear(3, 4), Misshapes(), ReLU())
    model(np.ones((2, 3)))
    message = message_of(ValueError, lambda: model.backward(np.ones((2, 4))))
    for part in ["layer 0, Linear(3, 4)", "given shape (7, 7, 7)", "by layer 1, Misshapes()"]:
        assert part in message


def test_backward_before_forward_names_the_layer_by_index():
    message = message_of(RuntimeError, lambda: classifier().backward())
    assert "layer 3, SoftmaxCrossEntropy()" in message
    assert "backward before forward" in message
    with pytest.raises(RuntimeError, match=r"layer 1, ReLU.*backward before forward"):
        Sequential(Linear(2, 2), ReLU()).backward(np.ones((1, 2)))


def test_backward_before_forward_is_an_error_without_parameters_too():
    with pytest.raises(RuntimeError, match="backward before forward"):
        Sequential(Double(), SoftmaxCrossEntropy()).backward()


def test_after_a_prediction_there_is_no_loss_to_differentiate():
    model, (x, y) = classifier(), batch()
    model(x, y)
    model(x)
    with pytest.raises(RuntimeError, match=r"SoftmaxCrossEntropy\(\).*backward before forward"):
        model.backward()
    assert not any(p.grad.any() for p in model.parameters())


def test_after_an_error_no_cache_of_an_earlier_pass_is_left():
    model, (x, y) = classifier(), batch()
    for bad in [(x, y[:4]), (x[:, :3], y), (x, y + 1)]:
        model(x, y)
        with pytest.raises(ValueError):
            model(*bad)
        assert not any(hasattr(layer, "cache") for layer in model)
        with pytest.raises(RuntimeError, match="backward before forward"):
            model.backward()
    assert not any(p.grad.any() for p in model.parameters())


def test_clear_cache_reaches_nested_layers():
    inner, (x, _) = Linear(4, 4), batch()
    model = Sequential(Sequential(inner), ReLU())
    model(x)
    assert hasattr(inner, "cache")
    model.clear_cache()
    assert not hasattr(inner, "cache")
    assert not hasattr(model[1], "cache")


def test_modes_reach_nested_layers():
    model = Sequential(Sequential(ReLU()), Wrapper(ReLU()))
    assert not any(layer.training for layer in model.eval().walk(Layer).values())
    assert all(layer.training for layer in model.train().walk(Layer).values())


def weighted(inputs, outputs, weights):
    layer = Linear(inputs, outputs, bias=False).astype(np.float64)
    layer.load_state_dict({"W": weights})
    return layer


def test_residual_adds_its_input_to_what_its_layers_make_of_it():
    layer = Residual(weighted(2, 2, [[1, 2], [3, 4]]), Double())
    # x W = (−2, −2), doubled, plus x; and back, 2 dy Wᵀ + dy.
    assert layer(frozen([[1, -1]])).tolist() == [[-3, -5]]
    assert layer.backward(frozen([[1, 10]])).tolist() == [[42 + 1, 86 + 10]]
    assert layer.parameters()[0].grad.tolist() == [[2, 20], [-2, -20]]


def test_an_empty_residual_doubles():
    layer = Residual()
    assert layer(frozen([[1, 2]])).tolist() == [[2, 4]]
    assert layer.backward(frozen([[3, 4]])).tolist() == [[6, 8]]


def test_residual_takes_one_list_of_layers_too():
    layers = [Linear(3, 3), ReLU()]
    assert list(Residual(layers).layers) == layers


@pytest.mark.rows(
    ("build", "shape"),
    [
        (lambda: Residual(Linear(4, 4, rng=0), Tanh()), (4,)),
        (lambda: Residual(LayerNorm(3), Linear(3, 3, rng=0)), (2, 1, 2, 3)),
        (lambda: Residual(Linear(3, 3, rng=0), BatchNorm(3), Dropout(0.4, rng=0)), (4, 3)),
        (lambda: Residual(Residual(Linear(3, 3, rng=0)), Tanh()), (2, 3)),
        (lambda: Residual(), (2, 3)),
        (lambda: Sequential(Linear(3, 5, rng=0), Residual(Tanh(), Linear(5, 5, rng=1)), Linear(5, 2, rng=2)), (4, 3)),
        (lambda: Concatenate(Linear(4, 3, rng=0), Linear(4, 1, rng=1)), (4,)),
        (lambda: Concatenate(Tanh(), Sequential(Linear(3, 2, rng=0), Sigmoid()), Sequential()), (2, 1, 2, 3)),
        (lambda: Concatenate(BatchNorm(3), Dropout(0.4, rng=0), ReLU()), (4, 3)),
        (lambda: Concatenate(Concatenate(Linear(3, 2, rng=0), Tanh()), Residual(Linear(3, 3, rng=1))), (2, 3)),
        (lambda: Sequential(Concatenate(Linear(3, 5, rng=0), Tanh()), Linear(8, 2, rng=1)), (4, 3)),
    ],
)
def test_residual_and_concatenate_keep_the_contract(build, shape):
    check_layer(build(), np.random.default_rng(0).normal(size=shape))


def test_the_layers_of_a_residual_must_keep_the_shape():
    with pytest.raises(ValueError, match=r"Residual\(.*keep the shape \(2, 3\), got \(2, 4\)"):
        Residual(Linear(3, 4))(np.ones((2, 3)))


@pytest.mark.rows("front", [Linear(3, 1), LastStep(), Flatten()], ids=repr)
def test_shapes_that_would_only_broadcast_are_refused_too(front):
    with pytest.raises(ValueError, match="keep the shape"):
        Residual(front)(np.ones((1, 1, 3)))


@pytest.mark.rows("given", [np.uint8, np.int64, np.float32, np.float64])
def test_residual_computes_in_the_dtype_of_its_layers(given):
    layer = Residual(Linear(2, 2, rng=0))
    x = frozen([[1, 2], [3, 4]], given)
    y = layer(x)
    assert y.dtype == np.float32
    assert np.allclose(y, x + layer.layers[0](x), rtol=1e-6)
    assert layer.backward(frozen([[1, 0], [0, 1]], np.float32)).dtype == np.float32
    assert layer.layers[0].W.grad.dtype == np.float32
    assert layer.layers[0].W.grad.tolist() == [[1, 3], [2, 4]]


def test_residual_takes_a_list():
    assert Residual(weighted(2, 2, [[1, 0], [0, 1]]))([[1, 2]]).tolist() == [[2, 4]]


every_wrapping = pytest.mark.rows("kind", [Residual, Concatenate])


@every_wrapping
@pytest.mark.rows("thing", [None, 3, "relu", np.tanh])
def test_what_is_no_layer_is_refused_inside_too(kind, thing):
    with pytest.raises(TypeError, match=r"layer 1 is .* expected a Layer"):
        kind(ReLU(), thing)


@every_wrapping
def test_a_class_in_place_of_a_layer_is_refused_inside_too(kind):
    with pytest.raises(TypeError, match=r"write ReLU\(\.\.\.\)"):
        kind(ReLU)


@every_wrapping
@pytest.mark.rows(
    "build",
    [
        lambda: [MeanSquaredError()],
        lambda: [Linear(2, 2), SoftmaxCrossEntropy()],
        lambda: [SoftmaxCrossEntropy(), Linear(2, 2)],
        lambda: [Sequential(Linear(2, 2), MeanSquaredError())],
        lambda: [Linear(2, 2), Sequential(Sequential(NegativeLogLikelihood()))],
    ],
)
def test_a_loss_inside_is_refused(kind, build):
    with pytest.raises(ValueError, match=r"loss|expected branches that give arrays"):
        kind(*build())


@pytest.mark.rows(
    "build",
    [
        lambda a: Residual(a, a),
        lambda a: Residual(a, Residual(ReLU(), a)),
        lambda a: Residual([a, ReLU(), a]),
        lambda a: Concatenate(a, a),
        lambda a: Concatenate(a, Sequential(ReLU(), a)),
        lambda a: Concatenate(Residual(a), Wrapper(a)),
        lambda a: Sequential(a, Residual(a)),
        lambda a: Sequential(Concatenate(a, ReLU()), Residual(Linear(2, 2), a)),
    ],
)
@pytest.mark.rows("layer", [Linear(2, 2), Double()], ids=repr)
def test_one_layer_object_in_two_places_is_refused_inside_too(build, layer):
    with pytest.raises(ValueError, match=re.escape(repr(layer)) + r" .*layer 0.*layer \d.*share the Parameter"):
        build(layer)


def test_what_is_inside_has_nested_names():
    model = Sequential(
        Concatenate(Linear(4, 3), Linear(4, 3)),
        ReLU(),
        Residual(Linear(6, 6, bias=False), BatchNorm(6), Residual(LayerNorm(6))),
    )
    assert list(model.state_dict()) == [
        "0.branches.0.W",
        "0.branches.0.b",
        "0.branches.1.W",
        "0.branches.1.b",
        "2.layers.0.W",
        "2.layers.1.gamma",
        "2.layers.1.beta",
        "2.layers.1.running_mean",
        "2.layers.1.running_var",
        "2.layers.2.layers.0.gamma",
        "2.layers.2.layers.0.beta",
    ]
    assert model.named_parameters()["2.layers.1.gamma"] is model[2].layers[1].gamma
    assert model.named_parameters()["0.branches.1.W"] is model[0].branches[1].W


def test_the_state_of_what_is_inside_survives_a_round_trip():
    def build(rng):
        return Sequential(Concatenate(Linear(3, 2, rng=rng), ReLU()), Residual(Linear(5, 5, rng=rng), BatchNorm(5)))

    model, other, (x, _) = build(0), build(1), batch()
    model(x[:, :3])
    other.load_state_dict(model.state_dict())
    assert np.array_equal(other.eval()(x[:, :3]), model.eval()(x[:, :3]))


@every_wrapping
def test_the_repr_evaluates_back(kind):
    layer = kind(Linear(3, 3), ReLU())
    assert repr(layer) == f"{kind.__name__}(Linear(3, 3), ReLU())"
    assert repr(eval(repr(layer))) == repr(layer)


@every_wrapping
def test_modes_caches_and_dtypes_reach_what_is_inside(kind):
    layer = kind(Linear(3, 3), Sequential(BatchNorm(3)), Dropout(0.5))
    leaves = [inner for inner in layer.walk(Layer).values() if isinstance(inner, (Linear, BatchNorm, Dropout))]
    assert len(leaves) == 3
    assert not any(inner.training for inner in layer.eval().walk(Layer).values())
    assert all(inner.training for inner in layer.train().walk(Layer).values())
    assert layer.astype(np.float64)(np.ones((2, 3))).dtype == np.float64
    assert all(hasattr(inner, "cache") for inner in leaves)
    layer.clear_cache()
    assert not any(hasattr(inner, "cache") for inner in layer.walk(Layer).values())
    assert len(layer.walk(np.random.Generator)) == 1


@every_wrapping
def test_the_second_step_may_have_another_batch(kind):
    layer, fresh = (kind(Linear(3, 3, rng=0), Tanh()).astype(np.float64) for _ in range(2))
    rng = np.random.default_rng(5)
    y = layer(rng.normal(size=(4, 3)))
    layer.backward(rng.normal(size=y.shape))
    for p in layer.parameters():
        p.data -= 0.1 * p.grad
    layer.zero_grad()
    fresh.load_state_dict(layer.state_dict())
    x = rng.normal(size=(2, 5, 3))
    y, expected = layer(x), fresh(x)
    assert np.array_equal(y, expected)
    dy = rng.normal(size=y.shape)
    assert np.array_equal(layer.backward(dy), fresh.backward(dy))
    assert all(np.array_equal(a.grad, b.grad) and a.grad.any() for a, b in zip(layer.parameters(), fresh.parameters()))


@every_wrapping
def test_backward_before_forward_is_an_error_inside_too(kind):
    with pytest.raises(RuntimeError, match="backward before forward"):
        kind(Linear(3, 3)).backward(np.ones((2, 3)))


def test_an_error_inside_names_the_whole_way_there():
    model = Sequential(ReLU(), Residual(Linear(4, 5), ReLU(), Linear(3, 4)))
    message = message_of(ValueError, lambda: model(np.ones((2, 4))))
    parts = [
        "layer 1, Residual(Linear(4, 5), ReLU(), Linear(3, 4)), given shape (2, 4)",
        "layer 2, Linear(3, 4), given shape (2, 5) by layer 1, ReLU()",
        "expected x of shape (..., 3)",
    ]
    assert all(part in message for part in parts)
    model = Sequential(ReLU(), Concatenate(Linear(4, 5), Linear(3, 4)))
    message = message_of(ValueError, lambda: model(np.ones((2, 4))))
    parts = ["layer 1, Concatenate(Linear(4, 5), Linear(3, 4))", "Linear(3, 4): expected x of shape (..., 3)"]
    assert all(part in message for part in parts)


def test_after_an_error_no_cache_is_left_inside():
    for model in (Residual(Linear(4, 5), Linear(3, 4)), Concatenate(Linear(4, 2), Linear(3, 4))):
        with pytest.raises(ValueError):
            model(np.ones((2, 4)))
        assert not any(hasattr(layer, "cache") for layer in model.walk(Layer).values())


def firsts():
    """Blocks that map 4 features to 4, and their layers that see the data; all in float64."""
    a, b = Linear(4, 4, rng=0), Linear(4, 4, rng=1)
    yield Residual(a, Tanh()), [a]
    a, b = Linear(4, 1, rng=0), Linear(4, 3, rng=1)
    yield Concatenate(a, b), [a, b]
    a, b = Linear(4, 1, rng=0), Linear(4, 3, rng=1)
    yield Concatenate(Sequential(a, Tanh()), Residual(Sequential(), Double(), Double())), [a]
    a, b = Linear(4, 3, rng=0), Linear(4, 1, rng=1)
    yield Sequential(Residual(Concatenate(Sequential(b), a), Tanh()), Tanh()), [a, b]
    a, b = Linear(4, 4, rng=0), Linear(4, 4, rng=1)
    yield Residual(Residual(Residual(a), Tanh()), b), [a]


@pytest.mark.rows("case", range(5))
def test_a_first_residual_or_concatenate_computes_no_gradient_of_the_data(case, same_sums):
    (block, _), (twin, seeing) = list(firsts())[case], list(firsts())[case]
    (x, y), width = batch(), block(np.ones((1, 4))).shape[-1]
    model = Sequential(block, Linear(width, 3, rng=2), SoftmaxCrossEntropy()).astype(np.float64)
    other = Sequential(twin, Linear(width, 3, rng=2), SoftmaxCrossEntropy()).astype(np.float64)
    assert model(x, y) == other(x, y)
    assert model.backward(input_gradient=True).shape == x.shape
    # The values of the first weights serve the gradient of the data alone: without them, training must still work.
    for layer in seeing:
        layer.W.data = OnlyShape(layer.W.data)
    assert other.backward() is None
    same_sums([p.grad for p in other.parameters()], [p.grad for p in model.parameters()])
    assert all(p.grad.any() for p in other.parameters())
    with pytest.raises((AttributeError, TypeError)):
        other.backward(input_gradient=True)
    assert all(layer.input_gradient for layer in other.walk(Layer).values())


@pytest.mark.rows("kind", [Residual, lambda *layers: Concatenate(Sequential(*layers))])
def test_layers_inside_in_front_of_the_first_parameter_do_not_run_backward(kind):
    model, (x, y) = Sequential(kind(NeverBackward(), Linear(4, 4)), Linear(4, 3), SoftmaxCrossEntropy()), batch()
    model(x, y)
    assert model.backward() is None
    assert all(p.grad.any() for p in model.parameters())


@every_wrapping
def test_a_later_residual_or_concatenate_hands_its_gradient_on(kind):
    model, (x, y) = Sequential(Linear(4, 4), kind(Linear(4, 4)), Linear(4, 3), SoftmaxCrossEntropy()), batch()
    model(x, y)
    model.backward()
    assert all(p.grad.any() for p in model.parameters())


def test_a_prediction_forgets_the_loss_before_it():
    class Mean(Loss):
        def forward(self, y, target=None):
            if target is None:
                return y
            self.cache = y, target
            return float((y - target).mean())

        def backward(self, dloss=1.0):
            y, _ = self.cache
            return np.full_like(y, dloss / y.size)

    model = Sequential(Linear(3, 2), Mean())
    x = np.ones((4, 3), np.float32)
    model(x, np.zeros((4, 2)))
    model(x)
    with pytest.raises(RuntimeError, match="backward before forward"):
        model.backward()


def test_a_copy_and_a_pickle_leave_the_cache_behind():
    model = Sequential(Linear(3, 2), Softmax())
    model(np.ones((1000, 3)))
    assert len(pickle.dumps(model)) < 5000
    with pytest.raises(RuntimeError, match="backward before forward"):
        copy.deepcopy(model).backward(np.ones((1000, 2)))


def test_a_gradient_that_is_read_only_is_told_with_what_to_do():
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    x, y = np.ones((2, 2), np.float32), np.array([0, 1])
    for parameter in model.parameters():
        parameter.grad.flags.writeable = False
    model(x, y)
    with pytest.raises(ValueError, match=r"layer 0, Linear\(2, 3, rng=0\), in backward") as caught:
        model.backward()
    assert any("zero_grad()" in note for note in caught.value.__notes__)
    model.zero_grad()
    model(x, y), model.backward()
    assert model[0].W.grad.any()
