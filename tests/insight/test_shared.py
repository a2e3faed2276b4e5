import numpy as np
import pytest

from minnet import Dropout, Layer, Linear, Parameter, ReLU, Sequential, Tanh
from minnet.insight.diagnose import diagnose
from minnet.insight.observation import Observation
from minnet.insight.shared import about_shared_layers


def pairs(n=5):
    return np.random.default_rng(0).normal(size=(n, 2, 4)).astype(np.float32), np.arange(n)


class Twins(Layer):
    """The mean square of the difference of what one encoder gives for both halves of a pair."""

    def __init__(self, encoder, by_call=True, backwards=((0, 1), (1, -1))):
        self.encoder, self.by_call, self.backwards = encoder, by_call, backwards

    def encoded(self, x):
        return self.encoder(x) if self.by_call else self.encoder.forward(x)

    def forward(self, x, y=None):
        self.cache = d = self.encoded(x[:, 0]) - self.encoded(x[:, 1])
        return float((d**2).sum() / 2 / len(d))

    def backward(self):
        for _, sign in self.backwards:
            self.encoder.backward(sign * self.cache / len(self.cache))


class Stacked(Layer):
    """y = x W, which keeps the x of each call; backward takes them from the end or from the beginning."""

    def __init__(self, end):
        self.W, self.kept, self.end = Parameter(np.random.default_rng(0).normal(size=(4, 3))), [], end

    def forward(self, x):
        self.kept.append(x)
        return x @ self.W.data

    def backward(self, dy):
        x = self.kept.pop(-1 if self.end else 0)
        self.W.grad += x.T @ dy
        return dy @ self.W.data.T


def said(model):
    observation = Observation(model, *pairs())
    observation.forward()
    observation.backward()
    return list(about_shared_layers(model, observation))


ENCODERS = [
    (Linear(4, 3, rng=0), "Linear(4, 3, rng=0)"),
    (Sequential(Linear(4, 3, rng=0), Tanh()), "Sequential(...)"),
]


@pytest.mark.rows("by_call", [True, False])
@pytest.mark.rows("encoder, title", ENCODERS)
def test_a_layer_that_is_called_twice_and_has_one_cache_is_named(by_call, encoder, title):
    (only,) = said(Twins(encoder, by_call))
    assert only.startswith(
        f"layer encoder, {title}, is called twice before backward, but keeps the cache of the last call only: give it "
    )


@pytest.mark.rows("by_call", [True, False])
def test_a_diagnosis_names_the_layer_and_accuses_no_other(by_call):
    report = diagnose(Twins(Sequential(Linear(4, 3, rng=0), Tanh()), by_call), *pairs())
    (only,) = report.findings
    assert "is called twice before backward" in only
    assert report.overfit is None


def test_a_cache_that_refuses_a_second_backward_does_not_end_the_diagnosis():
    class Strict(Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            del self.cache
            return dx

    only, *_ = diagnose(Twins(Strict(4, 3, rng=0)), *pairs()).findings
    assert "Strict(4, 3, rng=0), is called twice before backward" in only


@pytest.mark.rows("end, backwards", [(True, ((1, -1), (0, 1))), (False, ((0, 1), (1, -1)))])
def test_a_layer_that_keeps_what_each_call_needs_is_right(end, backwards):
    assert said(Twins(Stacked(end), backwards=backwards)) == []
    assert diagnose(Twins(Stacked(end), backwards=backwards), *pairs()).findings == []


@pytest.mark.rows("layer", [ReLU(), Dropout(0.5, rng=0)])
def test_what_its_cache_is_needed_for_decides(layer):
    assert len(said(Twins(Sequential(Linear(4, 3, rng=0), layer)))) == 1
    assert len(said(Twins(layer))) == 1


def test_a_layer_without_a_cache_may_be_called_as_often_as_one_likes():
    class Double(Layer):
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    assert said(Twins(Double())) == []


def test_how_often_it_is_called_is_said():
    class Thrice(Twins):
        def forward(self, x, y=None):
            self.encoder(x[:, 0])
            return super().forward(x, y)

    (only,) = said(Thrice(Linear(4, 3, rng=0)))
    assert "is called 3 times before backward" in only


def test_a_call_for_a_look_that_no_backward_answers_is_no_fault():
    class Looks(Twins):
        def forward(self, x, y=None):
            fixed = self.encoder.forward(x[:, 0])
            self.cache = d = self.encoder.forward(x[:, 1]) - 0 * fixed
            return float((d**2).sum() / 2 / len(d))

    assert said(Looks(Linear(4, 3, rng=0), backwards=((0, 1),))) == []
