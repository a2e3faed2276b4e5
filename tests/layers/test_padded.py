"""Sequences of unequal length: what is behind their end changes nothing."""

import copy
import re

import numpy as np
import pytest

from minnet import (
    GRU,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    Concatenate,
    Embedding,
    Flatten,
    GlobalAveragePool,
    GroupNorm,
    LastStep,
    Layer,
    LayerNorm,
    Linear,
    Loss,
    MeanSquaredError,
    MulticlassHinge,
    Padded,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_layer,
)

LENGTHS = np.array([5, 2, 0, 4])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5, 3))
INSIDE = np.arange(5) < LENGTHS[:, None]


class Before(Layer):
    """y[t] is the mean of the steps up to t: a layer of a user's that mixes steps, with zeros in its padding."""

    def forward(self, x, lengths=None):
        inside = np.ones(x.shape[:2]) if lengths is None else np.arange(x.shape[1]) < lengths[:, None]
        self.cache = (inside[..., None] / np.arange(1, x.shape[1] + 1)[:, None]).astype(x.dtype)
        return np.where(inside[..., None], x, 0).cumsum(axis=1) * self.cache

    def backward(self, dy):
        return (dy * self.cache)[:, ::-1].cumsum(axis=1)[:, ::-1] * (self.cache > 0)


class Poisson(Loss):
    """A loss of a user's that knows of no weights."""

    def forward(self, scores, target=None):
        rate = np.exp(scores)
        self.cache = rate, target
        return rate if target is None else float(np.mean(rate - target * scores)) if rate.size else 0.0

    def backward(self, dloss=1.0):
        rate, target = self.cache
        return (rate - target) * (dloss / max(1, rate.size))


BODIES = {
    "each step alone": lambda: [Linear(3, 4, rng=0), Tanh(), Linear(4, 2, rng=1)],
    "with a mixing layer": lambda: [Linear(3, 4, rng=0), Before(), Linear(4, 2, rng=1)],
    "inside of containers": lambda: [
        Residual(LayerNorm(3), Before()),
        Concatenate(Sequential(Linear(3, 2, rng=0), Before()), ReLU()),
        Sequential(Linear(5, 2, rng=1), Residual(Before())),
    ],
    "the last step": lambda: [Linear(3, 4, rng=0), Before(), LastStep(), Linear(4, 2, rng=1)],
    "the mean": lambda: [Sequential(Before(), GlobalAveragePool()), BatchNorm(3).eval(), Linear(3, 2, rng=1)],
}


def padded(name):
    return Padded(*BODIES[name]()).astype(np.float64)


def filled(x, value):
    rng = np.random.default_rng(1)
    other = rng.normal(size=x.shape) if value is None else np.full(x.shape, value)
    return np.where(INSIDE.reshape(4, 5, *(1,) * (x.ndim - 2)), x, other)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("value", [1e6, None, np.nan, np.inf])
def test_no_number_in_the_padding_changes_anything(name, value):
    model = padded(name)
    y = model((X, LENGTHS))
    dy = RNG.normal(size=y.shape)
    dx, none = model.backward(dy)
    before = [parameter.grad.copy() for parameter in model.parameters()]
    model.zero_grad()
    np.testing.assert_array_equal(model((filled(X, value), LENGTHS)), y)
    again, _ = model.backward(filled(dy, value) if dy.ndim == 3 else dy)
    np.testing.assert_array_equal(again, dx)
    assert none is None and not again[~INSIDE].any()
    assert all(np.array_equal(p.grad, grad) for p, grad in zip(model.parameters(), before))
    if y.ndim == 3:
        assert not y[~INSIDE].any()


@pytest.mark.parametrize("name", BODIES)
def test_each_sequence_gives_what_it_gives_alone(name):
    model = padded(name)
    y = model((X, LENGTHS))
    dy = RNG.normal(size=y.shape)
    dx, _ = model.backward(dy)
    together = [parameter.grad.copy() for parameter in model.parameters()]
    model.zero_grad()
    for n, length in enumerate(LENGTHS):
        if not length:
            continue
        alone = Sequential(*model.layers)
        y_n = alone(X[n : n + 1, :length])
        np.testing.assert_allclose(y[n : n + 1, :length] if y.ndim == 3 else y[n : n + 1], y_n, rtol=1e-9, atol=1e-12)
        dy_n = dy[n : n + 1, :length] if y.ndim == 3 else dy[n : n + 1]
        np.testing.assert_allclose(dx[n : n + 1, :length], alone.backward(dy_n), rtol=1e-9, atol=1e-12)
    if y.ndim == 3:  # behind the last step, a sequence of length 0 still moves the biases
        for parameter, grad in zip(model.parameters(), together):
            np.testing.assert_allclose(parameter.grad, grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", BODIES)
def test_the_gradients_hold(name):
    assert check_layer(padded(name), (filled(X, 1e3), LENGTHS))


TAGGERS = {
    "labels": (SoftmaxCrossEntropy(), RNG.integers(0, 3, (4, 5)), -7),
    "probabilities": (SoftmaxCrossEntropy(), RNG.dirichlet(np.ones(3), (4, 5)), np.nan),
    "one-hot": (SoftmaxCrossEntropy(), np.eye(3, dtype=int)[RNG.integers(0, 3, (4, 5))], 9),
    "class weights": (SoftmaxCrossEntropy([1, 2, 0.5], label_smoothing=0.1), RNG.integers(0, 3, (4, 5)), 99),
    "numbers": (MeanSquaredError(), RNG.normal(size=(4, 5, 3)), 1e30),
    "over samples": (SoftmaxCrossEntropy(mean_over="samples"), RNG.integers(0, 3, (4, 5)), -7),
    "margins over samples": (MulticlassHinge(mean_over="samples"), RNG.integers(0, 3, (4, 5)), 99),
    "of one's own": (Poisson(), RNG.integers(0, 3, (4, 5, 3)), -1),
    "several of each": (BinaryCrossEntropy(), RNG.integers(0, 2, (4, 5, 3)), -1),
}


@pytest.mark.parametrize("name", TAGGERS)
def test_a_loss_at_each_step_leaves_the_padding_out(name):
    loss, y, filler = TAGGERS[name]
    body = [Linear(3, 4, rng=0), Before(), Linear(4, 3, rng=1)]
    model, plain = Padded(*body, loss).astype(np.float64), Sequential(*body)
    value = model((filled(X, np.nan), LENGTHS), filled(y, filler).astype(y.dtype, copy=False))
    model.backward()
    correct, weight = model.count_correct(), model.total_weight()
    scores = np.concatenate([plain(X[n : n + 1, :length])[0] for n, length in enumerate(LENGTHS) if length])
    expected = loss(scores, y[INSIDE])
    assert value == pytest.approx(expected, rel=1e-12)
    assert correct == pytest.approx(loss.count_correct()) if correct else loss.count_correct() is None
    assert weight == pytest.approx(loss.total_weight()) if weight else loss.total_weight() is None
    rows = np.zeros((4, 5, 3))
    rows[INSIDE] = loss.backward()
    twin = Padded(*copy.deepcopy(body)).astype(np.float64)
    twin.zero_grad()
    twin((X, LENGTHS))
    twin.backward(rows)
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, other.grad, rtol=1e-9, atol=1e-12)


def test_a_loss_at_each_step_has_right_gradients():
    model = Padded(Linear(3, 4, rng=0), Before(), Linear(4, 3, rng=1), SoftmaxCrossEntropy())
    y = RNG.integers(0, 3, (4, 5))
    assert check_layer(model, (filled(X, 50.0), LENGTHS), y)


@pytest.mark.parametrize("weight", [np.array([1.0, 0, 2, 3]), RNG.random((4, 5))], ids=["of samples", "of steps"])
def test_sample_weights_count_beside_the_lengths(weight):
    loss, y = SoftmaxCrossEntropy(), RNG.integers(0, 3, (4, 5))
    value = Padded(Sequential(), loss)((filled(X, np.nan), LENGTHS), y, weight)
    each = np.broadcast_to(weight[:, None] if weight.ndim == 1 else weight, (4, 5))
    assert value == pytest.approx(SoftmaxCrossEntropy()(X[INSIDE], y[INSIDE], each[INSIDE]))


def test_a_loss_of_each_sequence_takes_a_target_for_each():
    model = Padded(Embedding(5, 3, rng=0), LastStep(), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    ids, y = np.where(INSIDE, RNG.integers(0, 5, (4, 5)), 1000), np.array([0, 1, 1, 0])
    optimizer = Adam(model.parameters(), lr=0.1)
    for _ in range(5):
        model((ids, LENGTHS), y)
        assert model.count_correct()[1] == 4
        assert model.backward() is None
        optimizer.step()
    model((ids, LENGTHS), y)
    assert model.backward(input_gradient=True) == (None, None)


def test_the_prediction_is_zero_in_the_padding():
    model = Padded(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    p = model((X, LENGTHS))
    np.testing.assert_allclose(p.sum(axis=-1), INSIDE, rtol=1e-6)


def test_a_batch_of_nothing_but_padding_has_a_loss_of_zero():
    model = Padded(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    assert model((X, np.zeros(4, int)), np.zeros((4, 5), int)) == 0.0
    model.backward()
    assert not any(parameter.grad.any() for parameter in model.parameters())


MIXING = {
    "BatchNorm": lambda: [BatchNorm(3)],
    "GroupNorm": lambda: [Residual(GroupNorm(1, 3))],
    "Flatten": lambda: [Sequential(ReLU(), Flatten())],
    "Parallel": lambda: [Parallel(ReLU())],
    "of one's own": lambda: [Concatenate(LastStep(), type("Own", (Layer,), {})())],
    "behind one branch that is joined": lambda: [Concatenate(LastStep(), ReLU()), BatchNorm(3)],
}


@pytest.mark.parametrize("make", MIXING.values(), ids=MIXING)
def test_a_layer_that_would_mix_the_padding_in_is_refused(make):
    told = r"would mix the padding of sequences in.* stepwise = True in its class|differ in the last axis only"
    with pytest.raises(ValueError, match=told):
        Padded(*make())((X, LENGTHS))
    with pytest.raises(ValueError, match=told):
        Sequential(*make())(X, lengths=LENGTHS)


class Sum(Layer):
    """A layer that joins the steps, and says so or not."""

    def forward(self, x, lengths=None):
        self.cache = x.shape
        return np.where(INSIDE[..., None], x, 0).sum(axis=1)

    def backward(self, dy):
        return np.where(INSIDE[..., None], np.broadcast_to(dy[:, None], self.cache), 0)


class SumThatSaysSo(Sum):
    joins_steps = True


@pytest.mark.parametrize("features", [3, 5])
def test_a_layer_that_joins_the_steps_must_say_so(features):
    x = RNG.normal(size=(4, 5, features))
    with pytest.raises(ValueError, match=r"Sum\(\).*expected y of as many steps as x .*, set joins_steps = True"):
        Padded(Sum())((x, LENGTHS))
    with pytest.raises(ValueError, match="set joins_steps = True"):
        Sequential(Sequential(Sum()))(x, lengths=LENGTHS)
    np.testing.assert_allclose(
        Padded(SumThatSaysSo())((x, LENGTHS)), [row[:n].sum(axis=0) for row, n in zip(x, LENGTHS)]
    )


def test_the_gradient_of_a_last_state_is_not_taken_for_a_flag():
    encoder = Sequential(GRU(3, 2, rng=0))
    y = encoder(X)
    for dstate in (np.ones((4, 2)), (np.ones((4, 2)),) * 2):
        with pytest.raises(TypeError, match="the gradient of a last state is for the layer that gave it"):
            encoder.backward(np.zeros_like(y), dstate)


@pytest.mark.parametrize(
    ("y", "weight", "told"),
    [
        (np.zeros(4, int), None, r"expected a target for each step, \(4, 5\) or \(4, 5, ...\), got \(4,\)"),
        (np.zeros((4, 5), int), np.ones(5), r"expected a sample_weight for each step, .*, got \(5,\)"),
    ],
)
def test_a_loss_at_each_step_needs_a_target_for_each(y, weight, told):
    with pytest.raises(ValueError, match=told):
        Padded(Linear(3, 2), SoftmaxCrossEntropy())((X, LENGTHS), y, weight)


def test_a_plain_pass_after_one_of_sequences_has_its_own_gradients():
    model = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    y = RNG.integers(0, 2, (4, 5))
    model(X, y, lengths=LENGTHS)
    model.backward()
    model.zero_grad()
    model(X, y)
    model.backward()
    alone = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    alone(X, y)
    alone.backward()
    assert all(np.array_equal(p.grad, q.grad) for p, q in zip(model.parameters(), alone.parameters()))


def test_behind_the_joined_steps_any_layer_may_follow():
    assert Padded(LastStep(), BatchNorm(3), Flatten())((X, LENGTHS)).shape == (4, 3)
    assert Padded(Concatenate(LastStep(), GlobalAveragePool()), BatchNorm(6))((X, LENGTHS)).shape == (4, 6)


@pytest.mark.parametrize(
    ("x", "error", "told"),
    [
        (X, TypeError, "expected x to be the tuple (x, lengths), got an array of shape (4, 5, 3)"),
        ((X,), TypeError, "expected x to be the tuple (x, lengths), got 1 of them"),
        ((X[0, 0], LENGTHS), ValueError, "expected x of shape (N, T, ...), got (3,)"),
        ((X, LENGTHS + 1), ValueError, "expected lengths from 0 to the 5 steps of x, got 1 to 6"),
        ((X, LENGTHS / 1), TypeError, "expected lengths to be ints, got float64"),
    ],
)
def test_an_x_that_is_no_sequences_with_lengths_is_refused(x, error, told):
    with pytest.raises(error, match=re.escape(f"Padded(...): {told}")):
        Padded(ReLU())(x)


def test_a_dy_of_another_shape_is_refused():
    model = Padded(ReLU())
    model((X, LENGTHS))
    with pytest.raises(ValueError, match=r"expected dy of shape \(4, 5, 3\)"):
        model.backward(np.ones((4, 5, 2)))


@pytest.mark.parametrize("lengths", [[9] * 4, [1], [1.0] * 4, [-1] * 4])
def test_lengths_handed_to_a_container_are_checked_at_its_door(lengths):
    for model, y in (
        (Sequential(Linear(3, 2), ReLU()), ()),
        (Sequential(Linear(3, 2), SoftmaxCrossEntropy()), (np.zeros((4, 5), int),)),
    ):
        with pytest.raises((TypeError, ValueError), match="expected lengths"):
            model(X, *y, lengths=lengths)
        model(X, *y, lengths=LENGTHS.tolist())


def test_which_steps_counted_is_forgotten_with_the_cache():
    model = Padded(Linear(3, 2), SoftmaxCrossEntropy())
    model((X, LENGTHS), np.zeros((4, 5), int))
    assert "_inside" in vars(model)
    assert "_inside" not in vars(copy.deepcopy(model))
    model.clear_cache()
    assert "_inside" not in vars(model)
