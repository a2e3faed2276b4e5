"""Checkpoints of several optimizers and of groups of batches, and runs that go on with another learning rate."""

import math
import os
from functools import partial

import numpy as np
import pytest

import minnet
from minnet import (
    SGD,
    Adam,
    Batches,
    BatchNorm,
    CheckpointError,
    Dropout,
    History,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    cosine_decay,
    exponential_decay,
)
from minnet.files.archive import read, write

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = np.arange(20) % 2
PLAIN = partial(SGD, lr=0.1, momentum=0.9)
BODY, HEAD = partial(SGD, lr=exponential_decay(0.1, 0.9), momentum=0.9), partial(Adam, lr=0.01)


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)


def network():
    return Sequential(
        Linear(3, 4, rng=0),
        BatchNorm(4),
        Dropout(0.25, rng=np.random.default_rng(1)),
        Linear(4, 2, rng=2),
        SoftmaxCrossEntropy(),
    )


def one(make=PLAIN):
    return lambda model: make(model.parameters())


def two(body=BODY, head=HEAD):
    return lambda model: [
        body([*model[0].parameters(), *model[1].parameters()]),
        head(model[3].parameters()),
    ]


def fit(path, epochs=4, optimizers=None, **options):
    """A script from its beginning: the model, its optimizers and the history."""
    model = network()
    held = (optimizers or two())(model)
    train = Batches(X, Y, 4, rng=np.random.default_rng(3))
    history = minnet.fit(model, held, train, epochs, checkpoint=path, progress=False, **options)
    return model, held, history


def result(script):
    model, held, history = script
    each = held if isinstance(held, list) else [held]
    states = [{name: np.asarray(value).tobytes() for name, value in one.state_dict().items()} for one in each]
    columns = {name: column for name, column in history.items() if name != "seconds"}
    return {name: array.tobytes() for name, array in model.state_dict().items()}, states, columns


def stopped_at(epoch, batch):
    def on_batch_end(at):
        return (at.epoch, at.batch) != (epoch, batch)

    return {"on_batch_end": on_batch_end, "checkpoint_every": 1}


@pytest.mark.parametrize(("epoch", "batch"), [(1, 1), (1, 3), (2, 1), (3, 5), (4, 4)])
def test_a_run_of_two_optimizers_goes_on_to_the_same_bytes(epoch, batch, tmp_path):
    fit(tmp_path / "run", **stopped_at(epoch, batch))
    assert result(fit(tmp_path / "run")) == result(fit(None))


def test_a_callback_may_set_the_numbers_of_each(tmp_path):
    def script(path, epochs):
        model = network()
        held = two(head=partial(Adam, lr=0.01))(model)

        def slower(history):
            held[0].momentum *= 0.5
            held[1].lr *= 0.5

        train = Batches(X, Y, 4, rng=np.random.default_rng(3))
        history = minnet.fit(model, held, train, epochs, checkpoint=path, on_epoch_end=slower, progress=False)
        return model, held, history

    script(tmp_path / "run", 2)
    resumed = script(tmp_path / "run", 4)
    assert result(resumed) == result(script(None, 4)) and resumed[1][1].lr == 0.01 / 16


OTHERS = {
    "one for all": (one(), ["the optimizers: 1 here, 2 in the file"]),
    "another kind": (
        two(head=partial(SGD, lr=0.01)),
        ["optimizer 1, the optimizer: SGD here, Adam in the file"],
    ),
    "another number": (
        two(head=partial(Adam, lr=0.01, betas=(0.8, 0.999))),
        ["optimizer 1, its numbers: betas=[0.8, 0.999] here, betas=[0.9, 0.999] in the file"],
    ),
    "another rate of the second": (
        two(head=partial(Adam, lr=0.02)),
        ["optimizer 1, its numbers: lr=0.02 here, lr=0.01 in the file", "new_lr=True"],
    ),
    "another schedule of the first": (
        two(body=partial(SGD, lr=exponential_decay(0.1, 0.8), momentum=0.9)),
        ["its learning rate: 0.08 at step 1 here, 0.09 at step 1 in the file", "new_lr=True"],
    ),
    "the other way round": (lambda model: two()(model)[::-1], ["the optimizer: Adam here, SGD in the file"]),
    "another share": (
        lambda model: [
            SGD(model[0].parameters(), exponential_decay(0.1, 0.9), momentum=0.9),
            Adam([*model[1].parameters(), *model[3].parameters()], 0.01),
        ],
        ["its parameters: nothing here, 1.gamma, not decayed in the file"],
    ),
}


@pytest.mark.rows(("other", "texts"), OTHERS.values(), ids=OTHERS)
def test_other_optimizers_are_another_run_and_told_by_their_number(other, texts, tmp_path):
    fit(tmp_path / "run")
    with pytest.raises(CheckpointError) as caught:
        fit(tmp_path / "run", optimizers=other)
    assert [text for text in texts if text not in str(caught.value)] == [], caught.value
    (tmp_path / "run").unlink()


def test_two_where_the_file_has_one_are_counted_too(tmp_path):
    fit(tmp_path / "run", optimizers=one())
    with pytest.raises(CheckpointError, match="the optimizers: 2 here, 1 in the file"):
        fit(tmp_path / "run")


def test_a_file_that_can_not_be_resumed_from_leaves_no_trace_in_either(tmp_path):
    fit(tmp_path / "run")
    arrays, notes = read(tmp_path / "run")
    del arrays["optimizer1/m"]
    write(tmp_path / "run", arrays, notes)
    model, history = network(), History()
    held = two()(model)
    before = result((model, held, history))
    with pytest.raises(CheckpointError, match="missing m"):
        minnet.fit(model, held, Batches(X, Y, 4, rng=3), 4, checkpoint=tmp_path / "run", history=history)
    assert result((model, held, history)) == before and held[1].lr == 0.01


def test_the_file_of_one_optimizer_has_the_names_that_it_always_had(tmp_path):
    fit(tmp_path / "run", 1, one())
    arrays, notes = read(tmp_path / "run")
    assert {name for name in arrays if "/" in name} == {"optimizer/steps", "optimizer/v"}
    assert notes["numbers"]["momentum"] == 0.9
    assert {"the optimizer", "its learning rate", "its numbers", "its parameters"} <= notes["belongs to"].keys()


def test_a_file_of_an_older_version_goes_on_and_its_epochs_have_no_learning_rate(tmp_path):
    """It knows nothing of groups of batches, of epochs of another length, of min_delta, nor of learning rates."""
    options = {"patience": 9, "monitor": "loss", "mode": "min"}
    fit(tmp_path / "run", 2, one(), **options)
    arrays, notes = read(tmp_path / "run")
    for name in ("batches of a step", "batches of an epoch"):
        del notes["belongs to"][name]
    del notes["position"]["walked"], notes["stopping"]["to_beat"], notes["history"]["lr"]
    write(tmp_path / "run", arrays, notes)
    resumed, whole = fit(tmp_path / "run", 4, one(), **options), fit(None, 4, one(), **options)
    assert result(resumed)[:2] == result(whole)[:2] and resumed[2]["loss"] == whole[2]["loss"]
    assert np.isnan(resumed[2]["lr"][:2]).all() and resumed[2]["lr"][2:] == [0.1, 0.1]
    again = fit(tmp_path / "run", 5, one(), **options)[2]["lr"]
    assert np.isnan(again[:2]).all() and again[2:] == [0.1] * 3


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (1, 3), (2, 5), (3, 1)])
def test_groups_of_batches_go_on_between_two_steps(epoch, batch, tmp_path):
    """Five batches an epoch, two to a step: the last step of each has one."""
    options = {"accumulate": 2}
    fit(tmp_path / "run", **stopped_at(epoch, batch) | options | {"checkpoint_every": 2})
    assert result(fit(tmp_path / "run", **options)) == result(fit(None, **options))


def test_groups_of_another_size_are_another_run(tmp_path):
    fit(tmp_path / "run", accumulate=2)
    with pytest.raises(CheckpointError, match="batches of a step: 3 here, 2 in the file"):
        fit(tmp_path / "run", accumulate=3)


def test_another_rate_is_told_with_both_and_with_what_to_do(tmp_path):
    fit(tmp_path / "run", optimizers=one())
    with pytest.raises(CheckpointError) as caught:
        fit(tmp_path / "run", optimizers=one(partial(PLAIN, lr=0.05)))
    assert str(caught.value) == (
        f"fit: {tmp_path / 'run'} is the checkpoint of another run: its numbers: lr=0.05 here, lr=0.1 in the file; "
        "give the learning rate that is in the file, or new_lr=True to go on with another; or give another path, or "
        "remove the file to begin anew"
    )
    with pytest.raises(CheckpointError, match="; set back what on_epoch_end has changed, or give the learning rate"):
        fit(tmp_path / "run", optimizers=one(partial(PLAIN, lr=0.05)), on_epoch_end=lambda history: None)
    with pytest.raises(CheckpointError) as caught:
        fit(tmp_path / "run", optimizers=one(partial(PLAIN, momentum=0.8)))
    assert "new_lr" not in str(caught.value) and "on_epoch_end" not in str(caught.value)


RATES = {
    "a number": (0.1, 0.02, 0.02),
    "a longer schedule": (cosine_decay(0.1, 10), cosine_decay(0.1, 20), None),
    "a schedule after a number": (0.1, cosine_decay(0.1, 20), None),
    "a number after a schedule": (cosine_decay(0.1, 10), 0.02, 0.02),
}


@pytest.mark.parametrize(("before", "after", "number"), RATES.values(), ids=RATES)
def test_a_run_goes_on_with_another_rate_where_that_is_asked_for(before, after, number, tmp_path):
    """As a training that goes on in the same process, whose optimizer is given another one."""
    path, old, new = tmp_path / "run", one(partial(PLAIN, lr=before)), one(partial(PLAIN, lr=after))
    fit(path, 2, old)
    with pytest.raises(CheckpointError, match="new_lr=True"):
        fit(path, 4, new)
    model = network()
    held = old(model)
    train = Batches(X, Y, 4, rng=np.random.default_rng(3))
    minnet.fit(model, held, train, 2, progress=False)
    held.lr = after
    minnet.fit(model, held, train, 2, progress=False)
    resumed = fit(path, 4, new, new_lr=True)
    assert result(resumed)[:2] == result((model, held, History()))[:2]
    assert resumed[1].lr == (after if number is None else number)
    assert result(fit(path, 4, new)) == result(resumed), "the file is that of the new rate from then on"
    with pytest.raises(CheckpointError, match="new_lr=True"):
        fit(path, 4, old)


def test_other_differences_are_refused_with_a_new_rate_too(tmp_path):
    fit(tmp_path / "run", optimizers=one())
    with pytest.raises(CheckpointError) as caught:
        fit(tmp_path / "run", optimizers=one(partial(SGD, lr=0.05, momentum=0.8)), new_lr=True)
    assert "momentum=0.8 here, momentum=0.9 in the file" in str(caught.value) and "lr=0.05" not in str(caught.value)


def test_a_rate_that_a_callback_has_set_gives_way_to_a_new_one_and_a_momentum_stays(tmp_path):
    def script(epochs, **options):
        model = network()
        held = one()(model)

        def slower(history):
            held.lr, held.momentum = held.lr * 0.5, held.momentum * 0.5

        train = Batches(X, Y, 4, rng=np.random.default_rng(3))
        minnet.fit(model, held, train, epochs, checkpoint=tmp_path / "run", on_epoch_end=slower, **options)
        return held

    assert script(2).lr == 0.025
    held = script(3, new_lr=True)
    assert (held.lr, held.momentum) == (0.05, 0.9 / 8)


def test_the_epoch_that_is_to_beat_is_resumed_beside_the_best_one(tmp_path):
    """2.15 is an improvement on 2.5 by more than 0.3; on 2.4, the best of the first three, it would be none."""
    figures = [3.0, 2.5, 2.4, 2.15, 2.1, 2.1, 2.1]

    def script(path, epochs, told):
        model, left = network(), iter(told)
        options = {"metrics": {"told": lambda *_: next(left)}, "monitor": "val_told", "mode": "min"}
        train = Batches(X, Y, 4, rng=np.random.default_rng(3))
        optimizer = one()(model)
        options |= {"validation": [(X, Y)], "patience": 3, "min_delta": 0.3}
        history = minnet.fit(model, optimizer, train, epochs, checkpoint=path, progress=False, **options)
        return model, optimizer, history

    script(tmp_path / "run", 3, figures)
    resumed, whole = script(tmp_path / "run", 9, figures[3:]), script(None, 9, figures)
    assert result(resumed) == result(whole) and len(whole[2]["loss"]) == 7


# A schedule is told from another by its values, whatever they come from.
FACTOR = 1.0
TABLE = np.linspace(0.1, 0.01, 100)


class Falling:
    """A schedule that has its numbers in attributes."""

    def __init__(self, lr, every):
        self.lr, self.every = lr, every

    def __call__(self, step):
        return self.lr * 0.5 ** (step // self.every)


def enclosing(table):
    return lambda step: float(table[min(step, len(table) - 1)])


def changed(table, place, value):
    other = table.copy()
    other[place] = value
    return other


def defaulting(rate):
    return lambda step, rate=rate: rate / (1 + step)


def keyword(rate):
    return lambda step, *, rate=rate: rate / (1 + step)


def falls(step, lr, steps):
    return lr * (1 - step / steps)


DIFFERENT = {
    "an attribute": (Falling(0.1, 30), Falling(0.1, 31)),
    "a method's object": (Falling(0.1, 30).__call__, Falling(0.2, 30).__call__),
    "a formula": (lambda step: 0.1 * (1 - step / 100), lambda step: 0.1 / (1 + step / 100)),
    "a value in an array that is enclosed": (enclosing(TABLE), enclosing(changed(TABLE, 31, 0.05))),
    "a partial": (partial(falls, lr=0.1, steps=100), partial(falls, lr=0.1, steps=101)),
    "a default": (defaulting(0.1), defaulting(0.11)),
    "a default by keyword": (keyword(0.1), keyword(0.11)),
    "its end": (cosine_decay(0.1, 20), cosine_decay(0.1, 20, final=0.001)),
}


@pytest.mark.parametrize(("here", "there"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_schedule_that_gives_something_else_is_refused_wherever_that_is_written(here, there, tmp_path):
    fit(tmp_path / "run", 2, one(partial(PLAIN, lr=there)))
    with pytest.raises(CheckpointError, match="its learning rate: "):
        fit(tmp_path / "run", 4, one(partial(PLAIN, lr=here)))


def test_a_global_that_a_schedule_reads_through_another_function_is_a_difference(tmp_path, monkeypatch):
    def factor():
        return FACTOR

    schedule = one(partial(PLAIN, lr=lambda step: 0.1 * factor()))
    fit(tmp_path / "run", 2, schedule)
    fit(tmp_path / "run", 3, schedule)
    monkeypatch.setitem(globals(), "FACTOR", 0.5)
    with pytest.raises(CheckpointError, match=r"its learning rate: 0\.05 at step 0 here, 0\.1 at step 0 in the file"):
        fit(tmp_path / "run", 4, schedule)


SAME = {
    "a class for a function": (Falling(0.1, 30), lambda step: 0.1 * math.pow(0.5, step // 30)),
    "a table for a formula": (lambda step: 0.1 * (1 - step / 100), partial(falls, lr=0.1, steps=100)),
    "NumPy's numbers": (enclosing(TABLE), lambda step: np.float64(TABLE[min(step, 99)])),
    "another order of the formula": (lambda step: 0.1 * (1 - step / 1000), lambda step: (0.1 * (1000 - step)) / 1000),
}


@pytest.mark.parametrize(("here", "there"), SAME.values(), ids=SAME)
def test_a_schedule_that_gives_the_same_is_the_same_however_it_is_written(here, there, tmp_path):
    fit(tmp_path / "run", 2, one(partial(PLAIN, lr=there)))
    assert len(fit(tmp_path / "run", 4, one(partial(PLAIN, lr=here)))[2]["loss"]) == 4


@pytest.mark.parametrize("step", [*range(300, 332), 350, 400])
def test_a_difference_in_the_steps_to_come_is_found_where_the_run_goes_on(step, tmp_path):
    """Of single steps there: those that a sample from the first step on would pass by."""
    width = 1 if step < 332 else 15
    path, dip = tmp_path / "run", lambda t: 0.05 if step <= t < step + width else 0.1
    history = History()
    model = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    batches = [(X, Y)] * 100
    minnet.fit(model, SGD(model.parameters(), lambda t: 0.1), batches, 3, checkpoint=path, history=history)
    model = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
    with pytest.raises(CheckpointError, match=r"its learning rate: 0\.05 at step 3\d\d here|at step 4\d\d here"):
        minnet.fit(model, SGD(model.parameters(), dip), batches, 5, checkpoint=path)


def test_a_difference_late_in_a_long_run_is_found_before_it_is_reached(tmp_path):
    """At the steps that the run has left, evenly; a sample that grows by tenths would step over these 400."""

    def one_of(schedule):
        model = Sequential(Linear(3, 2, rng=0), SoftmaxCrossEntropy())
        left = iter([True, False])
        return minnet.fit(
            model,
            SGD(model.parameters(), schedule),
            [(X, Y)] * 400,
            100,
            checkpoint=tmp_path / "run",
            on_epoch_end=lambda history: next(left),
        )

    one_of(lambda step: 0.1)
    with pytest.raises(CheckpointError, match=r"its learning rate: 0\.2 at step 3\d{4} here"):
        one_of(lambda step: 0.2 if 36_600 <= step < 37_000 else 0.1)
