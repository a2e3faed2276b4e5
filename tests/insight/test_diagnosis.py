import numpy as np
import pytest

from minnet import Flatten, Layer, Linear, ReLU, Sequential, SoftmaxCrossEntropy, load_digits
from minnet.insight.diagnose import diagnose


class Times(Layer):
    """y = c x, without a parameter."""

    def __init__(self, c=1.0):
        self.c = c

    def forward(self, x):
        return self.c * x

    def backward(self, dy):
        return self.c * dy


def digits(n=64):
    x, y = load_digits()
    return x[:n], y[:n]


def network():
    return Sequential(Linear(64, 32, rng=0), ReLU(), Linear(32, 10, rng=1), SoftmaxCrossEntropy())


def test_the_figures_of_a_layer_are_those_of_what_passes_it():
    model, (x, y) = network(), digits()
    report = diagnose(model, x, y, lr=0.1)
    names = ["layer 0, Linear(64, 32, rng=0)", "layer 1, ReLU()", "layer 2, Linear(32, 10, rng=1)"]
    assert [row.name for row in report.layers] == names
    model(x, y)
    model.backward()
    hidden, scores = model[0](x), model[:3](x)
    dscores = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True) - np.eye(10)[y]) / len(x)
    first, relu, second = report.layers
    assert (first.mean, first.spread) == pytest.approx((hidden.mean(), hidden.std()), rel=1e-4)
    assert (second.mean, second.spread) == pytest.approx((scores.mean(), scores.std()), rel=1e-4)
    assert (second.gradient_mean, second.gradient_spread) == pytest.approx((0, dscores.std()), rel=1e-4, abs=1e-8)
    assert relu.gradient_spread == pytest.approx((dscores @ model[2].W.data.T).std(), rel=1e-4)
    assert (first.dead, second.dead, relu.updates) == (None, None, {})
    assert relu.dead == pytest.approx((hidden <= 0).all(axis=0).mean())
    for row, layer in ((first, model[0]), (second, model[2])):
        W = layer.W
        assert row.updates["W"] == pytest.approx(0.1 * np.linalg.norm(W.grad) / np.linalg.norm(W.data), rel=1e-4)
        assert row.updates["b"] is None, "b is 0"


def test_a_unit_is_dead_if_it_is_silent_for_every_sample_and_its_input_is_not():
    x = np.array([[1.0, -1.0, -2.0, 0.0], [2.0, 3.0, -1.0, 0.0]], np.float32)
    model = Sequential(Times(), ReLU(), Linear(4, 2, rng=0), SoftmaxCrossEntropy())
    rows = diagnose(model, x, np.array([0, 1])).layers
    assert [row.dead for row in rows] == [None, 0.25, None]


def test_a_layer_with_parameters_has_no_dead_units():
    model = Sequential(Linear(3, 3, rng=0), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    model[0].W.data[:, 1] = 0
    assert diagnose(model, np.ones((2, 3)), np.array([0, 1])).layers[0].dead is None


def test_positions_and_samples_count_alike_for_dead_units():
    x = -np.ones((3, 4, 5, 2), np.float32)
    x[1, 2, 3, 0] = 1.0
    model = Sequential(ReLU(), Flatten(), Linear(40, 2, rng=0), SoftmaxCrossEntropy())
    assert diagnose(model, x, np.array([0, 1, 1])).layers[0].dead == 0.5


def test_the_report_prints_as_a_table_with_sentences_below():
    model = network()
    model[2].W.data *= 5
    report = diagnose(model, *digits())
    head, columns, *lines = str(report).splitlines()
    assert head.startswith("Sequential(...): the loss is 4.4")
    assert "training on a few samples takes theirs from " in head
    assert " ".join(columns.split()) == "layer mean spread dead gradient mean spread update / weight"
    assert [line.startswith(f"layer {i}, ") for i, line in enumerate(lines[:3])] == [True] * 3
    assert lines[3:] == [f"- {finding}" for finding in report.findings] and len(report.findings) == 1
    assert repr(report) == str(report)
