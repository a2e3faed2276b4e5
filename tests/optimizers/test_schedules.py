"""Schedules, against values worked out by hand and those that PyTorch gives."""

import copy
import math
import pickle
from functools import partial

import numpy as np
import pytest

from minnet import SGD, Parameter
from minnet.optimizers.schedules import (
    cosine_decay,
    exponential_decay,
    linear_decay,
    linear_warmup,
    one_cycle,
    step_decay,
)


def rates(schedule, steps):
    return [schedule(step) for step in range(steps)]


def test_step_decay_falls_at_every_multiple():
    assert rates(step_decay(0.4, every=3, factor=0.5), 10) == [0.4] * 3 + [0.2] * 3 + [0.1] * 3 + [0.05]


def test_step_decay_divides_by_ten_by_default():
    assert rates(step_decay(1, every=1), 4) == pytest.approx([1, 0.1, 0.01, 0.001])


def test_exponential_decay_falls_by_the_same_factor_every_step():
    # PyTorch gives these for ExponentialLR with gamma=0.9.
    expected = [0.4, 0.36, 0.324, 0.2916, 0.26244, 0.236196]
    assert rates(exponential_decay(0.4, 0.9), 6) == pytest.approx(expected, rel=1e-14)


def test_exponential_decay_stays_or_stops_at_the_ends_of_its_range():
    assert rates(exponential_decay(0.3, 1), 3) == [0.3] * 3
    assert rates(exponential_decay(0.3, 0), 3) == [0.3, 0, 0]


def test_rates_that_underflow_are_zero():
    assert exponential_decay(0.1, 0.5)(10**6) == 0.0
    assert step_decay(0.1, 1)(10**6) == 0.0


def test_linear_decay_falls_by_the_same_amount_every_step():
    # from 0.5 to 0.1 in eight steps of 0.05
    expected = [0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1]
    assert rates(linear_decay(0.5, 8, final=0.1), 9) == pytest.approx(expected, rel=1e-14)


def test_linear_decay_ends_at_zero_by_default():
    assert rates(linear_decay(0.8, 4), 5) == pytest.approx([0.8, 0.6, 0.4, 0.2, 0], rel=1e-14)
    assert linear_decay(0.8, 4)(4) == 0.0


@pytest.mark.rows("final", [0.0, 0.001, 0.7, 2.0])
def test_linear_decay_meets_both_ends_exactly(final):
    schedule = linear_decay(0.3, 7, final)
    assert (schedule(0), schedule(7)) == (0.3, final)


def test_linear_decay_to_a_higher_rate_rises():
    assert rates(linear_decay(0.25, 4, final=0.75), 5) == [0.25, 0.375, 0.5, 0.625, 0.75]


def test_cosine_decay_goes_from_the_rate_to_the_final_one():
    # PyTorch gives these for CosineAnnealingLR with T_max=10 and eta_min=0.1.
    expected = [
        0.5,
        0.49021130325903073,
        0.46180339887498956,
        0.41755705045849467,
        0.3618033988749896,
        0.3,
        0.2381966011250106,
        0.18244294954150542,
        0.13819660112501053,
        0.1097886967409693,
        0.1,
    ]
    assert rates(cosine_decay(0.5, 10, final=0.1), 11) == pytest.approx(expected, rel=1e-14)


def test_cosine_decay_ends_at_zero_by_default():
    schedule = cosine_decay(0.8, 4)
    assert rates(schedule, 5) == pytest.approx([0.8, 0.4 + 0.2 * math.sqrt(2), 0.4, 0.4 - 0.2 * math.sqrt(2), 0])
    assert schedule(4) == 0.0


@pytest.mark.rows("final", [0.0, 0.1, 0.7, 2.0])
def test_cosine_decay_meets_both_ends_exactly(final):
    schedule = cosine_decay(0.3, 7, final)
    assert (schedule(0), schedule(7)) == (0.3, final)


def test_linear_warmup_rises_evenly_to_a_number_that_stays():
    assert rates(linear_warmup(4, then=0.8), 7) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8])


def test_linear_warmup_of_one_step_is_none():
    schedule = exponential_decay(0.5, 0.5)
    assert rates(linear_warmup(1, schedule), 4) == [0.5, 0.5, 0.25, 0.125]


def test_what_follows_a_warmup_begins_at_its_own_first_step():
    schedule = linear_warmup(2, then=step_decay(0.8, every=2, factor=0.5))
    assert rates(schedule, 7) == [0.4, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2]


def test_warmups_nest_and_take_a_function_of_ones_own():
    assert rates(linear_warmup(2, then=lambda step: 6 - step), 5) == [3, 6, 6, 5, 4]
    assert rates(linear_warmup(2, then=linear_warmup(2, then=1.0)), 5) == [0.25, 0.5, 0.5, 1.0, 1.0]


# PyTorch gives these for OneCycleLR(max_lr, total_steps, pct_start, div_factor, final_div_factor) with
# div_factor = 1 / start_factor and final_div_factor = start_factor / final_factor.
ONE_CYCLES = [
    (
        partial(one_cycle, 0.8, 10),
        [
            0.03200000000000003,
            0.41600000000000004,
            0.8,
            0.7603915084062516,
            0.6494109811514192,
            0.48903947274516757,
            0.31104052725483256,
            0.15066901884858097,
            0.03968849159374848,
            8e-05,
        ],
    ),
    (
        partial(one_cycle, 0.8, 8, warmup=0.25, start_factor=0.25, final_factor=0.125),
        [
            0.19999999999999996,
            0.8,
            0.7531088913245536,
            0.625,
            0.45000000000000007,
            0.27500000000000013,
            0.14689110867544647,
            0.1,
        ],
    ),
]


@pytest.mark.rows(("make", "expected"), ONE_CYCLES)
def test_one_cycle_rises_and_falls_along_half_waves(make, expected):
    assert rates(make(), len(expected)) == pytest.approx(expected, rel=1e-13)


def test_one_cycle_starts_peaks_and_ends_at_its_shares_of_the_rate():
    schedule = one_cycle(0.5, 1000)
    assert schedule(0) == pytest.approx(0.5 / 25, rel=1e-13)
    assert (schedule(299), schedule(999)) == (0.5, 0.5 * 1e-4)
    rising, falling = np.diff(rates(schedule, 300)), np.diff(rates(schedule, 1000)[299:])
    assert (rising > 0).all() and (falling < 0).all()


@pytest.mark.rows("warmup", [0, 0.1, 0.5, 0.99])
@pytest.mark.rows("steps", [1, 2, 3, 10])
def test_one_cycle_of_few_steps_stays_in_its_range_and_ends_low(steps, warmup):
    values = rates(one_cycle(1.0, steps, warmup), steps)
    assert all(1e-4 <= value <= 1 for value in values)
    assert values[-1] == pytest.approx(1e-4, rel=1e-9)


@pytest.mark.rows(
    ("schedule", "last"),
    [
        (linear_decay(0.4, 6), 6),
        (linear_decay(0.4, 6, final=0.1), 6),
        (cosine_decay(0.4, 6, final=0.1), 6),
        (one_cycle(0.4, 6), 5),
        (linear_warmup(3, then=0.2), 2),
        (linear_warmup(3, then=cosine_decay(0.4, 6, final=0.1)), 9),
    ],
)
def test_beyond_its_last_step_a_schedule_stays_where_it_is(schedule, last):
    assert {schedule(step) for step in (last, last + 1, last + 2, 10**9)} == {schedule(last)}


SCHEDULES = [
    step_decay(1, 2),
    exponential_decay(1, 0.5),
    linear_decay(1, 4),
    cosine_decay(1, 4),
    linear_warmup(2, 1),
    linear_warmup(2, lambda step: 1),
    one_cycle(1, 4),
]


@pytest.mark.rows("schedule", SCHEDULES)
def test_a_rate_is_a_float_whatever_the_arguments_were(schedule):
    assert {type(schedule(step)) for step in range(6)} == {float}


@pytest.mark.rows("schedule", [schedule for i, schedule in enumerate(SCHEDULES) if i != 5])  # which holds a lambda
def test_a_schedule_can_be_pickled(schedule):
    for one in (schedule, 0.25 * schedule):
        again = pickle.loads(pickle.dumps(one))
        assert rates(again, 9) == rates(one, 9) and repr(again) == repr(one)


@pytest.mark.rows("schedule", [cosine_decay(0.5, 4), linear_warmup(2, one_cycle(0.5, 4)) * 0.5])
def test_an_optimizer_is_pickled_with_its_schedule_and_goes_on(schedule):
    parameter = Parameter([0.0])
    optimizer = SGD([parameter], schedule)
    parameter.grad += 1
    optimizer.step()
    twin, its = pickle.loads(pickle.dumps((parameter, optimizer)))
    for p, one in ((parameter, optimizer), (twin, its)):
        p.grad += 1
        one.step()
    assert twin.data[0] == parameter.data[0] == pytest.approx(-schedule(0) - schedule(1))
    assert repr(its) == repr(optimizer)


@pytest.mark.rows("schedule", SCHEDULES)
def test_a_schedule_is_multiplied_and_divided_by_numbers(schedule):
    plain = rates(schedule, 9)
    halves = [
        schedule * 0.5,
        0.5 * schedule,
        schedule / 2,
        np.float32(0.5) * schedule,
        2 * schedule / 4,
        schedule * 0.25 * 2,
    ]
    for half in halves:
        assert rates(half, 9) == [rate / 2 for rate in plain]
    assert rates(schedule, 9) == plain


@pytest.mark.rows("by", ["0.5", None, True, np.ones(3), cosine_decay(0.5, 10), [1.0]])
def test_what_a_schedule_cannot_be_multiplied_by_is_told_what_its_rate_is(by):
    schedule = cosine_decay(0.5, 10)
    for multiply in (lambda: schedule * by, lambda: by * schedule, lambda: schedule / by):
        with pytest.raises(TypeError, match=r"cosine_decay\(0.5, steps=10\) is a schedule.* optimizer.lr_at\(step\)"):
            multiply()


@pytest.mark.rows("by", [-0.5, math.nan, math.inf])
def test_a_factor_out_of_range_is_refused(by):
    with pytest.raises(ValueError, match=r"cosine_decay\(0.5, steps=10\): expected a factor to be at least 0"):
        cosine_decay(0.5, 10) * by


@pytest.mark.rows(
    "schedule, shown",
    [
        (step_decay(0.5, 30), "step_decay(0.5, every=30)"),
        (step_decay(0.5, 30, 0.5), "step_decay(0.5, every=30, factor=0.5)"),
        (exponential_decay(lr=1, rate=0.99), "exponential_decay(1, rate=0.99)"),
        (linear_decay(np.float32(0.1), np.int64(8)), "linear_decay(0.1, steps=8)"),
        (cosine_decay(0.5, 100, final=0.0), "cosine_decay(0.5, steps=100)"),
        (linear_warmup(5, 0.1), "linear_warmup(5, then=0.1)"),
        (linear_warmup(5, cosine_decay(1 / 3, 9)), "linear_warmup(5, then=cosine_decay(0.333333, steps=9))"),
        (linear_warmup(5, math.sqrt), "linear_warmup(5, then=sqrt)"),
        (one_cycle(0.5, 8, start_factor=0.1), "one_cycle(0.5, steps=8, start_factor=0.1)"),
        (cosine_decay(0.5, 100) * 0.5 / 5, "0.1 * cosine_decay(0.5, steps=100)"),
    ],
)
def test_a_schedule_prints_as_the_call_that_makes_it(schedule, shown):
    assert repr(schedule) == str(schedule) == shown


@pytest.mark.rows("schedule", SCHEDULES)
def test_a_schedule_has_no_memory_and_can_be_copied(schedule):
    forward = rates(schedule, 6)
    assert [schedule(step) for step in reversed(range(6))] == forward[::-1]
    assert rates(copy.deepcopy(schedule), 6) == forward


def test_an_optimizer_begins_a_schedule_at_step_zero():
    parameter = Parameter(np.zeros(1))
    optimizer = SGD([parameter], linear_warmup(2, then=step_decay(1.0, every=1, factor=0.5)))
    seen = []
    for _ in range(5):
        parameter.grad[...] = -1
        before = float(parameter.data[0])
        optimizer.step()
        seen.append(float(parameter.data[0]) - before)
    assert seen == [0.5, 1.0, 1.0, 0.5, 0.25]


@pytest.mark.rows(
    ("make", "error", "text"),
    [
        (partial(step_decay, "0.1", 3), TypeError, "step_decay: expected lr "),
        (partial(step_decay, -0.1, 3), ValueError, "step_decay: expected lr "),
        (partial(step_decay, math.nan, 3), ValueError, "step_decay: expected lr "),
        (partial(step_decay, 0.1, 0), ValueError, "step_decay: expected every "),
        (partial(step_decay, 0.1, 3.0), TypeError, "step_decay: expected every "),
        (partial(step_decay, 0.1, 3, -1), ValueError, "step_decay: expected factor "),
        (partial(exponential_decay, None, 0.9), TypeError, "exponential_decay: expected lr "),
        (partial(exponential_decay, 0.1, -0.9), ValueError, "exponential_decay: expected rate "),
        (partial(exponential_decay, 0.1, math.inf), ValueError, "exponential_decay: expected rate "),
        (partial(linear_decay, "0.1", 10), TypeError, "linear_decay: expected lr "),
        (partial(linear_decay, -0.1, 10), ValueError, "linear_decay: expected lr "),
        (partial(linear_decay, 0.1, 0), ValueError, "linear_decay: expected steps "),
        (partial(linear_decay, 0.1, 10.0), TypeError, "linear_decay: expected steps "),
        (partial(linear_decay, 0.1, 10, -0.1), ValueError, "linear_decay: expected final "),
        (partial(linear_decay, 0.1, 10, math.nan), ValueError, "linear_decay: expected final "),
        (partial(cosine_decay, step_decay(1, 2), 10), TypeError, "cosine_decay: expected lr "),
        (partial(cosine_decay, 0.1, 0), ValueError, "cosine_decay: expected steps "),
        (partial(cosine_decay, 0.1, 1e3), TypeError, "cosine_decay: expected steps "),
        (partial(cosine_decay, 0.1, 10, -0.1), ValueError, "cosine_decay: expected final "),
        (partial(linear_warmup, 0, 0.1), ValueError, "linear_warmup: expected steps "),
        (partial(linear_warmup, True, 0.1), TypeError, "linear_warmup: expected steps "),
        (partial(linear_warmup, 5, "0.1"), TypeError, "linear_warmup: expected then "),
        (partial(linear_warmup, 5, -0.1), ValueError, "linear_warmup: expected then "),
        (partial(one_cycle, True, 10), TypeError, "one_cycle: expected lr "),
        (partial(one_cycle, 0.1, 0), ValueError, "one_cycle: expected steps "),
        (partial(one_cycle, 0.1, 10, 1.0), ValueError, "one_cycle: expected warmup .* below 1"),
        (partial(one_cycle, 0.1, 10, -0.1), ValueError, "one_cycle: expected warmup "),
        (partial(one_cycle, 0.1, 10, start_factor=-1), ValueError, "one_cycle: expected start_factor "),
        (partial(one_cycle, 0.1, 10, final_factor="low"), TypeError, "one_cycle: expected final_factor "),
    ],
)
def test_wrong_arguments_are_refused_by_name(make, error, text):
    with pytest.raises(error, match=text):
        make()
