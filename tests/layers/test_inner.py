"""What containers have in common: lengths that are handed down, and steps one after the other."""

import re

import numpy as np
import pytest

from minnet import (
    Concatenate,
    Dropout,
    Embedding,
    Flatten,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
)
from minnet.layers.inner import step, takes_lengths


class Sum(Layer):
    """A running sum of the steps, as somebody would write it."""

    def forward(self, x, lengths=None):
        self.cache = x.shape
        return x.cumsum(axis=1)

    def backward(self, dy):
        return dy[:, ::-1].cumsum(axis=1)[:, ::-1]

    def step(self, x_t, state=None):
        y = x_t if state is None else state + x_t
        return y, y


MODELS = {
    "a row": lambda: Sequential(Linear(3, 4, rng=0), Sum(), ReLU()),
    "residual": lambda: Sequential(LayerNorm(3), Residual(Sum(), Linear(3, 3, rng=0))),
    "branches": lambda: Sequential(Concatenate(Sum(), Sequential(Linear(3, 2, rng=0), Sum()))),
    "random in training": lambda: Sequential(Linear(3, 4, rng=0), Dropout(0.5, rng=0), Sum()).eval(),
    "nested": lambda: Sequential(Sequential(Sequential(Sum())), Residual(Residual(Sum()))),
    "a classifier": lambda: Sequential(Sum(), Linear(3, 2, rng=0), SoftmaxCrossEntropy()),
}

X = np.random.default_rng(0).normal(size=(2, 5, 3))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_steps_one_after_the_other_give_what_the_whole_sequence_gives(make):
    model = make().astype(np.float64)
    y, state, states = model(X), None, []
    model.train()
    for t in range(5):
        y_t, state = model.step(X[:, t], state)
        states.append(state)
        np.testing.assert_allclose(y_t, y[:, t], rtol=1e-12, atol=1e-15)
    again, _ = model.step(X[:, 2], states[1])
    np.testing.assert_allclose(again, y[:, 2], rtol=1e-12, atol=1e-15)


def test_a_step_leaves_caches_modes_and_gradients_alone():
    model = Sequential(Linear(3, 4, rng=0), Dropout(0.5, rng=0), Linear(4, 2, rng=1), SoftmaxCrossEntropy())
    y = np.array([[0, 1, 0, 1, 1]] * 2)
    model(X, y)
    caches = [layer.cache for layer in model]
    model.step(X[:, 0])
    assert all(layer.cache is cache for layer, cache in zip(model, caches))
    assert all(layer.training for layer in model.walk(Layer).values())
    model.backward()
    fresh = Sequential(Linear(3, 4))
    fresh.step(X[:, 0])
    with pytest.raises(RuntimeError, match="backward before forward"):
        fresh.backward(np.ones((2, 4)))


def test_ids_take_a_step_without_the_axis_of_time():
    model = Sequential(Embedding(5, 3, rng=0), Sum())
    np.testing.assert_array_equal(model.step(np.array([4, 2]))[0], model[0].W.data[[4, 2]])


@pytest.mark.parametrize("layer", [Flatten(), LastStep()])
def test_a_layer_that_looks_at_several_steps_has_no_step(layer):
    with pytest.raises(TypeError, match=re.escape(f"layer 1, {layer!r}, in step given shape (2, 3): has no step")):
        Sequential(ReLU(), layer).step(X[:, 0])
    with pytest.raises(TypeError, match="set stepwise = True in its class"):
        step(layer, X[:, 0], None)


def test_a_state_of_another_model_is_refused():
    with pytest.raises(ValueError, match="expected a state that its step has returned, got one of 3"):
        Sequential(ReLU()).step(X[:, 0], (None,) * 3)


def test_a_layer_takes_lengths_if_its_forward_has_that_argument():
    assert [takes_lengths(layer) for layer in (Sum(), LastStep(), Sequential(), Residual(), ReLU(), Linear(1, 1))] == [
        *[True] * 4,
        *[False] * 2,
    ]
