"""What a trial of a layer sees before any sentence of the contract is checked."""

import numpy as np
import pytest

from minnet import Layer, LayerCheckError, Linear, Parameter, ReLU, Sequential, Tanh, check_layer
from minnet.insight.trial import Trial, largest, perturb, unregistered_arrays


class Plain(Layer):
    """A scale that nobody can train."""

    def __init__(self):
        self.g = np.ones(3)
        self.inner = Linear(3, 3, rng=0)

    def forward(self, x):
        return self.inner(x * self.g)

    def backward(self, dy):
        return self.inner.backward(dy) * self.g


def test_passes_run_on_copies_that_start_from_the_same_state():
    trial = Trial(Linear(3, 2, rng=0).astype(np.float64), [np.ones((4, 3))], np.random.default_rng(0))
    first, second = trial.copy(), trial.copy()
    first.W.data += 1
    assert np.array_equal(second.W.data, trial.layer.W.data)
    assert trial.names == ["x"]


def test_the_upstream_gradient_of_a_loss_is_never_near_zero_or_one_sign():
    class Sum(Layer):
        def forward(self, x):
            return float(x.sum())

    draws = [Trial(Sum(), [np.ones((2, 2))], np.random.default_rng(seed)).dy for seed in range(50)]
    assert min(map(abs, draws)) >= 0.5
    assert {np.sign(dy) for dy in draws} == {-1, 1}


def test_arrays_that_are_neither_trained_nor_saved_are_named_where_they_may_be_the_cause():
    assert unregistered_arrays(Plain()) == " (g: neither trained nor saved)"
    assert unregistered_arrays(Linear(3, 2)) == ""
    with pytest.raises(LayerCheckError, match=r"is float64, though .* float32 \(g: neither trained nor saved\)"):
        check_layer(Plain(), np.random.default_rng(0).normal(size=(4, 3)))


def test_neither_nan_nor_another_shape_is_the_same():
    trial = Trial(ReLU(), [np.ones((2, 3))], np.random.default_rng(0))
    trial.expect_same(np.ones(3) + 1e-12, np.ones(3), "another y")
    for got in (np.full(3, np.nan), np.ones((1, 3)), np.ones(3) + 1e-6):
        with pytest.raises(LayerCheckError, match="another y"):
            trial.expect_same(got, np.ones(3), "another y")


def test_the_largest_value_of_no_arrays_is_zero():
    assert largest([np.array([1.0, -3]), np.array([])]) == 3
    assert largest([]) == 0


def test_parameters_are_moved_whatever_numpy_made_of_them():
    layer = Linear(3, 2, rng=0)
    layer.W.data.flags.writeable = False
    layer.b.data, layer.b.grad = np.float32(1.0), np.float32(2.0)
    before = layer.W.data
    perturb(layer, np.random.default_rng(0))
    assert (layer.W.data != before).all() and layer.b.data != 1 and not layer.b.grad.any()
    assert all(isinstance(array, np.ndarray) for array in (layer.W.grad, layer.b.data, layer.b.grad))


class Twins(Layer):
    """An encoder that is called twice, by itself or by its forward."""

    def __init__(self, encoder, direct):
        self.encoder, self.direct = encoder, direct

    def forward(self, pair):
        encode = self.encoder.forward if self.direct else self.encoder
        return encode(pair[:, 0]) - encode(pair[:, 1])

    def backward(self, dy):
        return np.stack([self.encoder.backward(dy), self.encoder.backward(-dy)], axis=1)


@pytest.mark.rows("direct", [False, True])
@pytest.mark.rows(
    "encoder, name",
    [(Linear(4, 3), "Linear(4, 3)"), (Sequential(Linear(4, 3), Tanh()), "Sequential(...)")],
)
def test_an_inner_layer_that_is_called_twice_is_named(encoder, name, direct):
    with pytest.raises(LayerCheckError) as caught:
        check_layer(Twins(encoder, direct), np.random.default_rng(0).normal(size=(5, 2, 4)))
    text = f"inner layer encoder, {name}, is called twice in one forward; its cache is that of the last call"
    assert text in str(caught.value)
    assert str(caught.value).count("; inner layer ") == 1


def test_only_what_keeps_a_cache_is_called_too_often():
    class Half(Layer):
        def forward(self, x):
            return x / 2

        def backward(self, dy):
            return dy / 2

    class Quarter(Layer):
        def __init__(self, wrong):
            self.half, self.wrong = Half(), wrong

        def forward(self, x):
            return self.half(self.half(x))

        def backward(self, dy):
            return self.wrong * self.half.backward(self.half.backward(dy))

    x = np.random.default_rng(0).normal(size=(3, 4))
    check_layer(Quarter(1), x)
    with pytest.raises(LayerCheckError) as caught:
        check_layer(Quarter(2), x)
    assert "is called" not in str(caught.value)


@pytest.mark.rows("result, kind", [((1.0, 2.0), "a tuple of 2"), ([np.ones(3)], "a list of 1")])
def test_two_outputs_are_refused_with_what_to_do(result, kind):
    class Several(Layer):
        def forward(self, x):
            return result

    with pytest.raises(LayerCheckError, match=rf"got {kind}; a layer has one output: join them along the last axis"):
        check_layer(Several(), np.ones((2, 3)))


class Bias(Layer):
    """x + b, whose db has the shape that is given to it, or is computed by a function."""

    def __init__(self, db):
        self.b, self.db = Parameter(np.zeros(4)), db

    def forward(self, x):
        return x + self.b.data

    def backward(self, dy):
        self.b.grad = self.b.grad + self.db(dy)
        return dy.copy()


@pytest.mark.rows(
    "db, advice",
    [
        (lambda dy: dy, "got (5, 2, 4); sum it over axis 0, 1"),
        (lambda dy: dy.sum(axis=0), "got (2, 4); sum it over axis 0"),
        (lambda dy: dy.sum(axis=(0, 1), keepdims=True), "got (1, 1, 4); is it a sum with keepdims=True?"),
        (lambda dy: dy.sum(axis=2)[..., None][..., :1] + np.zeros(3), "broadcast together with shapes"),
    ],
)
def test_a_gradient_that_lacks_a_sum_is_told_which(db, advice):
    with pytest.raises(LayerCheckError) as caught:
        check_layer(Bias(db), np.ones((5, 2, 4)))
    assert advice in str(caught.value)
