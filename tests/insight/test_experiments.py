import math

import numpy as np
import pytest

from minnet import (
    Dropout,
    Layer,
    Linear,
    LogSoftmax,
    Loss,
    MeanSquaredError,
    MulticlassHinge,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
)
from minnet.insight.experiments import learn_by_heart, loss_of_equal_scores
from minnet.insight.observation import Observation


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
