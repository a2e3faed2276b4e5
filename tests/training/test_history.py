"""History: whole, whatever interrupts it, comparable with another, and a table where it is printed."""

import copy
import math
import sys

import numpy as np
import pytest

from minnet import History

FIGURES = {"loss": 0.5, "accuracy": 0.25, "val_loss": 0.75, "seconds": 2.0}


def one_epoch():
    return History(loss=[1.0], accuracy=[0.0], val_loss=[3.0], seconds=[1.0])


def interrupted(history, line):
    """Record an epoch and press Ctrl-C at a line of it; whether there was such a line."""
    left = line

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code is History.record.__code__ and event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        history.record(**FIGURES)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_epoch_is_an_entry_in_each_column():
    history = History()
    history.record(loss=2.0, seconds=1.0)
    history.record(loss=1.0, seconds=3.0)
    assert history == {"loss": [2.0, 1.0], "seconds": [1.0, 3.0]}


@pytest.mark.rows("start", [History, one_epoch])
def test_an_epoch_is_recorded_whole_or_not_at_all_whatever_line_is_interrupted(start):
    line = 1
    while interrupted(history := start(), line):
        assert history == start(), f"interrupted at line {line}"
        line += 1
    assert line > 8, "at least a line for each of the appends was tried"
    assert [column[-1] for column in history.values()] == list(FIGURES.values())


@pytest.mark.rows("start", [History, one_epoch])
def test_recording_without_a_way_back_would_be_noticed(start, monkeypatch):
    def record(self, **values):
        for name, value in values.items():
            self.setdefault(name, []).append(value)

    monkeypatch.setattr(History, "record", record)
    line, torn = 1, 0
    while interrupted(history := start(), line):
        torn += len({len(history.get(name, [])) for name in FIGURES}) > 1
        line += 1
    assert torn > 0


@pytest.mark.rows("column", FIGURES)
def test_an_epoch_is_taken_back_when_an_append_fails(column):
    class Full(list):
        def append(self, value):
            raise MemoryError

    history = one_epoch()
    history[column] = Full(history[column])
    with pytest.raises(MemoryError):
        history.record(**FIGURES)
    assert history == one_epoch()


def test_a_new_column_that_fails_leaves_nothing_behind():
    class Refusing(History):
        def setdefault(self, name, default=None):
            if name == "val_loss" and sys.exc_info()[0] is None:
                raise KeyboardInterrupt
            return super().setdefault(name, default)

    history = Refusing()
    with pytest.raises(KeyboardInterrupt):
        history.record(**FIGURES)
    assert history == {}


def test_columns_that_are_not_recorded_stay_as_they_are():
    history = History(rate=[0.1, 0.2, 0.3], loss=[1.0])
    history.record(loss=2.0)
    assert history == {"rate": [0.1, 0.2, 0.3], "loss": [1.0, 2.0]}


def test_a_column_that_begins_later_is_in_line_with_the_others():
    history = History(loss=[3.0, 2.0], seconds=[1.0, 1.0])
    history.record(loss=1.0, lr=0.1, lr_1=0.2, seconds=1.0)
    assert repr(history["lr"]) == "[nan, nan, 0.1]" and repr(history["lr_1"]) == "[nan, nan, 0.2]"
    assert cells(history)[1] == ["1", "3.000", "1.000", "nan", "nan"]
    assert cells(history)[3] == ["3", "1.000", "1.000", "0.1000", "0.2000"]


def test_a_column_that_leaves_out_epochs_is_in_line_with_the_others():
    history = History()
    history.record(loss=3.0, val_loss=4.0)
    history.record(loss=2.0)
    history.record(loss=1.0, val_loss=2.0)
    assert repr(history["val_loss"]) == "[4.0, nan, 2.0]" and history["loss"] == [3.0, 2.0, 1.0]


@pytest.mark.rows(
    ("ours", "theirs", "agree"),
    [
        ({}, {"loss": [1.0]}, True),
        ({}, {}, True),
        ({"loss": [1.0]}, {"loss": [1.0, 2.0]}, True),
        ({"loss": [1.0, 2.0]}, {"loss": [1.0]}, True),
        ({"loss": [1.0]}, {"loss": [1.5]}, False),
        ({"loss": [1.0, 2.0]}, {"loss": [1.0, 3.0]}, False),
        ({"loss": [0.1 + 0.2]}, {"loss": [0.3]}, False),
        ({"loss": [math.nan]}, {"loss": [math.nan]}, True),
        ({"loss": [math.nan]}, {"loss": [1.0]}, False),
        ({"loss": [1.0]}, {"loss": [1.0], "accuracy": [1.0]}, False),
        ({"loss": [1.0], "accuracy": [1.0]}, {"loss": [1.0]}, False),
        ({"loss": [1.0], "seconds": [1.0]}, {"seconds": [1.0], "loss": [1.0]}, True),
        ({"loss": [1.0], "seconds": [1.0]}, {"loss": [1.0], "seconds": [2.0]}, True),
        ({"loss": [1.0], "seconds": [1.0]}, {"loss": [2.0], "seconds": [1.0]}, False),
        ({"loss": [1.0]}, {"loss": [1.0], "lr": [0.1], "lr_1": [0.2]}, True),
        ({"loss": [1.0], "lr": [0.1]}, {"loss": [1.0], "lr": [0.2]}, False),
    ],
)
def test_two_histories_agree_as_far_as_both_go(ours, theirs, agree):
    assert History(ours).agrees_with(History(theirs)) is agree


@pytest.mark.rows("history", [{"loss": [1.0]}, {"loss": [], "seconds": []}])
def test_an_empty_history_agrees_with_all_on_either_side(history):
    assert History().agrees_with(History(history))
    assert History(history).agrees_with(History())


def cells(history):
    return [line.split() for line in str(history).splitlines()]


def test_a_history_is_printed_with_epochs_down_and_figures_across():
    history = History(loss=[1.5, 0.123456], val_accuracy=[0.25, 1.0], seconds=[61.25, 0.001])
    assert str(history).splitlines() == [
        "epoch    loss  val_accuracy   seconds",
        "    1   1.500        0.2500     61.25",
        "    2  0.1235         1.000  0.001000",
    ]


def test_its_repr_is_that_of_a_dict():
    history = History(loss=[1.0, math.nan], seconds=[0.5])
    assert repr(history) == "{'loss': [1.0, nan], 'seconds': [0.5]}"
    assert f"{history}" == str(history) != repr(history)


@pytest.mark.rows("history", [History(), History(loss=[], seconds=[])])
def test_a_history_without_an_epoch_says_so(history):
    assert str(history) == "no epochs yet"


@pytest.mark.rows("epochs", [1, 19, 20])
def test_a_short_history_is_printed_whole(epochs):
    history = History(loss=[float(i) for i in range(epochs)])
    header, *rows = cells(history)
    assert header == ["epoch", "loss"]
    assert [(int(number), float(loss)) for number, loss in rows] == [(i + 1, i) for i in range(epochs)]


@pytest.mark.rows("epochs", [21, 22, 10_000])
def test_of_a_long_history_the_middle_is_left_out(epochs):
    history = History(loss=[float(i) for i in range(epochs)], seconds=[1.0] * epochs)
    _, *rows = cells(history)
    assert rows[10] == ["..."]
    numbers = [*range(1, 11), *range(epochs - 9, epochs + 1)]
    assert [int(row[0]) for row in rows if row != ["..."]] == numbers
    assert [float(row[1]) for row in rows if row != ["..."]] == pytest.approx([n - 1 for n in numbers], rel=5e-4)


def test_the_columns_of_a_table_end_in_line_whatever_is_in_them():
    values = [1e-300, -12345.678, math.nan, -math.inf, np.float32(0.1), np.float64(2.0), 7, True, 1234.0, None, 0.0]
    lines = str(History(a=values, a_long_name=[*values])).splitlines()
    assert len({len(line) for line in lines}) == 1
    shown = "1.000e-300 -1.235e+04 nan -inf 0.1000 2.000 7.000 1.000 1234 None 0.000"
    assert [line.split()[1] for line in lines[1:]] == shown.split()


def test_a_column_that_is_shorter_has_nothing_below_its_end():
    assert cells(History(loss=[1.0, 2.0], rate=[0.5])) == [
        ["epoch", "loss", "rate"],
        ["1", "1.000", "0.5000"],
        ["2", "2.000"],
    ]
    assert not any(line.endswith(" ") for line in str(History(loss=[1.0, 2.0], rate=[0.5])).splitlines())


def test_printing_a_history_leaves_it_as_it_is():
    history = History(loss=[float(i) for i in range(50)])
    before = copy.deepcopy(history)
    str(history)
    assert history == before
