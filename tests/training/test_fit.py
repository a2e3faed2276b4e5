"""fit: what it computes, records and leaves behind."""

import os
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest

import minnet
from minnet import (
    SGD,
    Adam,
    Batches,
    BatchNorm,
    Dropout,
    History,
    Layer,
    Linear,
    MeanSquaredError,
    Parameter,
    Residual,
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


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def noisy():
    """A classifier with all that differs between training and evaluation."""
    return classifier(BatchNorm(3), Dropout(0.5, rng=1), Linear(3, 3, rng=2))


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
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    for column in history.values():
        assert type(column) is list and [type(value) for value in column] == [float, float]


def test_there_is_no_accuracy_without_classes_and_no_validation_without_data():
    model = Sequential(Linear(2, 1, rng=0), MeanSquaredError())
    history = minnet.fit(model, SGD(model.parameters(), lr=0.1), Batches(X, X[:, :1], 2), 1)
    assert list(history) == ["loss", "lr", "seconds"]
    assert list(minnet.evaluate(model, Batches(X, X[:, :1], 2))) == ["loss"]


def test_the_loss_is_the_mean_over_batches_as_they_were_trained(scripted):
    model = scripted([1.0, 2.0, 6.0])
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


def test_seconds_of_an_epoch_that_is_taken_up_are_those_of_both_parts(monkeypatch, tmp_path, scripted):
    clock = [100.0]

    class Slow(scripted):
        def forward(self, x, y=None):
            clock[0] += 2.0
            return super().forward(x, y)

    class Interrupted(list):
        def __iter__(self):
            yield from self[:2]
            raise KeyboardInterrupt

    def fit(train):
        model = Slow([4.0, 3.0, 2.0])
        options = {"checkpoint": tmp_path / "run", "checkpoint_every": 1}
        return minnet.fit(model, SGD(model.parameters(), lr=0.1), train, 1, **options)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupted([(X, Y)] * 3))
    clock[0] += 1000.0
    assert fit([(X, Y)] * 3)["seconds"] == [6.0]


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
import hashlib, itertools, pathlib, sys, time, minnet
time.perf_counter = itertools.count().__next__  # the checkpoint holds how long an epoch took
minnet.seed(3)
x, y = minnet.load_digits()
x_train, x_test, y_train, y_test = minnet.train_test_split(x[:400], y[:400])
model = minnet.Sequential(
    minnet.Linear(64, 32), minnet.BatchNorm(32), minnet.ReLU(), minnet.Dropout(0.3), minnet.Linear(32, 10),
    minnet.SoftmaxCrossEntropy(label_smoothing=0.1),
)
optimizer = minnet.Adam(model.parameters(), minnet.linear_warmup(5, minnet.cosine_decay(0.01, 20)), clip_norm=1.0)
minnet.fit(
    model, optimizer, minnet.Batches(x_train, y_train, 32), 3, minnet.Batches(x_test, y_test, 32, shuffle=False),
    metrics={"right": minnet.accuracy, "top": minnet.top_k_accuracy},
    patience=5, checkpoint=sys.argv[1],
)
minnet.save(model, sys.argv[1] + ".model")
for path in (sys.argv[1], sys.argv[1] + ".model"):
    print(hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())
print(hashlib.sha256(minnet.predict(model, x_test).tobytes()).hexdigest())
"""


@pytest.mark.long
@pytest.mark.rows("threads", ["1", "2"])
def test_the_same_seed_and_number_of_threads_give_the_same_bytes_in_any_process(threads, tmp_path):
    """Products that are large enough for several threads; 1 and 2 of them may differ from one another."""
    script = SCRIPT.replace("Linear(64, ", "Linear(64, 512), minnet.Linear(512, ")
    assert script != SCRIPT
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    command = [sys.executable, "-c", script]
    first, second = (
        subprocess.run(
            [*command, str(tmp_path / f"{i}")],
            env=os.environ | dict.fromkeys(names, threads),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for i in range(2)
    )
    assert first == second and len(first.splitlines()) == 3
    for path in tmp_path.iterdir():
        path.unlink()


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path, monkeypatch, capsys):
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT, str(tmp_path / "there")],
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.setattr(time, "perf_counter", time.perf_counter)  # so that it is set back
    monkeypatch.setattr(sys, "argv", ["script", str(tmp_path / "here")])
    exec(SCRIPT, {})
    here = capsys.readouterr().out
    assert here == run.stdout and [len(line) for line in here.splitlines()] == [64] * 3


def test_a_model_of_the_users_own_is_trained():
    model = Line()
    x = np.array([[1.0], [2.0], [3.0]])
    history = minnet.fit(model, SGD(model.parameters(), lr=0.05), Batches(x, 4 * x, 2, rng=0), 50)
    assert model.a.data == pytest.approx([4.0], abs=1e-4)
    assert list(history) == ["loss", "lr", "seconds"] and history["loss"][-1] < 1e-6
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


often = pytest.mark.parametrize("steps", [1000, pytest.param(10_000, marks=pytest.mark.long)])


@often
def test_steps_through_fit_do_not_grow(steps):
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    optimizer = SGD(model.parameters(), lr=1e-3, momentum=0.9)
    train = [(X, Y)] * (steps // 10)
    held = []
    tracemalloc.start()
    try:
        minnet.fit(
            model, optimizer, train, 10, on_epoch_end=lambda history: held.append(tracemalloc.get_traced_memory()[0])
        )
    finally:
        tracemalloc.stop()
    assert optimizer.steps == steps
    # In the last nine tenths of the steps: a single float for each would be more than 20 kB.
    assert held[-1] - held[0] < 12_000


def held_by(steps, keep=None):
    """By how much memory grows in a loop that is written out."""
    model = Sequential(Linear(2, 3, rng=0), Dropout(0.5, rng=1), SoftmaxCrossEntropy())
    optimizer = Adam(model.parameters(), lr=1e-3)
    tracemalloc.start()
    try:
        before = 0
        for step in range(steps):
            if step == steps // 10:
                before = tracemalloc.get_traced_memory()[0]
            model(X, Y)
            if keep is not None:
                keep.append(model[0].cache[0].copy())
            model.backward()
            optimizer.step()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@often
def test_steps_of_a_loop_that_is_written_out_do_not_grow(steps):
    assert held_by(steps) < 12_000


def test_a_loop_that_keeps_its_caches_would_be_seen_to_grow():
    assert held_by(500, keep=[]) > 12_000


def test_no_cache_is_left_by_fit_evaluate_or_predict():
    model = Sequential(
        Linear(2, 4, rng=0), BatchNorm(4), Residual(Linear(4, 4, rng=1), Dropout(0.5, rng=2)), Linear(4, 3, rng=3)
    )
    model = Sequential(model, SoftmaxCrossEntropy())
    calls = (
        lambda: minnet.fit(model, SGD(model.parameters(), 0.1), [(X, Y)], 2, in_order()),
        lambda: minnet.evaluate(model, in_order(), {"m": minnet.accuracy}),
        lambda: minnet.predict(model, X),
    )
    for call in calls:
        call()
        assert not any("cache" in vars(layer) for layer in model.walk(Layer).values())
        assert not any(parameter.grad.any() for parameter in model.parameters())
        with pytest.raises(RuntimeError, match="backward before forward"):
            model.backward()


def test_metrics_of_the_validation_are_in_the_history():
    calls = []

    def f1(y_true, y_pred):
        calls.append((y_true.tolist(), y_pred.shape))
        return np.float64(len(calls) / 4)

    history = minnet.fit(
        model := classifier(),
        SGD(model.parameters(), 0.1),
        in_order(),
        3,
        in_order(),
        metrics={"f1": f1, "right": minnet.accuracy},
    )
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "val_right", "lr", "seconds"]
    assert history["val_f1"] == [0.25, 0.5, 0.75] and history["val_right"] == history["val_accuracy"]
    assert calls == [(Y.tolist(), (5, 3))] * 3


def test_the_validation_is_what_evaluate_gives_after_the_epoch():
    model = noisy()
    measured = []
    history = minnet.fit(
        model,
        SGD(model.parameters(), 0.1),
        [(X, Y)],
        3,
        in_order(),
        on_epoch_end=lambda history: measured.append(minnet.evaluate(model, in_order())),
    )
    assert history["val_loss"] == [results["loss"] for results in measured]
    assert history["val_accuracy"] == [results["accuracy"] for results in measured]


def test_validation_that_would_be_shuffled_changes_nothing_of_the_training():
    def trained(validation):
        minnet.seed(3)
        model = Sequential(Linear(2, 3), Dropout(0.5), SoftmaxCrossEntropy())
        minnet.fit(model, SGD(model.parameters(), 0.1), Batches(X, Y, 2), 4, validation)
        return values(model)

    shuffled = Batches(X, Y, 2)
    assert trained(shuffled) == trained(None) == trained((X, Y)) and shuffled.shuffle


def test_a_callback_may_predict_and_evaluate_without_disturbing_the_training():
    def look(history):
        minnet.evaluate(watched, in_order())
        minnet.predict(watched, X)
        minnet.summary(watched, (2,))

    watched, alone = noisy(), noisy()
    minnet.fit(watched, SGD(watched.parameters(), 0.1), Batches(X[:4], Y[:4], 2, rng=4), 4, on_epoch_end=look)
    minnet.fit(alone, SGD(alone.parameters(), 0.1), Batches(X[:4], Y[:4], 2, rng=4), 4)
    assert values(watched) == values(alone)


@pytest.mark.parametrize("order", ["C", "F"])
def test_data_that_are_only_read_and_lie_in_any_order_are_trained_on(order):
    x, y = np.array(X, order=order), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    fitted, plain = classifier(), classifier()
    minnet.fit(fitted, SGD(fitted.parameters(), 0.1), [(x, y)], 3, [(x, y)])
    minnet.fit(plain, SGD(plain.parameters(), 0.1), [(X, Y)], 3)
    assert fitted[0].W.data == pytest.approx(plain[0].W.data, rel=1e-5)


def test_a_history_that_is_given_is_the_one_that_is_returned_and_goes_on():
    model, history = classifier(), History(loss=[9.0], accuracy=[0.5], seconds=[1.0])
    assert minnet.fit(model, SGD(model.parameters(), 0.1), in_order(), 2, history=history) is history
    assert history["loss"][0] == 9.0 and [len(column) for column in history.values()] == [3] * 4
    assert list(history) == ["loss", "accuracy", "seconds", "lr"] and np.isnan(history["lr"][0])
    assert history["lr"][1:] == [0.1, 0.1]


def test_a_float64_model_is_trained_in_float64():
    model = classifier().astype(np.float64)
    minnet.fit(model, SGD(model.parameters(), 0.1), [(X, Y)], 2)
    assert {parameter.data.dtype for parameter in model.parameters()} == {np.dtype(np.float64)}
