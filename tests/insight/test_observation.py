import copy

import numpy as np
import pytest

from minnet import (
    Dropout,
    Layer,
    Linear,
    MeanSquaredError,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    generator,
    seed,
)
from minnet.insight.observation import Observation, own_parameters, watch_layers


class Scaled(Layer):
    """y = g x + Linear(x): a parameter of its own, and a layer inside."""

    def __init__(self, features):
        self.g = Parameter(np.ones(features))
        self.inner = Linear(features, features, rng=0)

    def forward(self, x):
        self.cache = x
        return self.g.data * x + self.inner.forward(x)

    def backward(self, dy):
        self.g.grad += (dy * self.cache).sum(axis=0)
        return self.g.data * dy + self.inner.backward(dy)


def classifier(*between):
    return Sequential(Linear(3, 4, rng=0), ReLU(), *between, Linear(4, 2, rng=1), SoftmaxCrossEntropy())


def batch(n=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n)


def observed(model, data=None):
    seen = Observation(model, *(data or batch()))
    seen.forward()
    seen.backward()
    return seen


def test_what_passes_each_layer_is_kept():
    model, (x, y) = classifier(), batch()
    seen = observed(model, (x, y))
    first, relu, second, loss = seen.called
    assert [watch.name for watch in seen.called] == ["0", "1", "2", "3"]
    assert seen.returned == [loss, second, relu, first]
    np.testing.assert_array_equal(first.x, x)
    assert loss.inputs[1] is y and isinstance(loss.y, float)
    np.testing.assert_array_equal(first.y, model[0](x))
    assert relu.x is first.y and second.x is relu.y and loss.x is second.y
    for after, before in ((relu, first), (second, relu), (loss, second)):
        np.testing.assert_array_equal(before.dy, after.dx)
    assert first.dx is None
    model(x, y)
    model.backward()
    for watch, layer in ((first, model[0]), (second, model[2])):
        for name, p in layer.named_parameters().items():
            np.testing.assert_array_equal(watch.own[name].grad, p.grad)


def test_layers_are_titled_as_errors_title_them():
    seen = observed(Sequential(Sequential(Linear(3, 2, rng=0)), SoftmaxCrossEntropy()))
    assert [watch.title for watch in seen.called] == [
        "layer 0.0, Linear(3, 2, rng=0)",
        "layer 1, SoftmaxCrossEntropy()",
    ]
    x, _ = batch()
    alone = Observation(MeanSquaredError(), x, x)
    alone.forward()
    assert [watch.title for watch in alone.called] == ["MeanSquaredError()"]


def test_a_layer_with_parameters_of_its_own_is_watched_beside_those_inside_it():
    seen = observed(Sequential(Scaled(3), SoftmaxCrossEntropy()), (batch()[0], batch()[1]))
    assert [(watch.name, list(watch.own)) for watch in seen.called] == [
        ("0.inner", ["W", "b"]),
        ("0", ["g"]),
        ("1", []),
    ]


def test_the_lists_are_those_of_the_last_pass():
    seen = observed(classifier())
    seen.forward()
    seen.backward()
    assert len(seen.called) == len(seen.returned) == 4


def test_a_second_backward_does_not_add():
    seen = observed(classifier())
    before = [p.grad.copy() for p in seen.model.parameters()]
    seen.backward()
    np.testing.assert_equal([p.grad for p in seen.model.parameters()], before)


@pytest.mark.rows("rng", [None, 3])
def test_every_pass_draws_the_same_and_the_generators_are_reset(rng):
    seed(1)
    model = classifier(Dropout(rng=rng))
    package, own = generator().bit_generator.state, model[2].rng.bit_generator.state
    seen = Observation(model, *batch())
    losses = {seen.forward() for _ in range(5)}
    assert len(losses) == 1
    assert generator().bit_generator.state == package
    assert model[2].rng.bit_generator.state == own


def test_the_generator_of_the_package_is_reset_too():
    class Noise(Layer):
        def forward(self, x):
            return x + generator().normal(size=x.shape)

        def backward(self, dy):
            return dy

    seed(1)
    before = generator().bit_generator.state
    seen = Observation(classifier(Noise()), *batch())
    assert seen.forward() == seen.forward()
    assert generator().bit_generator.state == before


def test_the_generators_are_reset_after_an_exception():
    class Fails(Layer):
        def forward(self, x):
            generator().normal()
            raise KeyboardInterrupt

    before = generator().bit_generator.state
    with pytest.raises(KeyboardInterrupt):
        Observation(classifier(Fails()), *batch()).forward()
    assert generator().bit_generator.state == before


def test_the_copy_is_in_training_mode_and_the_model_stays_as_it_is():
    model = classifier().eval()
    model(*batch())
    model.backward()
    before = copy.deepcopy([(vars(p)) for p in model.parameters()])
    seen = observed(model)
    assert all(layer.training for layer in seen.model.walk(Layer).values())
    assert not any(layer.training for layer in model.walk(Layer).values())
    np.testing.assert_equal([vars(p) for p in model.parameters()], before)
    assert not any({"forward", "backward"} & set(vars(layer)) for layer in model.walk(Layer).values())


def test_a_model_that_gives_no_loss_is_refused():
    class Scores(Linear):
        def forward(self, x, y=None):
            return super().forward(x)

    with pytest.raises(TypeError, match=r"Scores\(3, 2, rng=0\): expected model\(x, y\) to be the loss, a float, got"):
        Observation(Scores(3, 2, rng=0), *batch()).forward()


def test_watched_layers_of_any_kind_record_in_the_order_in_which_they_end():
    model = Sequential(Residual(Linear(3, 3, rng=0)), ReLU())
    called, returned = watch_layers(model.walk(Layer))
    x, _ = batch()
    y = model(x)
    assert [watch.name for watch in called] == ["0.layers.0", "0.layers", "0", "1", ""]
    assert called[-1].y is y and called[0].x is x and returned == []
    model.backward(np.ones_like(y))
    assert [watch.name for watch in returned] == ["1", "0.layers.0", "0.layers", "0", ""]


def test_a_layer_that_is_called_twice_is_recorded_twice_with_its_last_arrays():
    class Twice(Layer):
        def __init__(self):
            self.double = Doubled()

        def forward(self, x):
            return self.double(self.double(x))

    class Doubled(Layer):
        def forward(self, x):
            return 2 * x

    model = Twice()
    called, _ = watch_layers({"double": model.double})
    assert model(np.ones(3)).tolist() == [4, 4, 4]
    assert [watch.x.tolist() for watch in called] == [[2, 2, 2], [2, 2, 2]]


def test_the_values_of_a_held_array_are_what_the_next_layer_gets():
    model = Sequential(ReLU(), Linear(3, 2, rng=0))
    called, _ = watch_layers(model.walk(Layer))
    x, _ = batch()
    model(x)
    relu, linear, _ = called
    relu.held = np.full_like(x, 0.5)
    y = model(x)
    np.testing.assert_array_equal(linear.x, relu.held)
    assert linear.x is not relu.held, "who writes into it does not write into what is held"
    np.testing.assert_array_equal(y, model[1](0.5 * np.ones_like(x)))
    relu.held = None
    model(x)
    np.testing.assert_array_equal(linear.x, np.maximum(x, 0))


def test_own_parameters_are_those_of_no_layer_inside():
    scaled = Scaled(3)
    assert list(own_parameters(scaled)) == ["g"]
    assert list(own_parameters(scaled.inner)) == ["W", "b"]
    scaled.W = scaled.inner.W
    assert list(own_parameters(scaled)) == ["g"]


def test_calls_and_backwards_are_counted_and_who_called():
    class Twice(Layer):
        def __init__(self):
            self.inner, self.loss = Sequential(Linear(3, 3, rng=0), ReLU()), SoftmaxCrossEntropy()

        def forward(self, x, y):
            return self.loss(self.inner(self.inner.forward(x)), y)

        def backward(self):
            self.inner.backward(self.loss.backward())

    seen = observed(Twice())
    watches = {watch.name: watch for watch in seen.watches}
    assert {name: (watch.calls, watch.returns) for name, watch in watches.items()} == {
        "": (1, 1),
        "inner": (2, 1),
        "inner.0": (2, 1),
        "inner.1": (2, 1),
        "loss": (1, 1),
    }
    callers = {name: watch.caller and watch.caller.name for name, watch in watches.items()}
    assert callers == {"": None, "inner": "", "inner.0": "inner", "inner.1": "inner", "loss": ""}
    seen.forward()
    assert watches["inner"].calls == 2, "of one pass"


def test_what_is_given_by_name_counts_as_if_it_were_given_by_position():
    class ByName(Layer):
        def __init__(self):
            self.inner, self.loss = Linear(3, 2, rng=0), SoftmaxCrossEntropy()

        def forward(self, x, y):
            return self.loss.forward(target=y, scores=self.inner.forward(x=x))

        def backward(self):
            self.inner.backward(dy=self.loss.backward(dloss=2.0))

    x, y = batch()
    linear, loss = observed(ByName(), (x, y)).called
    assert linear.x is x and loss.inputs[1] is y and loss.x is linear.y
    assert loss.dy == 2.0
    np.testing.assert_array_equal(linear.dy, loss.dx)


def test_a_gradient_is_kept_as_it_was_given_whatever_the_layer_writes_into_it():
    class Careless(Layer):
        def forward(self, x):
            return x

        def backward(self, dy):
            dy *= 0
            return dy

    seen = observed(Sequential(Linear(3, 2, rng=0), Careless(), SoftmaxCrossEntropy()))
    linear, careless, loss = seen.called
    assert careless.dy.any() and loss.dx.any() and not linear.dy.any()


def test_parameters_of_one_number_can_be_written_to_and_their_gradients_are_cleared():
    class Gain(Layer):
        def __init__(self):
            self.a = Parameter(2.0)

        def forward(self, x, y):
            self.cache = x
            return float(self.a.data * x.sum())

        def backward(self):
            self.a.grad = self.a.grad + self.cache.sum()

    model = Gain()
    model.a.data, model.a.grad = np.float32(2.0), np.float32(0.0)
    seen = observed(model)
    first = float(seen.model.a.grad)
    seen.model.a.data[...] = 3.0
    seen.backward()
    assert float(seen.model.a.grad) == first == pytest.approx(float(batch()[0].sum()))
    assert isinstance(model.a.data, np.float32)
