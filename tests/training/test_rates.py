"""Schedules, told from each other by what they give."""

import math
from itertools import pairwise

import numpy as np
import pytest

import minnet
from minnet.training.rates import MOST_STEPS, are_rates, difference, rates_at, sample


def differ(one, other):
    """Where a run with one schedule finds the file of another to differ."""
    there = sample(other)
    return difference(rates_at(one, there), there)


def constant_until(step, before=0.1, after=0.01):
    return lambda t: before if t < step else after


@pytest.mark.rows("step", [1, 20, 33, 100, 400, 999, 1000, 5000, 90_000])
@pytest.mark.rows("later", [1, 5])
def test_a_jump_that_comes_a_step_later_is_found(step, later):
    one, other = constant_until(step), constant_until(step + later)
    for here, there in ((one, other), (other, one)):
        ((_, found),) = differ(here, there)
        assert step <= int(found.split()[-1]) < step + later
    assert differ(one, one) == []


def test_the_end_of_a_slope_and_its_beginning_are_found():
    def falls(begin, end):
        return lambda t: 0.1 * (1 - min(max(t - begin, 0), end) / 10_000)

    def falls_and_jumps(at):
        return lambda t: 0.1 - t / 100_000 if t < at else 0.01

    assert differ(falls(1000, 500), falls(1010, 500)) and differ(falls(1000, 500), falls(1000, 510))
    assert differ(falls_and_jumps(500), falls_and_jumps(501))


@pytest.mark.rows(
    "one, other",
    [
        (minnet.exponential_decay(0.1, 0.99), lambda t: 0.1 * math.exp(math.log(0.99) * t)),
        (minnet.cosine_decay(0.1, 500), lambda t: np.float32(minnet.cosine_decay(0.1, 500)(t))),
        (lambda t: 0.5**13 / (1 + t), lambda t: np.nextafter(0.5**13, 1) / (1 + t)),
        (lambda t: 0.1, np.vectorize(lambda t: 0.1)),
    ],
)
def test_rounding_is_no_difference(one, other):
    assert differ(one, other) == differ(other, one) == []


def test_where_one_has_ended_they_agree():
    one, other = [0.1, 0.2].__getitem__, [0.1, 0.2, 0.3].__getitem__
    assert differ(one, other) == differ(other, one) == []
    assert differ([0.1, 0.3].__getitem__, other) == [("0.3 at step 1", "0.2 at step 1")]


def test_a_number_and_a_schedule_differ():
    assert difference({}, {}) == []
    assert difference(sample(constant_until(3)), {}) == [("a schedule", "a number")]
    assert difference({}, sample(constant_until(3))) == [("a number", "a schedule")]


@pytest.mark.rows("schedule", [lambda t: "a text", lambda t: 1 / 0, lambda t: math.nan, lambda t: np.float64(1) / 0])
def test_what_is_no_rate_is_none(schedule):
    with np.errstate(all="raise"):
        assert set(sample(schedule).values()) <= {None}


def test_a_schedule_is_asked_for_a_few_hundred_steps_at_most():
    asked = []
    sample(lambda t: asked.append(t) or 0.5 ** (t // 100))
    assert len(asked) < 400 and max(asked) < 120_000


BAD = [[], "x", None, {"x": 0.1}, {"-1": 0.1}, {"1" * 13: 0.1}, {"²": 0.1}, {"1": "x"}, {"1": math.inf}, {"1": True}]


@pytest.mark.rows("value", [*BAD, {str(step): 0.1 for step in range(MOST_STEPS + 1)}])
def test_what_a_file_tells_is_not_trusted(value):
    assert not are_rates(value)
    assert are_rates({}) and are_rates(sample(constant_until(3))) and are_rates({"1": None})


def test_a_sample_is_dense_where_it_begins_and_reaches_the_end_of_the_run():
    steps = [int(step) for step in sample(lambda t: 0.1, start=5000, end=90_000)]
    assert steps[:32] == list(range(5000, 5032)) and not any(step < 5000 for step in steps)
    gaps = [after - before for before, after in pairwise(steps) if after < 90_000]
    assert max(gaps) <= 85_000 // 128 + 1
    assert len(sample(lambda t: 0.1, start=5000, end=4000)) == len(sample(lambda t: 0.1))
