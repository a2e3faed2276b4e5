import math

import numpy as np
import pytest

from minnet import (
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    Loss,
    MaxPool2d,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    load_digits,
)
from minnet.insight.gradients import wrong_gradient


class Scaled(Layer):
    """y = g x + Linear(x): a parameter of its own, and a layer inside. Its dg is `wrong` times what it should be."""

    def __init__(self, features, wrong=1.0):
        self.g = Parameter(np.ones(features))
        self.inner = Linear(features, features, rng=0)
        self.wrong = wrong

    def forward(self, x):
        self.cache = x
        return self.g.data * x + self.inner.forward(x)

    def backward(self, dy):
        self.g.grad += self.wrong * (dy * self.cache).sum(axis=0)
        return self.g.data * dy + self.inner.backward(dy)


class TakesAnyShape(Layer):
    """y = g x, whose backward takes a dy of one row for all, which those of minnet's layers refuse."""

    def __init__(self, features):
        self.g = Parameter(np.ones(features))

    def forward(self, x):
        self.cache = x
        return x * self.g.data

    def backward(self, dy):
        self.g.grad += (dy * self.cache).sum(axis=0)
        return dy * self.g.data


class Passes(Layer):
    """y = x, with a backward that hands back something else."""

    def __init__(self, backward):
        self.handed_back = backward

    def forward(self, x):
        return x

    def backward(self, dy):
        return self.handed_back(dy)


class LogLikelihood(Loss):
    """−the mean log-probability of the label, given log-probabilities."""

    def forward(self, y, target=None):
        if target is None:
            return y
        self.cache = y.shape, target
        return float(-y[np.arange(len(y)), target].mean())

    def backward(self, dloss=1.0):
        shape, target = self.cache
        dy = np.zeros(shape)
        dy[np.arange(len(target)), target] = -dloss / len(target)
        return dy


def classifier(*between):
    return Sequential(Linear(3, 4, rng=0), ReLU(), *between, Linear(4, 2, rng=1), SoftmaxCrossEntropy())


def batch(n=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n)


@pytest.mark.rows("model", [classifier(), classifier(Dropout(rng=0)), Sequential(Scaled(3), SoftmaxCrossEntropy())])
def test_right_gradients_fit(model):
    assert wrong_gradient(model, *batch()) is None


WRONG = [  # model, what is said to be wrong
    (classifier(Passes(lambda dy: -dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: 0 * dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: 1.1 * dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (
        Sequential(TakesAnyShape(3), Passes(lambda dy: dy[:1]), SoftmaxCrossEntropy()),
        "layer 1, Passes(<lambda>) hands back to layer 0, TakesAnyShape(3)",
    ),
    (classifier(Passes(lambda dy: 1.001 * dy)), None),  # which keeps no model from learning
    (Sequential(Passes(np.negative), classifier()), None),  # nobody uses what it hands back
    (
        Sequential(Scaled(3, wrong=-1.0), SoftmaxCrossEntropy()),
        "the gradient of g of layer 0, Scaled(3, wrong=-1.0) is",
    ),
    (
        Sequential(Linear(3, 3, rng=0), Scaled(3, wrong=2.0), SoftmaxCrossEntropy()),
        "the gradient of g of layer 1, Scaled(3, wrong=2.0)",
    ),
]


@pytest.mark.rows("model, expected", WRONG)
def test_the_layer_with_the_wrong_backward_is_named(model, expected):
    found = wrong_gradient(model, *batch())
    assert (found is None) == (expected is None)
    assert expected is None or expected in found


def kinked(*between):
    return Sequential(Linear(3, 8, rng=0), ReLU(), *between, Linear(8, 2, rng=1), SoftmaxCrossEntropy())


def pooled(relu):
    return Sequential(
        Conv2d(1, 2, 3, rng=0), relu, MaxPool2d(2), Flatten(), Linear(18, 2, rng=1), SoftmaxCrossEntropy()
    )


class ReluPassesAll(ReLU):
    """A ReLU that forgets in backward where it was 0."""

    def backward(self, dy):
        return dy


ON_KINKS = [  # model, x; with x = 0 every hidden unit is on the kink of its ReLU, and every window of a pooling tied
    (kinked(), np.zeros((6, 3))),
    (kinked(ReLU()), batch()[0]),
    (pooled(ReLU()), np.zeros((6, 8, 8, 1))),
    (pooled(ReLU()), np.random.default_rng(0).normal(size=(6, 8, 8, 1))),  # many a window of what ReLU gives is all 0
]


@pytest.mark.rows("model, x", ON_KINKS)
def test_a_right_gradient_is_not_accused_where_the_slopes_of_two_sides_differ(model, x):
    assert wrong_gradient(model, x.astype(np.float32), batch()[1]) is None


@pytest.mark.rows(
    "model, x, wrong",
    [
        (kinked(Passes(np.negative)), np.zeros((6, 3)), "layer 2, Passes(negative)"),
        (kinked(ReLU(), Passes(np.negative)), batch()[0], "layer 3, Passes(negative)"),
        (pooled(ReluPassesAll()), np.zeros((6, 8, 8, 1)), "layer 1, ReluPassesAll()"),
    ],
)
def test_a_wrong_gradient_is_found_on_a_kink_too(model, x, wrong):
    assert f"{wrong} hands back" in wrong_gradient(model, x.astype(np.float32), batch()[1])


def test_of_two_wrong_layers_the_one_nearer_to_the_loss_is_named():
    model = Sequential(
        Linear(3, 4, rng=0), Passes(np.negative), Linear(4, 4, rng=1), Passes(np.negative), SoftmaxCrossEntropy()
    )
    assert "layer 3, " in wrong_gradient(model, *batch())


def deep(depth, rng, *between):
    draw = np.random.default_rng(rng)
    hidden = [layer for _ in range(depth) for layer in (Linear(32, 32, rng=draw), ReLU())]
    return Sequential(*hidden[:10], *between, *hidden[10:], Linear(32, 10, rng=draw), SoftmaxCrossEntropy())


def half_digits(n=32):
    x, y = load_digits()
    return x[:n].reshape(n, 32, 2).mean(axis=2), y[:n]


@pytest.mark.rows("depth", [16, 26])
@pytest.mark.rows("rng", range(3))
def test_no_gradient_of_a_deep_net_is_accused_though_every_step_crosses_kinks(depth, rng):
    assert wrong_gradient(deep(depth, rng), *half_digits()) is None


@pytest.mark.rows("rng", [2, 3])
def test_a_bias_in_front_of_a_batch_norm_has_no_gradient_and_is_not_accused_of_rounding(rng):
    draw = np.random.default_rng(rng)
    hidden = [layer for _ in range(30) for layer in (Linear(32, 32, rng=draw), BatchNorm(32), ReLU())]
    model = Sequential(*hidden, Linear(32, 10, rng=draw), SoftmaxCrossEntropy())
    assert wrong_gradient(model, *half_digits()) is None


@pytest.mark.rows("wrong", [-1.0, 0.0, 1.1])
def test_a_wrong_gradient_is_found_in_a_deep_net_too(wrong):
    model = deep(26, 0, Passes(lambda dy: wrong * dy))
    assert "layer 10, Passes(<lambda>) hands back to layer 9, ReLU()" in wrong_gradient(model, *half_digits())


def off_in(feature=None, row=None, factor=0.9):
    """Hands back a gradient of which one feature, or one row, is off by a factor."""

    def backward(dy):
        dx = dy.copy()
        dx[slice(None) if row is None else row, slice(None) if feature is None else feature] *= factor
        return dx

    return Passes(backward)


@pytest.mark.rows("off", [off_in(feature=3), off_in(row=2)])
def test_a_gradient_that_is_off_in_a_part_is_found_in_most_nets(off):
    """Along a single random direction a small part may weigh too little."""
    found = [wrong_gradient(deep(8, rng, off), *half_digits()) for rng in range(12)]
    assert sum(text is not None for text in found) >= 11


class Norm(Layer):
    """y = x / ‖x‖ of the whole batch, in Python's numbers; `wrong` times the right dx."""

    def __init__(self, wrong=1.0):
        self.wrong = wrong

    def forward(self, x):
        size = math.sqrt(float((x * x).sum()))
        1 / size  # a ZeroDivisionError where NumPy would warn
        self.cache = x / size, size
        return x / size

    def backward(self, dy):
        y, size = self.cache
        return self.wrong * (dy - y * (dy * y).sum()) / size


@pytest.mark.rows("wrong", [1.0, 2.0])
def test_a_layer_that_raises_at_zero_is_no_obstacle(wrong):
    found = wrong_gradient(
        Sequential(Linear(3, 4, rng=0), Norm(wrong), Linear(4, 2, rng=1), SoftmaxCrossEntropy()), *batch()
    )
    assert (found is None) == (wrong == 1.0) and "hands back to layer 0" in (found or "hands back to layer 0")


class OfProbabilities(LogLikelihood):
    """−the mean of log p of the label, of no value where a p is below 0; its dp is `wrong` times what it should be."""

    def __init__(self, wrong=1.0, checks=False):
        self.wrong, self.checks = wrong, checks

    def forward(self, p, target=None):
        if self.checks and abs(p.sum(axis=-1) - 1).max() > 1e-4:
            raise ArithmeticError("expected probabilities")
        self.p = p
        return super().forward(np.log(p), target)

    def backward(self, dloss=1.0):
        return self.wrong * super().backward(dloss) / self.p


@pytest.mark.rows("checks", [False, True])
@pytest.mark.rows("scale", [1.0, 30.0, 100.0])  # at 100, most probabilities are 0 or 1 to many digits
def test_a_right_gradient_is_not_accused_at_the_edge_of_where_the_loss_has_a_value(checks, scale):
    model = Sequential(Linear(3, 2, rng=0), Softmax(), OfProbabilities(checks=checks))
    model[0].W.data *= scale
    with np.errstate(all="ignore"):
        assert wrong_gradient(model, *batch()) is None


@pytest.mark.rows("checks", [False, True])
@pytest.mark.rows("scale", [1.0, 5.0])
def test_a_wrong_gradient_is_found_at_the_edge_of_where_the_loss_has_a_value(checks, scale):
    model = Sequential(Linear(3, 2, rng=0), Softmax(), OfProbabilities(wrong=-1.0, checks=checks))
    model[0].W.data *= scale
    with np.errstate(all="ignore"):
        assert "hands back to layer 1, Softmax()" in wrong_gradient(model, *batch())


def test_what_a_model_does_between_its_layers_is_the_models_own():
    class Squares(Layer):
        def __init__(self):
            self.inner = Linear(3, 2, rng=0)

        def forward(self, x, y):
            self.cache = scores = self.inner.forward(x)
            return float((scores**2).sum())

        def backward(self):
            return self.inner.backward(self.cache)  # without the factor 2

    assert wrong_gradient(Squares(), *batch()) == (
        "the gradient that Squares() hands back to layer inner, Linear(3, 2, rng=0) is wrong, as differences show; "
        "check_layer says more of a layer"
    )


def block(backward, inside):
    """A layer made of others, y = x + f(x), with a backward of a user's own."""

    class Block(Layer):
        def __init__(self):
            self.f = inside

        def forward(self, x):
            return x + self.f(x)

    Block.backward = backward
    return Sequential(Linear(3, 4, rng=0), Block(), Linear(4, 2, rng=1), SoftmaxCrossEntropy())


class InPlace(ReLU):
    """A ReLU that writes into what its backward is given."""

    def backward(self, dy):
        dy[self.cache <= 0] = 0
        return dy

    def forward(self, x):
        self.cache = x
        return np.maximum(x, 0)


def test_a_layer_that_writes_into_its_gradient_is_named_and_not_the_one_around_it_that_uses_it_again():
    model = Sequential(
        Linear(3, 4, rng=0), Residual(Linear(4, 4, rng=1), InPlace()), Linear(4, 2), SoftmaxCrossEntropy()
    )
    assert wrong_gradient(model, *batch()) == (
        "layer 1.layers.1, InPlace() writes into the gradient that it is given, which layer 1, Residual(Linear(4, 4, "
        "rng=1), InPlace()) needs afterwards"
    )
    assert wrong_gradient(Sequential(Linear(3, 2, rng=0), InPlace(), SoftmaxCrossEntropy()), *batch()) is None


@pytest.mark.rows("inside", [Linear(4, 4, rng=2), Sequential(Linear(4, 4, rng=2), ReLU())])
def test_a_part_that_a_backward_leaves_out_is_named_with_the_layer_around_it(inside):
    found = wrong_gradient(block(lambda self, dy: dy, inside), *batch())
    assert found.startswith("the gradient that layer 1, Block() hands back to layer ")
    assert wrong_gradient(block(lambda self, dy: dy + self.f.backward(dy), inside), *batch()) is None


def test_a_gradient_that_is_handed_on_by_name_is_compared_too():
    right = block(lambda self, dy: dy + self.f.backward(dy=dy), Linear(4, 4, rng=2))
    wrong = block(lambda self, dy: dy + self.f.backward(dy=2 * dy), Linear(4, 4, rng=2))
    assert wrong_gradient(right, *batch()) is None
    assert wrong_gradient(wrong, *batch()).startswith("the gradient that layer 1, Block() hands back to layer 1.f, ")


class Two(Layer):
    """0.5 loss of one half of the features + loss of the other: a model with two losses, weighed in backward too."""

    def __init__(self, weight=1.0):
        self.inner, self.weight = Linear(3, 4, rng=0), weight
        self.losses = [SoftmaxCrossEntropy(), SoftmaxCrossEntropy()]

    def forward(self, x, y):
        scores = self.inner.forward(x)
        return 0.5 * self.losses[0].forward(scores[:, :2], y) + self.losses[1].forward(scores[:, 2:], target=y)

    def backward(self):
        first = self.losses[0].backward(0.5)
        second = self.losses[1].backward(dloss=self.weight) if self.weight else 0 * first
        return self.inner.backward(np.concatenate([first, second], axis=1))


@pytest.mark.rows("weight", [0.5, 1.0, 0.0])
def test_the_weights_of_several_losses_are_compared(weight):
    found = wrong_gradient(Two(weight), *batch())
    assert (found is None) == (weight == 1.0)
    assert found is None or found.startswith(f"the gradient that Two({weight}) hands back to layer losses.1")


class Chain(Layer):
    """Sigmoids one after the other by hand; the gradient that one of the layers gets is multiplied by a factor."""

    def __init__(self, place, factor):
        self.place, self.factor = place, factor
        self.parts = [layer for i in range(9) for layer in (Linear(4, 4, rng=i), Sigmoid())]
        self.parts += [Linear(4, 2, rng=9), SoftmaxCrossEntropy()]

    def forward(self, x, y):
        for layer in self.parts[:-1]:
            x = layer.forward(x)
        return self.parts[-1].forward(x, y)

    def backward(self):
        dy = self.parts[-1].backward()
        for i in range(len(self.parts) - 2, -1, -1):
            dy = self.parts[i].backward(self.factor * dy if i == self.place else dy)


@pytest.mark.rows("factor", [-1.0, 1.1, 0.0])
def test_what_is_wrong_where_a_gradient_has_nearly_vanished_is_found_among_all_that_passes_between_layers(factor):
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.array([0, 1, 0, 1, 1, 0])
    assert wrong_gradient(Chain(2, 1.0), x, y) is None
    found = wrong_gradient(Chain(2, factor), x, y)
    assert found.startswith(f"the gradient that Chain(2, {factor}) hands back to layer parts.2, Linear(4, 4, rng=1) is")


class OfCells(Layer):
    """A net that calls one layer at each step; the layer keeps what backward needs of each."""

    class Cell(Layer):
        def __init__(self):
            self.W, self.kept = Parameter(np.random.default_rng(0).normal(size=(3, 3))), []

        def forward(self, h):
            self.kept.append((h, y := np.tanh(h @ self.W.data)))
            return y

        def backward(self, dy):
            h, y = self.kept.pop()
            da = dy * (1 - y * y)
            self.W.grad += h.T @ da
            return da @ self.W.data.T

    def __init__(self, steps_back=4):
        self.cell, self.loss, self.steps_back = self.Cell(), SoftmaxCrossEntropy(), steps_back

    def forward(self, x, y):
        self.cell.kept.clear()
        for _ in range(4):
            x = self.cell.forward(x)
        return self.loss.forward(x, y)

    def backward(self):
        dx = self.loss.backward()
        for _ in range(self.steps_back):
            dx = self.cell.backward(dx)


def test_a_layer_that_keeps_what_each_of_its_calls_needs_is_right():
    assert wrong_gradient(OfCells(), *batch()) is None
    found = wrong_gradient(OfCells(steps_back=3), *batch())
    assert found.startswith("the gradient of cell.W of OfCells(steps_back=3) is wrong")


def test_a_layer_that_computes_in_float32_by_itself_is_not_accused_of_rounding():
    class Single(Layer):
        def __init__(self, wrong=1.0):
            self.wrong = wrong

        def forward(self, x):
            self.cache = y = np.tanh(x.astype(np.float32))
            return y.astype(x.dtype)

        def backward(self, dy):
            return self.wrong * dy * (1 - self.cache**2)

    for rng in range(5):
        linear = Linear(3, 2, rng=rng)
        assert wrong_gradient(Sequential(linear, Single(), SoftmaxCrossEntropy()), *batch()) is None
        assert wrong_gradient(Sequential(linear, Single(1.2), SoftmaxCrossEntropy()), *batch()) is not None


def test_behind_units_that_are_all_dead_a_wrong_layer_is_found_too():
    dead = Linear(4, 4, rng=2)
    dead.b.data -= 100
    model = Sequential(
        Linear(3, 4, rng=0), Passes(np.negative), dead, ReLU(), Linear(4, 2, rng=1), SoftmaxCrossEntropy()
    )
    assert "layer 1, Passes(negative) hands back to layer 0" in wrong_gradient(model, *batch())


def test_weights_that_two_layers_share_are_compared_in_each():
    first, second = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    second.W = first.W
    assert wrong_gradient(Sequential(first, ReLU(), second, SoftmaxCrossEntropy()), *batch()) is None


def test_what_is_frozen_is_not_accused():
    model = Sequential(Linear(3, 3, rng=0), Scaled(3, wrong=-1.0), SoftmaxCrossEntropy())
    assert "the gradient of g" in wrong_gradient(model, *batch())
    model[1].g.frozen = True
    assert wrong_gradient(model, *batch()) is None


def test_a_parameter_without_axes_is_compared_whether_its_gradient_is_an_array_or_a_number():
    class Gain(Layer):
        def __init__(self, factor):
            self.a, self.factor = Parameter(2.0), factor

        def forward(self, x):
            self.cache = x
            return self.a.data * x

        def backward(self, dy):
            self.a.grad = self.a.grad + self.factor * (dy * self.cache).sum()
            return self.a.data * dy

    def model(factor):
        return Sequential(Linear(3, 2, rng=0), Gain(factor), SoftmaxCrossEntropy())

    assert wrong_gradient(model(1.0), *batch()) is None
    assert wrong_gradient(model(2.0), *batch()).startswith("the gradient of a of layer 1, Gain(2.0) is wrong")
    assert wrong_gradient(model(0.0), *batch()) == (
        "a of layer 1, Gain(0.0) gets no gradient, though the layer does; see its backward"
    )


def test_a_layer_that_cannot_be_run_by_itself_is_left_out():
    class Guarded(Layer):
        """Runs where its model has opened it before."""

        is_open = False

        def forward(self, x):
            if not self.is_open:
                raise RuntimeError("closed")
            self.is_open = False
            return x

        def backward(self, dy):
            return dy

    class Own(Layer):
        def __init__(self):
            self.layers = Sequential(Linear(3, 2, rng=0), Guarded(), SoftmaxCrossEntropy())

        def forward(self, x, y):
            self.layers[1].is_open = True
            return self.layers(x, y)

        def backward(self):
            self.layers.backward()

    assert wrong_gradient(Own(), *batch()) is None
