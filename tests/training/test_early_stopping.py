"""Early stopping: what is best, when it is enough, and that the best comes back whatever ends the training."""

import math

import numpy as np
import pytest

import minnet
from minnet import SGD, Batches, BatchNorm, Buffer, Layer, Linear, Parameter, Sequential, SoftmaxCrossEntropy
from minnet.training.early_stopping import EarlyStopping, early_stopping

NAN = math.nan
ONE = [(np.zeros((1, 1)), np.zeros(1))]


class Counted(Layer):
    """A model whose parameter and buffer are the number of the epoch, and whose validation loss is as given."""

    def __init__(self, losses):
        self.losses = losses
        self.epoch = Parameter([0.0])
        self.seen = Buffer([0])

    def forward(self, x, y=None):
        self.cache = None
        if y is None:
            return x
        if self.training:
            self.seen.data += 1
            return 1.0
        return float(self.losses[int(self.seen.data[0]) - 1])

    def backward(self):
        self.epoch.grad -= 1


def trained(losses, epochs=None, stop_at=None, error=None, patience=2, **options):
    """A model after a training in which the validation losses are as given; its number of epochs, and the history."""
    model, history = Counted(losses), minnet.History()

    def on_epoch_end(history):
        if len(history["loss"]) == stop_at:
            if error:
                raise error
            return False
        return None

    def train():
        optimizer = SGD(model.parameters(), lr=1.0)
        epoch = len(losses) if epochs is None else epochs
        minnet.fit(
            model, optimizer, ONE, epoch, ONE, patience=patience, on_epoch_end=on_epoch_end, history=history, **options
        )

    if error:
        with pytest.raises(type(error)):
            train()
    else:
        train()
    return restored(model), len(history.get("loss", []))


def restored(model):
    """The epoch that a model is of, the same by its parameter and by its buffer."""
    assert model.epoch.data[0] == model.seen.data[0]
    return int(model.seen.data[0])


@pytest.mark.rows(
    ("losses", "patience", "best", "ended"),
    [
        ([3, 2, 1, 2, 2, 0], 2, 3, 5),
        ([3, 2, 1, 2, 2, 0], 3, 6, 6),
        ([1, 2, 3, 4], 1, 1, 2),
        ([3, 2, 1], 1, 3, 3),
        ([3, 2, 4], 2, 2, 3),
        ([2, 2, 2, 2], 2, 1, 3),
        ([2, 1, 1, 1, 0], 3, 5, 5),
        ([2, 3, 1, 3, 3, 0], 2, 3, 5),
        ([NAN, 2, NAN, NAN, 1], 2, 2, 4),
        ([2, NAN, 1, NAN, 0], 2, 5, 5),
        ([math.inf, 5, 6], 2, 2, 3),
        ([-1, -2, -math.inf, -3], 2, 3, 4),
    ],
)
def test_the_best_epoch_comes_back_once_patience_is_exhausted(losses, patience, best, ended):
    assert trained(losses, patience=patience) == (best, ended)


@pytest.mark.rows(
    ("losses", "min_delta", "best", "ended"),
    [
        ([5.0, 4.9, 4.8, 4.7, 0.0], 0.5, 3, 3),
        ([5.0, 4.75, 4.4, 4.2, 3.8, 3.75], 0.5, 6, 6),
        ([5.0, 4.5, 4.0], 0.5, 3, 3),
        ([5.0, 4.0, 3.9, 3.95, 0.0], 0.5, 3, 4),
        ([5.0, 4.9, 4.8, 4.7], 0.0, 4, 4),
        ([-1.0, -1.2, -1.3, -9.0], 0.5, 3, 3),
    ],
)
def test_an_improvement_by_too_little_ends_patience_and_its_epoch_is_the_best_all_the_same(
    losses, min_delta, best, ended
):
    """Epochs are measured against the last improvement, so that a slow one adds up."""
    assert trained(losses, patience=2, min_delta=min_delta) == (best, ended)


def test_an_improvement_of_what_shall_be_high_is_measured_upwards():
    told = iter([0.5, 0.55, 0.58, 0.9])
    options = {"metrics": {"score": lambda *_: next(told)}, "monitor": "val_score", "mode": "max", "min_delta": 0.1}
    assert trained([1] * 4, patience=2, **options) == (3, 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"patience": None, "min_delta": 0.1}, "expected patience with min_delta=0.1"),
        ({"patience": 2, "min_delta": -0.1}, "expected min_delta to be at least 0 and finite, got -0.1"),
        ({"patience": 2, "min_delta": math.nan}, "expected min_delta to be at least 0 and finite, got nan"),
    ],
)
def test_a_min_delta_that_can_not_be_is_refused(options, text):
    with pytest.raises(ValueError, match=text):
        trained([1, 2], **options)


def test_where_nothing_was_ever_better_the_last_epoch_stays():
    assert trained([NAN] * 5, patience=3) == (3, 3)


@pytest.mark.rows(
    ("mode", "values", "best"),
    [
        ("max", [1, 3, 2, 2, 9], 2),
        ("min", [3, 1, 2, 2, 0], 2),
        ("max", [2, NAN, 2, 9], 1),
        ("max", [-3, -1, -2, -1], 2),
    ],
)
def test_a_named_metric_is_better_as_its_mode_says(mode, values, best):
    told = iter(values)
    result, ended = trained(
        [1] * len(values), metrics={"score": lambda y_true, y_pred: next(told)}, monitor="val_score", mode=mode
    )
    assert (result, ended) == (best, 4 if best == 2 else 3)


def test_the_training_loss_can_be_monitored_without_validation():
    losses = iter([3.0, 1.0, 2.0, 2.0, 0.0])

    class Scripted(Counted):
        def forward(self, x, y=None):
            super().forward(x, y)
            return next(losses)

    model = Scripted([])
    history = minnet.fit(model, SGD(model.parameters(), lr=1.0), ONE, 5, patience=2, monitor="loss")
    assert history["loss"] == [3.0, 1.0, 2.0, 2.0] and restored(model) == 2


def test_an_accuracy_is_better_when_it_is_higher():
    x, y = np.eye(2, dtype=np.float32), np.array([0, 1])
    model = Sequential(Linear(2, 2, rng=0), SoftmaxCrossEntropy())
    model[0].W.data[...] = np.eye(2)
    # Trained on the labels exchanged, it has all right as long as it has moved little, and then all wrong.
    optimizer = SGD(model.parameters(), lr=lambda step: 0.0 if step == 0 else 5.0)
    history = minnet.fit(model, optimizer, [(x, 1 - y)], 9, [(x, y)], patience=2, monitor="val_accuracy")
    assert history["val_accuracy"] == [1.0, 0.0, 0.0]
    assert minnet.evaluate(model, [(x, y)])["accuracy"] == 1.0


@pytest.mark.rows("error", [KeyboardInterrupt(), ValueError("bad"), SystemExit(), StopIteration(), MemoryError()])
def test_the_best_epoch_comes_back_when_the_callback_raises(error):
    assert trained([3, 1, 2, 2, 2], patience=4, stop_at=4, error=error) == (2, 4)


def test_the_best_epoch_comes_back_when_the_callback_says_stop():
    assert trained([3, 1, 2, 2, 2], patience=4, stop_at=3) == (2, 3)


def test_the_best_epoch_comes_back_after_the_last_one():
    assert trained([3, 1, 2], patience=9) == (2, 3)


class Failing(Counted):
    """One that fails in a forward pass of training, once three epochs are over."""

    def forward(self, x, y=None):
        result = super().forward(x, y)
        if self.training and self.seen.data[0] == 4:
            if isinstance(self.failure, float):
                return self.failure
            raise self.failure
        return result


@pytest.mark.rows(
    ("failure", "error"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("bad"), RuntimeError),
        (NAN, FloatingPointError),
        (math.inf, FloatingPointError),
    ],
)
def test_the_best_epoch_comes_back_when_a_batch_ends_the_training(failure, error):
    model = Failing([2, 1, 3, 4, 5])
    model.failure = failure
    with pytest.raises(error):
        minnet.fit(model, SGD(model.parameters(), lr=1.0), ONE, 5, ONE, patience=4)
    assert restored(model) == 2


def test_the_best_epoch_comes_back_when_validation_ends_the_training():
    with pytest.raises(IndexError):
        trained([2, 1, 3], epochs=5, patience=4)
    model = Counted([2, 1, 3])
    with pytest.raises(IndexError):
        minnet.fit(model, SGD(model.parameters(), lr=1.0), ONE, 5, ONE, patience=4)
    assert restored(model) == 2


@pytest.mark.rows("error", [KeyboardInterrupt(), ValueError("bad")])
def test_nothing_comes_back_without_patience(error):
    assert trained([3, 1, 2, 2, 2], patience=None) == (5, 5)
    assert trained([3, 1, 2, 2, 2], patience=None, stop_at=4, error=error) == (4, 4)


def test_nothing_comes_back_before_the_first_epoch_is_over():
    class Stopped(list):
        def __iter__(self):
            yield from super().__iter__()
            raise KeyboardInterrupt

    model = Counted([1])
    with pytest.raises(KeyboardInterrupt):
        minnet.fit(model, SGD(model.parameters(), lr=1.0), Stopped(ONE), 5, ONE, patience=1)
    assert restored(model) == 1


def test_running_statistics_of_the_best_epoch_come_back_with_its_parameters():
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (12, 3)).astype(np.float32), np.arange(12) % 2
    model = Sequential(BatchNorm(3), Linear(3, 2, rng=1), SoftmaxCrossEntropy())
    states = []
    values = iter([0.2, 0.1, 0.3, 0.3])
    minnet.fit(
        model,
        SGD(model.parameters(), lr=0.5),
        Batches(x, y, 4, rng=2),
        4,
        [(x, y)],
        metrics={"told": lambda *_: next(values)},
        monitor="val_told",
        mode="min",
        patience=3,
        on_epoch_end=lambda history: states.append(model.state_dict()),
    )
    best, after = states[1], model.state_dict()
    assert all(np.array_equal(best[name], after[name]) for name in best)
    for name in ("0.running_mean", "0.running_var", "1.W"):
        assert not np.array_equal(states[3][name], after[name]), "they had gone on"


def test_what_is_kept_is_a_copy_and_no_live_reference():
    model = Counted([])
    stopping = EarlyStopping(3, "val_loss", "min")
    model.epoch.data[...], model.seen.data[...] = 5, 5
    stopping.update({"val_loss": 1.0}, model)
    model.epoch.data[...], model.seen.data[...] = 6, 6
    stopping.restore(model)
    assert restored(model) == 5
    model.epoch.data[...], model.seen.data[...] = 7, 7
    stopping.restore(model)
    assert restored(model) == 5, "what was restored is no reference to what is kept either"


def test_a_live_reference_would_be_noticed(monkeypatch):
    monkeypatch.setattr(
        Counted, "state_dict", lambda self: {n: s.data for n, s in self.walk(Parameter, Buffer).items()}
    )
    assert trained([3, 1, 2, 2], patience=2)[0] != 2


def test_a_best_epoch_that_is_not_brought_back_would_be_noticed(monkeypatch):
    monkeypatch.setattr(EarlyStopping, "restore", lambda self, model: None)
    assert trained([3, 1, 2, 2], patience=2) == (4, 4)


def test_the_epochs_waited_are_counted_in_a_row():
    model, stopping = Counted([]), EarlyStopping(2, "loss", "min")
    waited = []
    for loss in [3.0, 3.0, 2.0, 5.0, NAN, 1.0]:
        stopping.update({"loss": loss}, model)
        waited.append((stopping.waited, stopping.exhausted()))
    assert waited == [(0, False), (1, False), (0, False), (1, False), (2, True), (0, False)]


def test_a_buffer_that_is_assigned_anew_comes_back_too():
    class Assigning(Layer):
        """y = x; counts by assigning, as NumPy's numbers make it natural."""

        def __init__(self):
            self.passes = Buffer(0)

        def forward(self, x):
            self.cache = None
            if self.training:
                self.passes.data = self.passes.data + 1
            return x

        def backward(self, dy):
            return dy

    x, y = np.eye(2, dtype=np.float32), np.array([0, 1])
    model, values = Sequential(Linear(2, 2), Assigning(), SoftmaxCrossEntropy()), iter([0.1, 0.2])
    optimizer, metrics = SGD(model.parameters(), lr=0.1), {"told": lambda *_: next(values)}
    minnet.fit(model, optimizer, [(x, y)], 2, [(x, y)], metrics=metrics, patience=5, monitor="val_told", mode="min")
    assert model[1].passes.data == 1


def test_a_figure_that_the_model_does_not_have_is_named():
    model = Counted([1])
    with pytest.raises(ValueError, match=r"monitor to be one of loss, val_loss, got 'val_accuracy'"):
        minnet.fit(model, SGD(model.parameters(), lr=1.0), ONE, 2, ONE, patience=1, monitor="val_accuracy")


@pytest.mark.parametrize(
    ("monitor", "mode", "better"),
    [
        ("loss", None, "min"),
        ("val_loss", None, "min"),
        ("accuracy", None, "max"),
        ("val_accuracy", None, "max"),
        ("val_f1", "max", "max"),
        ("val_error", "min", "min"),
        ("val_loss", "max", "max"),
    ],
)
def test_losses_shall_be_low_and_accuracies_high_unless_told_otherwise(monitor, mode, better):
    assert early_stopping(1, 0.0, monitor, mode, {"f1", "error"}, validation=True).mode == better
