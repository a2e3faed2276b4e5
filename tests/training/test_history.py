"""History: whole, whatever interrupts it, and comparable with another."""

import math
import sys

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
    ],
)
def test_two_histories_agree_as_far_as_both_go(ours, theirs, agree):
    assert History(ours).agrees_with(History(theirs)) is agree


@pytest.mark.rows("history", [{"loss": [1.0]}, {"loss": [], "seconds": []}])
def test_an_empty_history_agrees_with_all_on_either_side(history):
    assert History().agrees_with(History(history))
    assert History(history).agrees_with(History())
