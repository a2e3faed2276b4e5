"""Taking up a run: what is refused, by name and without a trace, and what goes on."""

import copy
import math
import os
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest

import minnet
from minnet import (
    SGD,
    Adam,
    Batches,
    BatchNorm,
    Buffer,
    CheckpointError,
    Dropout,
    History,
    Layer,
    Linear,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    exponential_decay,
)
from minnet.files.archive import read, write
from minnet.training.generators import Generators

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = np.arange(10) % 2


def network(hidden=4, activation=ReLU, p=0.25):
    return Sequential(
        Linear(3, hidden, rng=0),
        activation(),
        BatchNorm(hidden),
        Dropout(p, rng=np.random.default_rng(1)),
        Linear(hidden, 2, rng=2),
        SoftmaxCrossEntropy(),
    )


def momentum(model, lr=0.1, momentum=0.9):
    return SGD(model.parameters(), lr, momentum=momentum)


def rows(n=10, size=4, shuffle=True):
    return Batches(X[:n], Y[:n], size, shuffle=shuffle, rng=np.random.default_rng(3))


def right(y_true, y_pred):
    return float((y_pred.argmax(axis=-1) == y_true).mean())


class Session:
    """A script with one thing changed or another; what it made stays to be looked at."""

    def __init__(self, path, epochs=3, model=network, optimizer=momentum, train=rows, validation=rows, **options):
        self.model = model()
        self.optimizer = optimizer(self.model)
        self.train, self.validation = train(), validation and validation()
        self.history = options.pop("history", History())
        self.arguments = (self.model, self.optimizer, self.train, epochs, self.validation)
        self.options = {"checkpoint": path, "history": self.history, **options}

    def fit(self):
        # The disk itself is tried elsewhere; here, waiting for it would take most of the time.
        with mock.patch.object(os, "fsync", lambda file: None):
            minnet.fit(*self.arguments, **self.options)
        return self

    def everything(self):
        """All that a refusal must not touch, to the last bit."""
        path = self.options["checkpoint"]
        drawn = [minnet.generator(), *self.model.walk(np.random.Generator).values()]
        drawn += [data.rng for data in (self.train, self.validation) if isinstance(data, Batches)]
        return {
            "model": {name: array.tobytes() for name, array in self.model.state_dict().items()},
            "optimizer": {name: np.asarray(a).tobytes() for name, a in self.optimizer.state_dict().items()},
            "numbers": {name: value for name, value in vars(self.optimizer).items() if np.isscalar(value)},
            "generators": [copy.deepcopy(generator.bit_generator.state) for generator in drawn],
            "history": {name: list(column) for name, column in self.history.items()},
            "modes": [layer.training for layer in self.model.walk(Layer).values()],
            "file": path.read_bytes() if path and path.exists() else None,
        }

    def result(self):
        """All that the training gave."""
        found = repr({what: value for what, value in self.everything().items() if what not in ("history", "file")})
        return found, {name: column for name, column in self.history.items() if name != "seconds"}


def refusal(session):
    """The text of the error with which a run is refused, once it is known that nothing was changed."""
    session.model.eval()
    before = session.everything()
    with pytest.raises(CheckpointError) as caught:
        session.fit()
    after = session.everything()
    assert [what for what in before if repr(before[what]) != repr(after[what])] == []
    return str(caught.value)


WATCHED = {"patience": 5, "metrics": {"right": right}}


@cache
def file_of_a_run():
    """What a finished run has in its checkpoint, all that there can be."""
    with TemporaryDirectory() as folder:
        Session(Path(folder) / "run", **WATCHED).fit()
        return (Path(folder) / "run").read_bytes()


def in_float64():
    return network().astype(np.float64)


def of_a_free_head(model):
    model[4].W.decay = False
    return momentum(model)


def of_the_head(model):
    return momentum(model[4])


REFUSED = {
    "another size": ({"model": partial(network, hidden=5)}, ["Linear(3, 5, rng=0) here, ", "Linear(3, 4, rng=0) in"]),
    "another activation": ({"model": partial(network, activation=Tanh)}, ["Tanh() here", "ReLU() in the file"]),
    "another share dropped": ({"model": partial(network, p=0.5)}, ["Dropout(0.5) here", "Dropout(0.25) in the file"]),
    "another dtype": ({"model": in_float64}, ["0.W float64 (3, 4) here", "0.W float32 (3, 4) in the file"]),
    "another kind of optimizer": (
        {"optimizer": lambda m: Adam(m.parameters(), 0.1)},
        ["the optimizer: Adam here, SGD in the file"],
    ),
    "another momentum": ({"optimizer": partial(momentum, momentum=0.8)}, ["momentum=0.8", "momentum=0.9"]),
    "no momentum": ({"optimizer": partial(momentum, momentum=0.0)}, ["momentum=0.0", "momentum=0.9"]),
    "another learning rate": ({"optimizer": partial(momentum, lr=0.2)}, ["lr=0.2", "lr=0.1"]),
    "a schedule": (
        {"optimizer": partial(momentum, lr=exponential_decay(0.1, 0.9))},
        ["its learning rate: a schedule here, a number in the file", "lr=0.1 in the file"],
    ),
    "another weight decayed": (
        {"optimizer": of_a_free_head},
        ["its parameters: 4.W, not decayed here, 4.W in the file"],
    ),
    "fewer parameters": ({"optimizer": of_the_head}, ["its parameters: ", "4.W", "0.W"]),
    "other weight decay": (
        {"optimizer": lambda m: SGD(m.parameters(), 0.1, momentum=0.9, weight_decay=0.5)},
        ["weight_decay=0.5", "weight_decay=0.0"],
    ),
    "fewer data": ({"train": partial(rows, 9)}, ["train: 9 samples", "10 samples"]),
    "smaller batches": ({"train": partial(rows, size=3)}, ["in batches of 3", "in batches of 4"]),
    "an order of the data": ({"train": partial(rows, shuffle=False)}, ["shuffle=False here", "shuffle=True in"]),
    "a list of batches": ({"train": lambda: list(rows())}, ["train: 3 batches here", "10 samples"]),
    "no validation": (
        {"validation": None, "metrics": None, "monitor": "loss"},
        ["validation: nothing here", "10 samples"],
    ),
    "less validation": ({"validation": partial(rows, 8)}, ["validation: 8 samples"]),
    "no metrics": ({"metrics": {}}, ["the metrics: nothing here, right in the file"]),
    "another metric": ({"metrics": {"wrong": right}}, ["the metrics: wrong here, right in the file"]),
    "another metric too": ({"metrics": {"also": right, "right": right}}, ["the metrics"]),
    "another figure": ({"monitor": "loss"}, ["early stopping: loss, min here, val_loss, min in the file"]),
    "the other direction": ({"mode": "max"}, ["early stopping: val_loss, max here, val_loss, min in the file"]),
    "no patience": ({"patience": None}, ["early stopping: nothing here, val_loss, min in the file"]),
    "fewer epochs": ({"epochs": 2}, ["epochs", "3", "got 2"]),
    "no epochs": ({"epochs": 0}, ["epochs", "3", "got 0"]),
    "a history of something else": (
        {"history": History(loss=[5.0], accuracy=[0.5], seconds=[1.0])},
        ["history", "agrees"],
    ),
}


@pytest.mark.parametrize(("change", "texts"), REFUSED.values(), ids=REFUSED)
def test_another_run_is_refused_with_the_difference_and_without_a_trace(change, texts, tmp_path):
    (tmp_path / "run").write_bytes(file_of_a_run())
    text = refusal(Session(tmp_path / "run", **WATCHED | change))
    assert str(tmp_path / "run") in text
    assert [part for part in texts if part not in text] == [], text


def test_the_file_that_is_refused_to_others_is_of_use_for_its_own_script(tmp_path):
    (tmp_path / "run").write_bytes(file_of_a_run())
    assert len(Session(tmp_path / "run", epochs=4, **WATCHED).fit().history["loss"]) == 4


def test_validation_that_was_added_is_refused_by_name(tmp_path):
    Session(tmp_path / "run", validation=None).fit()
    assert "validation: 10 samples of (3,) in batches of 4" in refusal(Session(tmp_path / "run"))


def test_many_differences_are_counted_and_not_all_told(tmp_path):
    Session(tmp_path / "run").fit()
    text = refusal(Session(tmp_path / "run", model=partial(network, hidden=9), train=partial(rows, 7)))
    told = int(re.search(r"and (\d+) more differences", text).group(1))
    # Three layers, the number of parameters, seven arrays, and the data.
    assert text.count(" here, ") == 4 and told == 12 - 4


def test_parameters_in_another_order_are_refused(tmp_path):
    """The moments lie in the order in which the optimizer was given the parameters."""

    def two():
        return Sequential(Linear(3, 3, rng=0), Linear(3, 3, rng=1), SoftmaxCrossEntropy())

    def backwards(model):
        return SGD(model.parameters()[::-1], 0.1, momentum=0.9)

    Session(tmp_path / "run", model=two).fit()
    assert "its parameters" in refusal(Session(tmp_path / "run", epochs=5, model=two, optimizer=backwards))


def test_a_model_by_save_is_no_run(tmp_path):
    minnet.save(network(), tmp_path / "run")
    assert "no checkpoint of a training run" in refusal(Session(tmp_path / "run"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"something else",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    ],
)
def test_a_damaged_file_is_refused_and_kept(damage, tmp_path):
    path = tmp_path / "run"
    path.write_bytes(damage(file_of_a_run()))
    assert str(path) in refusal(Session(path, **WATCHED))


def without(section, name):
    return lambda arrays, notes: (notes[section] if section else notes).pop(name)


def replaced(section, name, value):
    return lambda arrays, notes: (notes[section] if section else notes).__setitem__(name, value)


FORGED = {
    "no position": without("", "position"),
    "no generators": without("", "generators"),
    "no walk": without("", "walk began"),
    "no history": without("", "history"),
    "no stop": without("", "stopped"),
    "no early stopping": without("", "stopping"),
    "no epochs waited": without("stopping", "waited"),
    "early stopping in words": replaced("", "stopping", "soon"),
    "no numbers of the optimizer": without("", "numbers"),
    "no learning rate": without("numbers", "lr"),
    "a learning rate in letters": replaced("numbers", "lr", "low"),
    "several learning rates": replaced("numbers", "lr", [0.1, 0.2]),
    "a number that is none of the optimizer's": replaced("numbers", "step", 1.0),
    "no state of the package's generator": without("generators", "package"),
    "no state of the walk": without("walk began", "train.rng"),
    "a state that is none": replaced("generators", "model.3.rng", {"bit_generator": "PCG64"}),
    "an epoch in letters": replaced("position", "epoch", "three"),
    "a negative epoch": replaced("position", "epoch", -1),
    "a negative batch": replaced("position", "batch", -1),
    "a negative place in a walk": replaced("position", "walked", -1),
    "an unknown position": replaced("position", "year", 3),
    "a history without columns": replaced("", "history", [1, 2]),
    "a history of words": replaced("", "history", {"loss": ["low"]}),
    "a model that is none": replaced("belongs to", "the model", None),
    "arrays that are a number": replaced("belongs to", "the arrays", 5),
    "no optimizer": without("belongs to", "the optimizer"),
    "nothing that it belongs to": replaced("", "belongs to", None),
    "no parameter": lambda arrays, notes: arrays.pop("4.W"),
    "no moment": lambda arrays, notes: arrays.pop("optimizer/v"),
    "a longer moment": lambda arrays, notes: arrays.update({"optimizer/v": np.zeros(999)}),
    "a parameter too many": lambda arrays, notes: arrays.update({"9.W": np.zeros(1)}),
    "negative steps": lambda arrays, notes: arrays.update({"optimizer/steps": np.array(-1)}),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_whole_file_with_less_than_a_run_is_refused_without_a_trace(forge, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)
    path = tmp_path / "run"
    path.write_bytes(file_of_a_run())
    arrays, notes = read(path)
    forge(arrays, notes)
    write(path, arrays, notes)
    refusal(Session(path, epochs=4, **WATCHED))


def interrupted_in(epoch, batch):
    """Data that end by Ctrl-C once that batch is done; both count from 1."""

    class Interrupted(Batches):
        walks = 0

        def __iter__(self):
            self.walks += 1
            for i, pair in enumerate(super().__iter__(), 1):
                yield pair
                if (self.walks, i) == (epoch, batch):
                    raise KeyboardInterrupt

    return lambda: Interrupted(X, Y, 4, rng=np.random.default_rng(3))


def interrupted(path, epoch, batch, **options):
    with pytest.raises(KeyboardInterrupt):
        Session(path, train=interrupted_in(epoch, batch), checkpoint_every=1, **options).fit()


def halves(session):
    """A callback that lowers the learning rate and the momentum of a script's optimizer."""

    def on_epoch_end(history):
        session.optimizer.lr *= 0.5
        session.optimizer.momentum *= 0.5

    session.options["on_epoch_end"] = on_epoch_end
    return session


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 1), (3, 3)])
def test_numbers_of_the_optimizer_that_a_callback_sets_are_taken_up(epoch, batch, tmp_path):
    whole = halves(Session(None)).fit()
    with pytest.raises(KeyboardInterrupt):
        halves(Session(tmp_path / "run", train=interrupted_in(epoch, batch), checkpoint_every=1)).fit()
    resumed = halves(Session(tmp_path / "run")).fit()
    assert resumed.result() == whole.result() and resumed.optimizer.momentum == 0.9 / 8


def test_a_run_goes_on_in_the_process_whose_callback_has_set_the_learning_rate(tmp_path):
    """As in a notebook, whose cell is run again after Ctrl-C."""
    whole = halves(Session(None)).fit()
    session = halves(Session(tmp_path / "run", train=interrupted_in(2, 1), checkpoint_every=1))
    with pytest.raises(KeyboardInterrupt):
        session.fit()
    assert session.optimizer.lr == 0.05
    session.fit()
    again = halves(Session(tmp_path / "run")).fit()  # the file still belongs to the script as it begins
    assert session.result()[1] == again.result()[1] == whole.result()[1]
    assert all(
        np.array_equal(a, b) for a, b in zip(session.model.state_dict().values(), whole.model.state_dict().values())
    )


def changing(session, change):
    """A callback that changes something in a script's run after its second epoch."""

    def on_epoch_end(history):
        if len(history["loss"]) == 2:
            change(session)

    session.options["on_epoch_end"] = on_epoch_end
    return session


CHANGES = {
    "a schedule": (lambda s: setattr(s.optimizer, "lr", exponential_decay(0.1, 0.9)), "a number became a schedule"),
    "the size of batches": (lambda s: setattr(s.train, "batch_size", 2), "in batches of 2"),
    "what is decayed": (lambda s: setattr(s.model[0].W, "decay", False), "0.W became 0.W, not decayed"),
}


@pytest.mark.parametrize(("change", "text"), CHANGES.values(), ids=CHANGES)
def test_what_a_checkpoint_could_not_give_back_is_refused_when_it_is_changed(change, text, tmp_path):
    with pytest.raises(ValueError, match="expected on_epoch_end to leave alone") as caught:
        changing(Session(tmp_path / "run"), change).fit()
    assert text in str(caught.value)
    assert read(tmp_path / "run")[1]["position"]["epoch"] == 1
    Session(tmp_path / "run").fit()


class Drifting(Layer):
    """y = x, with a buffer that becomes float64."""

    def __init__(self):
        self.seen = Buffer(np.zeros(3))

    def forward(self, x):
        self.cache = None
        self.seen.data = self.seen.data + np.float64(0.1) * x.astype(np.float64).sum(axis=0)
        return x

    def backward(self, dy):
        return dy


def test_data_that_grow_and_a_buffer_that_becomes_longer_floats_are_no_change_of_the_run(tmp_path):
    class Growing:
        def __init__(self):
            self.batches = [(X[:5], Y[:5])]

        def __len__(self):
            return len(self.batches)

        def __iter__(self):
            self.batches.append((X[5:], Y[5:]))
            return iter(self.batches)

    model = Sequential(Drifting(), Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    history = minnet.fit(model, momentum(model), Growing(), 3, checkpoint=tmp_path / "run")
    assert len(history["loss"]) == 3 and read(tmp_path / "run")[1]["position"]["epoch"] == 3
    assert model[0].seen.data.dtype == np.float64


def test_a_learning_rate_that_a_callback_set_before_it_failed_is_to_be_set_back(tmp_path):
    def change(session):
        session.optimizer.lr = 0.05
        raise ZeroDivisionError

    session = changing(Session(tmp_path / "run"), change)
    with pytest.raises(ZeroDivisionError):
        session.fit()
    session.options["on_epoch_end"] = None
    with pytest.raises(
        CheckpointError, match=r"its numbers: lr=0\.05 here, lr=0\.1 in the file; give the learning rate that is in the"
    ):
        session.fit()
    session.optimizer.lr = 0.1
    assert session.fit().result()[1] == Session(None).fit().result()[1]


def test_only_the_numbers_that_differ_are_told(tmp_path):
    def scheduled(model):
        return momentum(model, lr=exponential_decay(0.1, 0.9))

    Session(tmp_path / "run").fit()
    text = refusal(Session(tmp_path / "run", optimizer=scheduled))
    assert "nothing here, lr=0.1 in the file" in text and "momentum" not in text


class Odd(SGD):
    """An optimizer with attributes that are no numbers."""

    def __init__(self, parameters):
        super().__init__(parameters, lr=0.1)
        self.ragged, self.texts, self.mixed = ((1, 2), (3,)), ("a", "b"), (None, 1)
        self.arrays, self.several, self.big = (np.ones(2),), (1, True, 0.5), np.float32(0.25)


def test_attributes_of_an_optimizer_that_are_no_numbers_are_left_alone(tmp_path):
    options = {"optimizer": lambda model: Odd(model.parameters())}
    Session(tmp_path / "run", epochs=2, **options).fit()
    resumed = Session(tmp_path / "run", **options).fit()
    assert resumed.result()[1] == Session(None, **options).fit().result()[1]
    assert resumed.optimizer.texts == ("a", "b") and resumed.optimizer.several == (1, True, 0.5)


class Table:
    """A schedule that has an end."""

    def __init__(self, *rates):
        self.rates = list(rates)

    def __call__(self, step):
        return self.rates[step]


SCALE = 0.1  # what a schedule may read from outside


SCHEDULES = {
    "a number in its code": (lambda step: 0.1 / (1 + step), lambda step: 0.1 / (2 + step), 0),
    "its formula": (lambda step: 0.1 * (1 - step / 100), lambda step: 0.1 / (1 + step / 100), 1),
    "what it encloses": (exponential_decay(0.1, 0.9), exponential_decay(0.1, 0.8), 1),
    "an argument": (partial(pow, 0.5), partial(pow, 0.25), 1),
    "a table in an object": (Table(*[0.1] * 12), Table(*[0.1] * 8, 0.2, 0.1, 0.1, 0.1), 8),
    "a late step": (minnet.step_decay(0.1, every=1000), minnet.step_decay(0.1, every=1001), 1000),
}


@pytest.mark.parametrize(("one", "other", "step"), SCHEDULES.values(), ids=SCHEDULES)
def test_another_schedule_is_refused_by_what_it_gives(one, other, step, tmp_path):
    Session(tmp_path / "run", optimizer=partial(momentum, lr=one)).fit()
    text = refusal(Session(tmp_path / "run", optimizer=partial(momentum, lr=other)))
    assert "its learning rate: " in text and f" at step {step} here, " in text and text.count(" here, ") == 1
    assert len(Session(tmp_path / "run", epochs=4, optimizer=partial(momentum, lr=one)).fit().history["loss"]) == 4


def test_a_table_of_rates_may_grow_with_the_epochs(tmp_path):
    def table(n):
        return partial(momentum, lr=Table(*[0.1, 0.2, 0.3] * n))

    Session(tmp_path / "run", epochs=1, optimizer=table(1)).fit()
    longer = Session(tmp_path / "run", epochs=2, optimizer=table(2)).fit()
    assert longer.result()[1] == Session(None, epochs=2, optimizer=table(2)).fit().result()[1]
    other = partial(momentum, lr=Table(*[0.1, 0.2, 0.3] * 2, 0.4))
    Session(tmp_path / "run", epochs=2, optimizer=other).fit()
    other = partial(momentum, lr=Table(*[0.1, 0.2, 0.3], 0.4, 0.2, 0.3))
    assert "0.4 at step 3 here, 0.1 at step 3 in the file" in refusal(
        Session(tmp_path / "run", epochs=2, optimizer=other)
    )


def drawn_from_its_own(model):
    rng = np.random.default_rng(0)
    return momentum(model, lr=lambda step: 0.1 * rng.random())


def drawn_from_the_package(model):
    return momentum(model, lr=lambda step: 0.1 * minnet.generator().random())


def counted(model):
    rates = iter(np.linspace(0.1, 0.2, 10_000))
    return momentum(model, lr=lambda step: next(rates))


@pytest.mark.parametrize("optimizer", [drawn_from_its_own, drawn_from_the_package, counted])
def test_a_schedule_that_does_not_depend_on_the_step_alone_is_refused_before_anything_is_done(optimizer, tmp_path):
    minnet.seed(0)
    session = Session(tmp_path / "run", optimizer=optimizer)
    before = session.everything()
    with pytest.raises(ValueError, match="fit: expected a schedule that depends on the step alone"):
        session.fit()
    assert repr(session.everything()) == repr(before)


def test_a_schedule_that_reads_another_global_is_refused(tmp_path, monkeypatch):
    options = {"optimizer": partial(momentum, lr=lambda step: SCALE)}
    Session(tmp_path / "run", **options).fit()
    monkeypatch.setitem(globals(), "SCALE", 0.2)
    assert "0.2 at step 0 here, 0.1 at step 0 in the file" in refusal(Session(tmp_path / "run", **options))


def test_a_schedule_that_is_written_otherwise_and_gives_the_same_is_no_difference(tmp_path):
    def scheduled(model):
        return momentum(model, lr=lambda step: 0.1 * math.exp(math.log(0.9) * step))  # another rounding

    Session(tmp_path / "run", optimizer=partial(momentum, lr=exponential_decay(0.1, 0.9))).fit()
    assert len(Session(tmp_path / "run", epochs=4, optimizer=scheduled).fit().history["loss"]) == 4


@pytest.mark.parametrize("rates", [[], None, {"x": 0.1}, {"0": "x"}, {"1" * 13: 0.1}])
def test_rates_that_no_schedule_gives_are_refused(rates, tmp_path):
    options = {"optimizer": partial(momentum, lr=exponential_decay(0.1, 0.9))}
    Session(tmp_path / "run", **options).fit()
    arrays, notes = read(tmp_path / "run")
    notes["belongs to"]["its learning rate"] = rates
    write(tmp_path / "run", arrays, notes)
    assert "it was written by another version of minnet" in refusal(Session(tmp_path / "run", **options))


@pytest.mark.parametrize("told", ["SGD, lr=<lambda>(0.1, 1)", "SGD, lr=step_decay(lr=0.1, every=20, factor=0.5)"])
def test_a_file_that_tells_its_schedule_by_its_code_is_still_good(told, tmp_path):
    """Such files were written once; they say nothing of the rates, which are in what is written from then on."""

    def scheduled(lr):
        return {"optimizer": partial(momentum, lr=lr)}

    def one(step):
        return 0.1 / (1 + step)

    def other(step):
        return 0.1 / (2 + step)

    Session(tmp_path / "run", epochs=1, **scheduled(one)).fit()
    arrays, notes = read(tmp_path / "run")
    del notes["belongs to"]["its learning rate"]
    notes["belongs to"]["the optimizer"] = told
    write(tmp_path / "run", arrays, notes)
    assert "the optimizer: Adam here, SGD in the file" in refusal(
        Session(tmp_path / "run", optimizer=lambda model: Adam(model.parameters(), one))
    )
    assert (
        Session(tmp_path / "run", epochs=2, **scheduled(one)).fit().result()[1]
        == (Session(None, epochs=2, **scheduled(one)).fit().result()[1])
    )
    assert "its learning rate" in refusal(Session(tmp_path / "run", **scheduled(other)))


def test_a_history_of_a_training_before_that_is_measured_again_is_no_difference(tmp_path):
    """The seconds that a training takes are never the same, but all else that it records is."""

    def script():
        before = Session(None, epochs=2).fit()
        return Session(tmp_path / "run", history=before.history).fit()

    assert script().result() == script().result()


def test_a_file_of_another_format_is_refused(tmp_path, monkeypatch):
    Session(tmp_path / "run").fit()
    monkeypatch.setattr("minnet.training.identity.FORMAT", 999)
    assert "the format: 999 here" in refusal(Session(tmp_path / "run"))


@pytest.mark.parametrize(("apart", "times"), [(12, 15), pytest.param(1, 200, marks=pytest.mark.long)])
def test_ctrl_c_at_any_bytecode_while_a_file_is_taken_up_leaves_all_or_nothing_of_it(ctrl_c, apart, times, tmp_path):
    """Of a finished run: nothing else is done than to take it up."""
    halves(Session(tmp_path / "run")).fit()

    def taken_up(number=None):
        session = halves(Session(tmp_path / "run"))
        fresh = repr(session.everything())
        with ctrl_c(["training/checkpoint.py"], number) as keyboard, suppress(KeyboardInterrupt):
            session.fit()
        return fresh, repr(session.everything()), keyboard.count

    fresh, adopted, total = taken_up()
    assert fresh != adopted
    numbers = {*range(total - 300, total, apart), *np.linspace(0, total, times, endpoint=False, dtype=int).tolist()}
    assert {number for number in numbers if taken_up(number + 1)[1] not in (fresh, adopted)} == set()


def test_a_second_ctrl_c_while_all_is_brought_back_is_no_harm(tmp_path, monkeypatch):
    Session(tmp_path / "run", patience=5).fit()
    session = Session(tmp_path / "run", epochs=5, patience=5)
    before = session.everything()
    pressed = []

    def interrupt(generators, states):
        pressed.append(states)
        if len(pressed) <= 2:
            raise KeyboardInterrupt
        set_states(generators, states)

    set_states = Generators.set_states
    monkeypatch.setattr(Generators, "set_states", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.fit()
    after = session.everything()
    assert len(pressed) == 3 and [what for what in before if repr(before[what]) != repr(after[what])] == []


def test_as_many_epochs_as_the_file_has_begun_are_too_few_within_the_next(tmp_path):
    """It has two epochs and a batch: no training of two epochs comes to that."""
    interrupted(tmp_path / "run", epoch=3, batch=1)
    assert "epochs" in refusal(Session(tmp_path / "run", epochs=2))


def test_more_epochs_than_before_give_the_longer_run(tmp_path):
    whole = Session(None, epochs=6).fit().result()
    for epochs in (1, 2, 4, 6):
        session = Session(tmp_path / "run", epochs=epochs).fit()
        assert len(session.history["loss"]) == epochs
    assert session.result() == whole


def test_a_complete_run_returns_at_once_with_its_best_epoch(tmp_path):
    values = iter([3.0, 1.0, 2.0])
    options = {
        "path": tmp_path / "run",
        "patience": 5,
        "metrics": {"told": lambda *_: next(values)},
        "monitor": "val_told",
        "mode": "min",
    }
    whole, file = Session(**options).fit(), (tmp_path / "run").read_bytes()
    again = Session(**options).fit()  # a fourth value would not be there
    assert again.result() == whole.result() and again.history == whole.history
    assert (tmp_path / "run").read_bytes() == file
    best = {name.removeprefix("best/"): a for name, a in read(tmp_path / "run")[0].items() if name.startswith("best/")}
    assert all(np.array_equal(array, best[name]) for name, array in again.model.state_dict().items())
    assert not np.array_equal(read(tmp_path / "run")[0]["0.W"], best["0.W"]), "the last epoch is another"


def test_a_raised_patience_goes_on_as_if_it_had_been_so_from_the_start(tmp_path):
    def never_better(y_true, y_pred):
        return 1.0

    options = {"metrics": {"told": never_better}, "monitor": "val_told", "mode": "min", "epochs": 9}
    whole = Session(None, patience=4, **options).fit()
    assert len(whole.history["loss"]) == 5
    first = Session(tmp_path / "run", patience=2, **options).fit()
    assert len(first.history["loss"]) == 3
    second = Session(tmp_path / "run", patience=4, **options).fit()
    assert second.result() == whole.result()


def test_a_run_that_the_callback_ended_stays_ended_for_it_and_goes_on_for_others(tmp_path):
    def until_two(history):
        return len(history["loss"]) < 2

    path = tmp_path / "run"
    ended = Session(path, epochs=5, on_epoch_end=until_two).fit()
    file = path.read_bytes()
    assert len(ended.history["loss"]) == 2
    again = Session(path, epochs=5, on_epoch_end=until_two).fit()
    assert again.result() == ended.result() and path.read_bytes() == file
    further = Session(path, epochs=5, on_epoch_end=lambda history: len(history["loss"]) < 4).fit()
    assert len(further.history["loss"]) == 4
    assert Session(path, epochs=5).fit().result() == Session(None, epochs=5).fit().result()


def test_a_callback_that_ended_a_run_adds_nothing_when_it_is_asked_again(tmp_path):
    def until_two(history):
        history.setdefault("told", []).append(7.0)
        return len(history["loss"]) < 2

    for _ in range(3):
        assert Session(tmp_path / "run", epochs=5, on_epoch_end=until_two).fit().history["told"] == [7.0, 7.0]


@pytest.mark.parametrize(("epoch", "batch"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)])
def test_the_same_history_after_ctrl_c_is_completed(epoch, batch, tmp_path):
    whole, history = Session(None).fit(), History()
    interrupted(tmp_path / "run", epoch, batch, history=history)
    assert len(history.get("loss", [])) == epoch - 1
    session = Session(tmp_path / "run", history=history, checkpoint_every=1).fit()
    assert session.history is history and session.result() == whole.result()


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_the_same_history_after_ctrl_c_in_the_callback_is_completed(epoch, tmp_path):
    """It is an epoch ahead of the file then, in the first epoch of an empty one."""

    def ctrl_c(history):
        if len(history["loss"]) == epoch:
            raise KeyboardInterrupt

    whole, history = Session(None).fit(), History()
    with pytest.raises(KeyboardInterrupt):
        Session(tmp_path / "run", on_epoch_end=ctrl_c, checkpoint_every=1, history=history).fit()
    session = Session(tmp_path / "run", checkpoint_every=1, history=history).fit()
    assert session.result() == whole.result()


@pytest.mark.parametrize("kind", [float, np.float64, int])
def test_a_column_of_the_callbacks_own_is_kept_and_agrees_with_itself(kind, tmp_path):
    def on_epoch_end(history):
        history.setdefault("own", []).append(kind(len(history["loss"])))

    options = {"path": tmp_path / "run", "on_epoch_end": on_epoch_end, "history": History()}
    Session(epochs=2, **options).fit()
    assert Session(epochs=3, **options).fit().history["own"] == [1, 2, 3]


def test_what_the_history_had_before_the_run_is_kept(tmp_path):
    def earlier():
        return History(loss=[9.0], accuracy=[0.0], val_loss=[8.0], val_accuracy=[0.5], seconds=[1.0])

    Session(tmp_path / "run", epochs=2, history=earlier()).fit()
    for history in (earlier(), History()):
        session = Session(tmp_path / "run", epochs=2, history=history).fit()
        assert session.history["loss"][0] == 9.0 and len(session.history["loss"]) == 3


KINDS = ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"]


def drawn_by(kind, seed=5):
    def model():
        rng = np.random.Generator(getattr(np.random, kind)(seed))
        rng.integers(3, dtype=np.uint32)  # so that half of a 64 bit number waits for its turn
        return Sequential(Linear(3, 2, rng=0), Dropout(0.5, rng=rng), SoftmaxCrossEntropy())

    return model


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bit_generator_is_taken_up_within_an_epoch(kind, tmp_path):
    whole = Session(None, model=drawn_by(kind)).fit()
    interrupted(tmp_path / "run", 2, 1, model=drawn_by(kind))
    resumed = Session(tmp_path / "run", model=drawn_by(kind, seed=6), checkpoint_every=1).fit()
    assert resumed.result() == whole.result()


def test_another_kind_of_bit_generator_is_refused(tmp_path):
    Session(tmp_path / "run", model=drawn_by("Philox")).fit()
    text = refusal(Session(tmp_path / "run", model=drawn_by("SFC64")))
    assert "model.1.rng SFC64 here, model.1.rng Philox in the file" in text


class With(Layer):
    """y = a x; takes anything as an argument."""

    def __init__(self, *anything):
        self.a = Parameter([1.0])

    def forward(self, x):
        self.cache = x
        return x * self.a.data

    def backward(self, dy):
        self.a.grad += (dy * self.cache).sum()
        return dy * self.a.data


ARGUMENTS = {
    "a function": "right",
    "a function without a name": "lambda x: x",
    "a partial": "partial(right, 1)",
    "an object": "object()",
    "a bound method": "object().__eq__",
    "a generator": "np.random.default_rng(0)",
    "generators in a list": "[np.random.default_rng(0), np.random.default_rng(1)]",
    "an array": "np.arange(3)",
}


def with_argument(text):
    return lambda: Sequential(With(eval(text)), Linear(3, 2, rng=0), SoftmaxCrossEntropy())


@pytest.mark.parametrize("text", ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_argument_shown_with_its_address_in_memory_is_not_refused(text, tmp_path):
    first = Session(tmp_path / "run", model=with_argument(text))
    first.fit()
    session = Session(tmp_path / "run", epochs=4, model=with_argument(text))  # while the first holds its addresses
    assert len(session.fit().history["loss"]) == 4


@pytest.mark.long
def test_a_model_with_a_function_is_taken_up_by_another_process(let_through, tmp_path):
    Session(tmp_path / "run", 1, model=with_argument("partial(right, 1)")).fit()
    environment = {**os.environ, "PYTHONPATH": str(Path(minnet.__file__).parents[1]), "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-W", "error", *let_through, __file__, str(tmp_path / "run"), "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_the_order_of_metrics_is_no_difference(tmp_path):
    Session(tmp_path / "run", metrics={"a": right, "b": right}).fit()
    assert len(Session(tmp_path / "run", epochs=4, metrics={"b": right, "a": right}).fit().history["val_a"]) == 4


def test_data_that_give_fewer_batches_than_the_file_counts_are_refused(tmp_path):
    class Some:
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            return iter(list(rows())[: self.n])

    def ctrl_c(self):
        yield from list(rows())[:2]
        raise KeyboardInterrupt

    class Stopped(Some):
        __iter__ = ctrl_c

    with pytest.raises(KeyboardInterrupt):
        Session(tmp_path / "run", train=lambda: Stopped(3), checkpoint_every=1).fit()
    with pytest.raises(ValueError, match="the 2 batches that the checkpoint counts, got 1"):
        Session(tmp_path / "run", train=lambda: Some(1), checkpoint_every=1).fit()


def test_the_last_finite_loss_is_remembered(tmp_path):
    interrupted(tmp_path / "run", 2, 1)
    session = Session(tmp_path / "run", checkpoint_every=1)
    last = read(tmp_path / "run")[1]["position"]["last"]
    loss = session.model[5].forward
    session.model[5].forward = lambda scores, target: loss(scores, target) * float("nan")
    with pytest.raises(
        FloatingPointError, match=r"epoch 2, batch 2: the loss is nan, the last finite loss was"
    ) as caught:
        session.fit()
    assert f"{last:.6g}" in str(caught.value)


if __name__ == "__main__":
    result = Session(Path(sys.argv[1]), int(sys.argv[2]), model=with_argument("partial(right, 1)")).fit()
    print(len(result.history["loss"]))
