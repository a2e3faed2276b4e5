import numpy as np
import pytest

from minnet import (
    ELU,
    GELU,
    BinaryCrossEntropy,
    Huber,
    Layer,
    LeakyReLU,
    Linear,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Softplus,
    Tanh,
    load_digits,
)
from minnet.insight.diagnose import diagnose


def test_targets_that_are_all_alike_are_named():
    x, y = load_digits()
    model = Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy())
    assert diagnose(model, x[:64], 0 * y[:64]).findings[0].startswith("all 64 targets in y are the same")
    assert diagnose(model, x[:64], y[:64]).findings == []


@pytest.mark.rows("nested", [False, True])
def test_an_activation_that_cuts_off_the_scores_is_told_to_be_left_out(nested):
    x, y = load_digits()
    layers = [Linear(64, 10, rng=0), ReLU()]
    model = Sequential(Sequential(*layers) if nested else layers[0], *layers[1:][nested:], SoftmaxCrossEntropy())
    name = "layer 0.1" if nested else "layer 1"
    following = "layer 1" if nested else "layer 2"
    assert diagnose(model, x[:64], y[:64]).findings == [
        f"{name}, ReLU() leaves no score below 0 to {following}, SoftmaxCrossEntropy(), so none can become unlikely; "
        "leave it out"
    ]


HOUSES = "the size of y is 7.04e+05 (root mean square), what the model gives is of size 0."


def regression(*last, nested=False, loss=None):
    layers = [Linear(64, 32, rng=0), ReLU(), Linear(32, 1, rng=1), *last]
    inner = Sequential(Sequential(*layers[:2]), Sequential(*layers[2:])) if nested else Sequential(*layers)
    return Sequential(*inner, loss or MeanSquaredError())


class Own(Layer):
    """A container of a user's own, with the loss in it."""

    def __init__(self, *layers):
        self.parts = list(layers)

    def forward(self, x, y=None):
        for layer in self.parts[:-1]:
            x = layer(x)
        return self.parts[-1](x, y)

    def backward(self):
        dy = self.parts[-1].backward()
        for layer in reversed(self.parts[:-1]):
            dy = layer.backward(dy)


def digits(n=128):
    x, y = load_digits()
    return x[:n], y[:n, None].astype(np.float32)


@pytest.mark.rows("nested", [False, True])
@pytest.mark.rows("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber()])
def test_targets_as_large_as_the_prices_of_houses_are_told_to_be_scaled_and_no_learning_rate_is_blamed(nested, loss):
    x, y = digits()
    first, *rest = diagnose(regression(nested=nested, loss=loss), x, y * 1e5 + 2e5).findings
    assert first.startswith(HOUSES) and "scale the targets, e.g. Standardize" in first
    assert not any("learning rate" in finding for finding in rest)


def test_integers_are_targets_too_and_those_that_a_model_gives_are_not_too_large():
    x, y = digits()
    assert "the size of y is 527" in diagnose(regression(), x, (100 * y).astype(int)).findings[0]
    model = regression()
    model[2].b.data[...] = 450
    assert not any("size of y" in finding for finding in diagnose(model, x, 100 * y).findings)


REACHES = [  # the last layers, targets, what is said
    ([Sigmoid()], lambda y: y, "Sigmoid() gives no value below 0 or above 1, but 102 of 128 targets are"),
    ([Tanh()], lambda y: y - 4, "Tanh() gives no value below -1 or above 1, but 89 of 128 targets are"),
    ([ReLU()], lambda y: y - 4, "ReLU() gives no value below 0, but 52 of 128 targets are, they go from -4 to 5"),
    ([Softplus()], lambda y: y - 4, "Softplus() gives no value below 0, but 52 of 128 targets are"),
    ([ELU()], lambda y: y - 4, "ELU() gives no value below -1, but 39 of 128 targets are"),
    ([Sigmoid(), Reshape(1)], lambda y: y, "Sigmoid() gives no value below 0 or above 1"),
]


@pytest.mark.rows("last, change, said", REACHES)
@pytest.mark.rows("nested", [False, True])
def test_targets_out_of_reach_of_the_last_layer_are_named_first(last, change, said, nested):
    x, y = digits()
    first, *_ = diagnose(regression(*last, nested=nested), x, change(y)).findings
    assert said in first and first.endswith("leave it out, or scale the targets into its range")


@pytest.mark.rows("last, change, said", REACHES[:4])
def test_targets_out_of_reach_are_named_in_a_container_of_ones_own(last, change, said):
    x, y = digits()
    assert said in diagnose(Own(*regression(*last)), x, change(y)).findings[0]


WITHIN = [
    ([Sigmoid()], lambda y: y > 4),
    ([Sigmoid()], lambda y: y / 9),
    ([Tanh()], lambda y: (y - 4.5) / 5),
    ([ReLU()], lambda y: y),
    ([LeakyReLU()], lambda y: y - 4),
    ([GELU()], lambda y: y / 9),
    ([Softplus()], lambda y: y / 9),
    ([], lambda y: y - 4),
]


@pytest.mark.rows("last, change", WITHIN)
def test_targets_within_reach_are_no_finding(last, change):
    x, y = digits()
    found = diagnose(regression(*last), x, change(y).astype(np.float32)).findings
    assert not any("gives no value" in finding or "size of y" in finding for finding in found)


class Poisson(Loss):
    """Of counts with the expected values exp(scores), which is what it predicts."""

    def forward(self, scores, target=None):
        self.cache = rate, _ = np.exp(scores), target
        return rate if target is None else float(np.mean(rate - target * scores))

    def backward(self, dloss=1.0):
        rate, target = self.cache
        return (rate - target) * (dloss / rate.size)


def test_a_loss_that_compares_something_else_says_nothing_of_sizes():
    x, y = digits()
    assert not any("size of y" in text for text in diagnose(regression(loss=Poisson()), x, 10 * y).findings)


def test_labels_and_answers_are_no_targets_of_that_kind():
    x, y = digits()
    model = Sequential(Linear(64, 1, rng=0), ReLU(), BinaryCrossEntropy())
    assert not any("gives no value" in text for text in diagnose(model, x, (y > 4).astype(np.float32)).findings)
