"""fit, evaluate, predict: what they compute and what they show."""

import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import minnet
from minnet import (
    SGD,
    Batches,
    History,
    Layer,
    Linear,
    MeanSquaredError,
    Parameter,
    Sequential,
    SoftmaxCrossEntropy,
)

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])


class Line(Layer):
    """A whole model without Sequential: the squared distance of a x from y, with a derivative by hand."""

    def __init__(self):
        self.a = Parameter([0.0])

    def forward(self, x, y=None):
        predicted = x * self.a.data
        if y is None:
            return predicted
        self.cache = x, predicted - y
        return float(((predicted - y) ** 2).mean())

    def backward(self):
        x, error = self.cache
        self.a.grad += 2 * (x * error).mean()


class Scripted(Layer):
    """A model whose losses are given, and whose gradient is 1."""

    def __init__(self, losses):
        self.losses = iter(losses)
        self.a = Parameter([0.0])

    def forward(self, x, y=None):
        self.cache = None
        return next(self.losses)

    def backward(self):
        self.a.grad += 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def from_zero():
    """A classifier that starts at zero, so that it's the same in every framework."""
    model = classifier()
    model[0].W.data[...] = 0
    return model


def in_order(batch_size=2):
    return Batches(X, Y, batch_size, shuffle=False)


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def test_fit_computes_what_pytorch_computes():
    model = from_zero()
    validation = Batches(X[1:4], Y[1:4], 2)
    history = minnet.fit(model, SGD(model.parameters(), lr=0.5, momentum=0.9), in_order(), 3, validation)
    # PyTorch gives these, in float64; the counts are those before each update.
    assert history["loss"] == pytest.approx([1.5186715417, 0.5390878675, 0.4308562766], rel=1e-5)
    assert history["accuracy"] == [0.4, 0.8, 0.8]
    assert history["val_loss"] == pytest.approx([0.2861278894, 0.1439466344, 0.1597747542], rel=1e-5)
    assert history["val_accuracy"] == [1.0, 1.0, 1.0]
    assert model[0].W.data.ravel() == pytest.approx(
        [1.3542528, -4.1442589, 2.7900061, 0.4268388, -1.6671465, 1.2403078], rel=1e-5
    )
    assert model[0].b.data == pytest.approx([1.5138689, 1.0190050, -2.5328738], rel=1e-5)


def test_the_history_is_a_dict_of_plain_lists():
    model = classifier()
    history = minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), np.int64(2), in_order())
    assert isinstance(history, History) and isinstance(history, dict)
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    for column in history.values():
        assert type(column) is list and [type(value) for value in column] == [float, float]


def test_there_is_no_accuracy_without_classes_and_no_validation_without_data():
    model = Sequential(Linear(2, 1, rng=0), MeanSquaredError())
    history = minnet.fit(model, SGD(model.parameters(), lr=0.1), Batches(X, X[:, :1], 2), 1)
    assert list(history) == ["loss", "seconds"]
    assert list(minnet.evaluate(model, Batches(X, X[:, :1], 2))) == ["loss"]


def test_the_loss_is_the_mean_over_batches_as_they_were_trained():
    model = Scripted([1.0, 2.0, 6.0])
    history = minnet.fit(model, SGD(model.parameters(), lr=0.1), [(X, Y), (X, Y), (X[:1], Y[:1])], 1)
    assert history["loss"] == [3.0]
    assert model.a.data == pytest.approx([-0.3])


def test_seconds_measure_each_epoch_with_its_validation(monkeypatch):
    clock = [100.0]

    class Slow(list):
        def __iter__(self):
            clock[0] += self.takes
            return super().__iter__()

    train, validation = Slow(in_order()), Slow(in_order())
    train.takes, validation.takes = 2.0, 0.5
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    model = classifier()
    assert minnet.fit(model, SGD(model.parameters(), lr=0.1), train, 3, validation)["seconds"] == [2.5, 2.5, 2.5]


def test_the_loop_written_out_gives_the_same_bytes_as_fit():
    fitted, looped = classifier(), classifier()
    minnet.fit(fitted, SGD(fitted.parameters(), lr=0.1, momentum=0.9), Batches(X, Y, 2, rng=1), 5)
    optimizer, batches = SGD(looped.parameters(), lr=0.1, momentum=0.9), Batches(X, Y, 2, rng=1)
    for _ in range(5):
        for x, y in batches:
            looped(x, y)
            looped.backward()
            optimizer.step()
    assert values(fitted) == values(looped)


SCRIPT = """
import hashlib, minnet
minnet.seed(3)
x, y = minnet.load_digits()
x_train, x_test, y_train, y_test = minnet.train_test_split(x, y)
model = minnet.Sequential(minnet.Linear(64, 10), minnet.SoftmaxCrossEntropy())
minnet.fit(model, minnet.SGD(model.parameters(), lr=0.1, momentum=0.9), minnet.Batches(x_train, y_train, 32), 2)
print(hashlib.sha256(minnet.predict(model, x_test).tobytes()).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_another_process():
    digests = set()
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(run.stdout)
    assert len(digests) == 1 and len(digests.pop()) == 65


def test_a_model_of_the_users_own_is_trained():
    model = Line()
    x = np.array([[1.0], [2.0], [3.0]])
    history = minnet.fit(model, SGD(model.parameters(), lr=0.05), Batches(x, 4 * x, 2, rng=0), 50)
    assert model.a.data == pytest.approx([4.0], abs=1e-4)
    assert list(history) == ["loss", "seconds"] and history["loss"][-1] < 1e-6
    assert minnet.predict(model, x, 2) == pytest.approx(4 * x, abs=1e-3)
    assert minnet.evaluate(model, Batches(x, 4 * x, 2))["loss"] < 1e-6


def test_any_iterable_that_can_be_walked_again_is_data():
    fitted, listed = classifier(), classifier()
    minnet.fit(fitted, SGD(fitted.parameters(), lr=0.1), in_order(), 2)
    minnet.fit(listed, SGD(listed.parameters(), lr=0.1), list(in_order()), 2)
    assert values(fitted) == values(listed)


def test_no_epochs_change_nothing():
    model = classifier()
    before = values(model)
    assert minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 0) == {}
    assert values(model) == before


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 100])
def test_evaluate_gives_the_figures_of_the_whole_data_whatever_the_batches(batch_size):
    model = Sequential(Linear(64, 10, rng=0), SoftmaxCrossEntropy())
    x, y = (part[:37] for part in minnet.load_digits())
    result = minnet.evaluate(model, Batches(x, y, batch_size))
    assert result["loss"] == pytest.approx(model(x, y), rel=1e-6)
    assert result["accuracy"] == minnet.accuracy(y, model(x))
    assert [type(value) for value in result.values()] == [float, float]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_evaluate_counts_what_the_loss_ignores_neither_in_the_loss_nor_in_the_accuracy(batch_size):
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy(ignore_index=-1))
    y = np.array([0, -1, -1, 1, -1])
    result = minnet.evaluate(model, Batches(X, y, batch_size, shuffle=False))
    assert result["accuracy"] == minnet.accuracy(y[[0, 3]], model(X)[[0, 3]])
    assert result["loss"] == pytest.approx(model(X, y), rel=1e-6)


def test_evaluate_walks_data_that_can_be_walked_once():
    model = classifier()
    assert minnet.evaluate(model, iter(in_order())) == minnet.evaluate(model, in_order())


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 100])
def test_predict_gives_the_rows_of_the_model_in_order(batch_size):
    model = classifier()
    result = minnet.predict(model, X, batch_size)
    assert result == pytest.approx(model(X), rel=1e-6)
    assert result.shape == (5, 3) and result.sum(axis=1) == pytest.approx(1)


def test_predict_takes_what_the_model_takes_and_gives_what_it_gives():
    model = classifier()
    assert minnet.predict(model, X.tolist(), 2).dtype == np.float32
    assert minnet.predict(model.astype(np.float64), X, 2).dtype == np.float64
    assert minnet.predict(Sequential(), np.array([[4, 5], [6, 7]]), 1).tolist() == [[4, 5], [6, 7]]
    assert minnet.predict(model, X[:0]).shape == (0, 3)
    assert minnet.predict(Sequential(minnet.Flatten()), np.ones((3, 2, 2)), 2).shape == (3, 4)


def test_predict_never_hands_out_the_array_it_was_given():
    result = minnet.predict(Sequential(), X)
    result[...] = 0
    assert X.any()


def test_nothing_is_shown_where_there_is_no_terminal(capsys):
    model = classifier()
    minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 2)
    minnet.evaluate(model, in_order())
    minnet.predict(model, X)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_epochs_loss_and_accuracy(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    model = from_zero()
    minnet.fit(model, SGD(model.parameters(), lr=0.5, momentum=0.9), in_order(), 3, in_order())
    last = sys.stderr.getvalue().split("\r")[-1]
    # The figures of the last epoch are those that PyTorch gives above.
    for words in ("3/3", "epoch", "loss=0.4309", "accuracy=0.8000", "val_loss=", "val_accuracy="):
        assert words in last
    assert capsys.readouterr().out == ""


def test_no_progress_is_shown_to_who_wants_none(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    model = classifier()
    minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 2, progress=False)
    assert sys.stderr.getvalue() == ""


def test_sample_weights_in_the_batches_reach_the_loss():
    x, y = np.random.default_rng(0).normal(size=(8, 3)), np.array([0, 1] * 4)
    weights = np.array([1.0, 0] * 4)
    runs = []
    for data in ([(x, y, weights)], [(x[::2], y[::2])]):
        model = minnet.Sequential(minnet.Linear(3, 2, rng=0), minnet.SoftmaxCrossEntropy())
        minnet.fit(model, minnet.SGD(model.parameters(), 0.1), data, 3, progress=False)
        runs.append((model.state_dict()["0.W"], minnet.evaluate(model, data)["loss"]))
    assert runs[0][0] == pytest.approx(runs[1][0], abs=1e-6)
    assert runs[0][1] == pytest.approx(runs[1][1], abs=1e-6)
