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
    LogSoftmax,
    Loss,
    MaxPool2d,
    MeanSquaredError,
    MulticlassHinge,
    Parameter,
    ReLU,
    Sequential,
    Softmax,
    SoftmaxCrossEntropy,
    load_digits,
)
from minnet.insight.experiments import learn_by_heart, loss_of_equal_scores, wrong_gradient
from minnet.insight.observation import Observation


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


class Passes(Layer):
    """y = x, with a backward that hands back something else."""

    def __init__(self, backward):
        self.handed_back = backward

    def forward(self, x):
        return x

    def backward(self, dy):
        return self.handed_back(dy)


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


class Brier(Loss):
    """Takes probabilities, and says so."""

    def forward(self, p, target=None):
        if abs(p.sum(axis=1) - 1).max() > 1e-3:
            raise ValueError("expected probabilities")
        self.cache = p
        return float((p**2).mean())


def classifier(*between):
    return Sequential(Linear(3, 4, rng=0), ReLU(), *between, Linear(4, 2, rng=1), SoftmaxCrossEntropy())


def batch(n=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 2, n)


@pytest.mark.rows("scale", [1e-3, 1.0, 100.0])
def test_a_few_samples_are_learned_by_heart_whatever_the_scale_of_the_weights(scale):
    model = Sequential(Linear(3, 32, rng=0), ReLU(), Linear(32, 2, rng=1), SoftmaxCrossEntropy())
    model[0].W.data *= scale
    x, y = batch()
    before, after = learn_by_heart(model, x, y)
    assert before == pytest.approx(model(x, y), rel=1e-6)
    assert after < 0.01
    assert model(x, y) == before


@pytest.mark.rows("scale", [0.01, 1.0, 100.0])
def test_the_learning_rate_adapts_to_the_size_of_the_data(scale):
    x = scale * np.array([[1.0, 0.5], [-1.0, 0.25]])
    model = Sequential(Linear(2, 1, bias=False, rng=0), MeanSquaredError()).astype(np.float64)
    before, after = learn_by_heart(model, x, np.array([[1.0], [2.0]]))
    assert after < 1e-3 * before


def test_two_samples_that_contradict_each_other_are_not_learned():
    x, y = np.ones((2, 3), np.float32), np.array([0, 1])
    assert learn_by_heart(classifier(), x, y)[1] == pytest.approx(math.log(2), rel=1e-4)


def test_a_model_whose_gradient_points_up_learns_nothing_and_gets_no_worse():
    before, after = learn_by_heart(
        Sequential(Linear(3, 2, rng=0), Passes(np.negative), SoftmaxCrossEntropy()), *batch()
    )
    assert after == before


def test_dropout_is_the_same_in_each_step_of_learning_by_heart():
    model = Sequential(Linear(3, 64, rng=0), ReLU(), Dropout(rng=0), Linear(64, 2, rng=1), SoftmaxCrossEntropy())
    assert learn_by_heart(model, *batch())[1] < 0.01


@pytest.mark.rows("model", [classifier(), classifier(Dropout(rng=0)), Sequential(Scaled(3), SoftmaxCrossEntropy())])
def test_right_gradients_fit(model):
    assert wrong_gradient(model, *batch()) is None


WRONG = [  # model, what is said to be wrong
    (classifier(Passes(lambda dy: -dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: 0 * dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: 1.1 * dy)), r"layer 2, Passes(<lambda>) hands back to layer 1, ReLU()"),
    (classifier(Passes(lambda dy: 1.001 * dy)), None),  # which keeps no model from learning
    (Sequential(Passes(np.negative), classifier()), None),  # nobody uses what it hands back
    (Sequential(Scaled(3, wrong=-1.0), SoftmaxCrossEntropy()), "the gradient of g of layer 0, Scaled(3, wrong=-1.0)"),
    (
        Sequential(Linear(3, 3, rng=0), Scaled(3, wrong=2.0), SoftmaxCrossEntropy()),
        "the gradient of g of layer 1, Scaled(3, wrong=2.0)",
    ),
    (
        Sequential(TakesAnyShape(3), Passes(lambda dy: dy[:1]), SoftmaxCrossEntropy()),
        "layer 1, Passes(<lambda>) hands back to layer 0, TakesAnyShape(3)",
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


@pytest.mark.long
@pytest.mark.rows("depth", [16, 21, 26, 36])
@pytest.mark.rows("rng", range(20))
def test_no_gradient_of_many_deep_nets_is_accused(depth, rng):
    assert wrong_gradient(deep(depth, rng), *half_digits()) is None


@pytest.mark.long
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
    """Along a random direction a small part may weigh too little, there or only a layer further back."""
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
            raise ValueError("expected probabilities")
        self.p = p
        return super().forward(np.log(p), target)

    def backward(self, dloss=1.0):
        return self.wrong * super().backward(dloss) / self.p


@pytest.mark.rows("checks", [False, True])
@pytest.mark.rows("scale", [1.0, 100.0])  # at 100, most probabilities are 0 or 1 to many digits
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


def test_what_has_no_layer_is_called_the_rest_of_the_model():
    class Squares(Layer):
        def __init__(self):
            self.inner = Linear(3, 2, rng=0)

        def forward(self, x, y):
            self.cache = scores = self.inner.forward(x)
            return float((scores**2).sum())

        def backward(self):
            return self.inner.backward(self.cache)  # without the factor 2

    expected = "the gradient that the rest of the model hands back to layer inner, Linear(3, 2, rng=0)"
    assert wrong_gradient(Squares(), *batch()) == expected


@pytest.mark.rows(
    "model, expected",
    [
        (Sequential(Linear(3, 5, rng=0), SoftmaxCrossEntropy()), math.log(5)),
        (Sequential(Linear(3, 5, rng=0), SoftmaxCrossEntropy(label_smoothing=0.1)), math.log(5)),
        (Sequential(Linear(3, 5, rng=0), MulticlassHinge(margin=2.0)), 8.0),
        (Sequential(Linear(3, 5, rng=0), LogSoftmax(), LogLikelihood()), 0.0),
    ],
)
def test_the_loss_of_equal_scores_is_known(model, expected):
    seen = Observation(model, *batch())
    seen.forward()
    assert loss_of_equal_scores(model, seen) == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_equal_scores_is_not_known_where_the_loss_refuses_them_or_is_no_layer():
    class Own(Layer):
        def __init__(self):
            self.inner = Linear(3, 2, rng=0)

        def forward(self, x, y):
            return float(self.inner.forward(x).sum())

    probabilities = np.full((4, 2), 0.5)
    seen = Observation(Brier(), probabilities, np.zeros(4, int))
    seen.forward()
    assert loss_of_equal_scores(Brier(), seen) is None
    seen = Observation(Own(), *batch())
    seen.forward()
    assert loss_of_equal_scores(Own(), seen) is None


def test_a_target_by_name_is_handed_on():
    class Own(Layer):
        def __init__(self):
            self.inner, self.loss = Linear(3, 2, rng=0), SoftmaxCrossEntropy()

        def forward(self, x, y):
            return self.loss.forward(self.inner.forward(x), target=y)

    seen = Observation(Own(), *batch())
    seen.forward()
    assert loss_of_equal_scores(Own(), seen) == pytest.approx(math.log(2), rel=1e-12)
