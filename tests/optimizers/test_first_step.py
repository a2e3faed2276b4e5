"""The mistakes of an optimizer's first step: a gradient that was dropped, and what authors of their own get wrong."""

import copy
import pickle

import numpy as np
import pytest

from minnet import LBFGS, SGD, Adagrad, Adam, AdamW, Linear, Parameter, RMSprop, cosine_decay
from minnet.optimizers.first_step import check_step
from minnet.optimizers.optimizer import Optimizer

KINDS = [SGD, RMSprop, Adagrad, Adam, AdamW]
every_kind = pytest.mark.rows("kind", KINDS)
every_size = pytest.mark.rows("block", [2, 3, 100])  # of five entries: three parts, two, one


def model():
    return [Parameter([[1.0, 2.0], [3.0, 4.0]]), Parameter([5.0])]


def add_gradients(parameters, value=1.0):
    for p in parameters:
        p.grad += value


def moved(optimizer, parameters, steps=1):
    for _ in range(steps):
        add_gradients(parameters)
        optimizer.step()
    return [p.data.tolist() for p in parameters]


# Gradients from before the optimizer was made


@every_kind
def test_a_gradient_from_before_the_optimizer_does_not_reach_it(kind):
    stale, clean = model(), model()
    add_gradients(stale, 1000.0)
    assert moved(kind(stale, lr=0.1), stale, steps=3) == moved(kind(clean, lr=0.1), clean, steps=3)


def test_one_of_a_part_that_another_optimizer_did_not_train_does_not_reach_it_either():
    first, second = Linear(2, 2, rng=0), Linear(2, 1, rng=1)
    half = SGD(second.parameters(), lr=0.1)
    for _ in range(5):
        add_gradients([*first.parameters(), *second.parameters()])
        half.step()
    whole, before = SGD([*first.parameters(), *second.parameters()], lr=0.5), first.W.data.copy()
    add_gradients(whole.parameters)
    whole.step()
    np.testing.assert_array_equal(first.W.data, before - 0.5)


@every_kind
@pytest.mark.rows("weight_decay", [0.0, 0.5])
@pytest.mark.rows("again", [lambda both: both, copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_step_without_another_backward_says_that_the_gradient_was_dropped(kind, weight_decay, again):
    parameters = model()
    add_gradients(parameters)
    parameters, optimizer = again((parameters, kind(parameters, lr=0.1, weight_decay=weight_decay)))
    before = [p.data.tolist() for p in parameters], optimizer.state_dict()
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{kind.__name__}: backward ran before the optimizer was made.* again"):
            optimizer.step()
    np.testing.assert_equal(([p.data.tolist() for p in parameters], optimizer.state_dict()), before)
    after = moved(optimizer, parameters)
    assert after != before[0]
    optimizer.step()  # without a gradient, as ever


@every_kind
def test_a_step_without_any_gradient_is_none_as_ever(kind):
    parameters = model()
    before = [p.data.tolist() for p in parameters]
    kind(parameters, lr=0.1, weight_decay=0.0).step()
    assert [p.data.tolist() for p in parameters] == before


def clear_through_the_optimizer(optimizer):
    optimizer.zero_grad()


def clear_as_a_layer_does(optimizer):
    for p in optimizer.parameters:
        p.grad.fill(0)


def clear_with_none(optimizer):
    optimizer.parameters[0].grad = None


def add_nothing(optimizer):
    add_gradients(optimizer.parameters[1:], 0.0)


@every_kind
@pytest.mark.rows("do", [clear_through_the_optimizer, clear_as_a_layer_does, clear_with_none, add_nothing])
def test_who_clears_the_gradients_or_has_a_backward_that_adds_zeros_may_step(kind, do):
    parameters = model()
    add_gradients(parameters)
    optimizer = kind(parameters, lr=0.1, weight_decay=0.0)
    before = [p.data.tolist() for p in parameters]
    do(optimizer)
    optimizer.step()
    assert optimizer.steps == 1
    assert [p.data.tolist() for p in parameters] == before


@every_kind
@pytest.mark.rows("per_parameter", [False, True])
def test_parameters_without_entries_may_step(kind, per_parameter):
    optimizer = type("Mine", (kind,), {"per_parameter": per_parameter})([Parameter(np.zeros((0, 3)))], lr=0.1)
    optimizer.step()
    assert optimizer.steps == 1


def test_gradients_that_are_negative_everywhere_are_not_taken_for_dropped_ones():
    parameters = model()
    optimizer = SGD(parameters, lr=0.5)
    add_gradients(parameters, -1.0)
    optimizer.step()
    assert parameters[1].data[0] == 5.5


def test_gradients_that_were_there_are_of_no_use_to_a_line_search_and_do_no_harm():
    p = Parameter([4.0])
    p.grad += 100.0

    def closure():
        p.grad += 2 * p.data
        return float(p.data[0] ** 2)

    assert LBFGS([p]).step(closure) < 1e-9


# An update of one's own


def kind_of(update, per_parameter=False, moments=()):
    """An optimizer with this update."""

    def __init__(self, parameters, lr=0.5):
        Optimizer.__init__(self, parameters, lr)
        self.add_moments(*moments)

    return type("Mine", (Optimizer,), {"update": update, "per_parameter": per_parameter, "__init__": __init__})


def makes_another_w(self, w, g, lr):
    w = w - lr * g


def makes_another_w_of_a_moment(self, w, g, lr, m):
    m += g
    w = w - lr * m


def refused(optimizer, parameters, error, text):
    before = [p.data.tolist() for p in parameters]
    for _ in range(2):
        with pytest.raises(error, match=text):
            moved(optimizer, parameters)
    assert optimizer.steps == 0
    assert [p.data.tolist() for p in parameters] == before


@every_size
@pytest.mark.rows("per_parameter", [False, True])
@pytest.mark.rows("update, moments", [(makes_another_w, ()), (makes_another_w_of_a_moment, ("m",))])
@pytest.mark.rows("lr", [0.5, 0.0, lambda step: 0.0])
def test_an_update_that_makes_another_w_is_told_to_change_it_in_place(
    update, moments, per_parameter, block, lr, monkeypatch
):
    monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", block)
    parameters = model()
    optimizer = kind_of(update, per_parameter, moments)(parameters, lr)
    refused(optimizer, parameters, ValueError, r"Mine: update left w as it was.*w -= \.\.\. or w\[\.\.\.\] = ")


@every_size
@pytest.mark.rows("per_parameter", [False, True])
def test_an_update_that_returns_something_is_told_to_change_w_in_place(per_parameter, block, monkeypatch):
    monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", block)
    parameters = model()
    optimizer = kind_of(lambda self, w, g, lr: w - lr * g, per_parameter)(parameters)
    refused(optimizer, parameters, TypeError, r"Mine: update returned something.*w -= \.\.\. or w\[\.\.\.\] = ")


def makes_an_array(self, w, g, lr):
    if not hasattr(self, "m"):
        self.m = np.zeros_like(w)
    self.m *= 0.9
    self.m += g
    w -= lr * self.m


def makes_an_array_each_time(self, w, g, lr):
    self.m = 0.9 * getattr(self, "m", 0.0) + g
    w -= lr * self.m


def makes_an_array_in_a_dict(self, w, g, lr):
    self.m = {"g": [g + 0.0]}
    w -= lr * self.m["g"][0]


@every_size
@pytest.mark.rows("per_parameter", [False, True])
@pytest.mark.rows("update", [makes_an_array, makes_an_array_each_time, makes_an_array_in_a_dict])
def test_an_update_that_keeps_an_array_by_itself_is_told_of_moments(update, per_parameter, block, monkeypatch):
    monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", block)
    parameters = model()
    optimizer = kind_of(update, per_parameter)(parameters)
    add_gradients(parameters)
    with pytest.raises(TypeError, match=r'Mine: update keeps an array in self\.m, .*write self\.add_moments\("m"\) in'):
        optimizer.step()
    assert optimizer.steps == 0


def test_one_that_changes_an_array_of_its_own_in_place_is_told_so_too():
    class Mine(Optimizer):
        def __init__(self, parameters, lr):
            super().__init__(parameters, lr)
            self.m = np.zeros(5, np.float32)

        def update(self, w, g, lr):
            self.m += g
            w -= lr * self.m

    parameters = model()
    with pytest.raises(TypeError, match=r"update keeps an array in self\.m"):
        moved(Mine(parameters, lr=0.1), parameters)


def delays(self, w, g, lr, m):
    w -= lr * m
    m += g


def is_lost_in_rounding(self, w, g, lr):
    w -= 1e-12 * lr * g


def underflows(self, w, g, lr):
    w -= lr * 1e-30 * g


def spares_matrices(self, w, g, lr):
    if w.ndim == 1:
        w -= lr * g


def scales_by_the_norm(self, w, g, lr):
    w -= lr * np.linalg.norm(w) * g


def has_constants_and_counts(self, w, g, lr):
    self.norms = np.append(getattr(self, "norms", []), [np.linalg.norm(g)] * 7)
    self.calls = getattr(self, "calls", 0) + 1
    self.signs = np.array(["-", "+"])[(g > 0).astype(int)]  # as many as w has entries, but no numbers
    w -= lr * g


def writes_all_of_w(self, w, g, lr):
    w[...] = w - lr * g


RIGHT = [
    (delays, False, ("m",), 0.5),
    (is_lost_in_rounding, False, (), 0.5),
    (underflows, False, (), 1e-18),
    (spares_matrices, True, (), 0.5),
    (scales_by_the_norm, True, (), 0.5),
    (has_constants_and_counts, False, (), 0.5),
    (writes_all_of_w, False, (), 0.5),
]


@pytest.mark.rows("update, per_parameter, moments, lr", RIGHT)
def test_updates_that_look_like_mistakes_and_are_none_are_left_in_peace(update, per_parameter, moments, lr):
    parameters = model()
    optimizer = kind_of(update, per_parameter, moments)(parameters, lr)
    moved(optimizer, parameters, steps=3)
    assert optimizer.steps == 3


def test_parameters_that_are_zero_and_a_rate_of_zero_are_no_mistake():
    p = Parameter([0.0, 0.0])
    optimizer = kind_of(lambda self, w, g, lr: np.copyto(w, w - lr * g))([p], lr=lambda step: step / 8)
    assert moved(optimizer, [p], steps=3) == [[-3 / 8, -3 / 8]]


@every_kind
@pytest.mark.rows("lr, gradient", [(0.0, 1.0), (1e-40, 1e-30), (1e-12, 1e-12)])
def test_a_step_too_small_to_be_seen_is_no_mistake(kind, lr, gradient):
    p = Parameter([1.0])
    optimizer = kind([p], lr=lr, weight_decay=0.0)
    p.grad += gradient
    optimizer.step()
    assert p.data[0] == 1.0


def test_later_steps_are_not_looked_at_and_call_update_once():
    calls = []

    def update(self, w, g, lr):
        calls.append(len(w))
        if len(calls) == 1:
            w -= g

    parameters = model()
    moved(kind_of(update)(parameters), parameters, steps=3)
    assert calls == [5, 5, 5]


# A step of one's own


class Plain(Optimizer):
    """As it is written in other frameworks."""

    def step(self):
        for p in self.parameters:
            p.data -= self.lr_at(self.steps) * p.grad


class Whole(Plain):
    def step(self):
        super().step()
        self.zero_grad()
        self.steps += 1


class Uncounted(Plain):
    def step(self):
        super().step()
        self.zero_grad()


def test_a_step_of_ones_own_that_clears_and_counts_is_as_good_as_an_update():
    own, plain = model(), model()
    mine, sgd = Whole(own, cosine_decay(0.5, steps=4)), SGD(plain, cosine_decay(0.5, steps=4))
    for _ in range(4):
        assert moved(mine, own) == moved(sgd, plain)
        check_step(mine)
    check_step(sgd)


def test_a_step_that_leaves_gradients_is_found_out():
    parameters = model()
    optimizer = Plain(parameters, lr=0.1)
    moved(optimizer, parameters)
    with pytest.raises(RuntimeError, match=r"Plain: step left gradients.* end it with self.zero_grad\(\)"):
        check_step(optimizer)


def test_a_step_that_is_not_counted_is_found_out_where_a_schedule_counts_on_it():
    parameters = model()
    moved(optimizer := Uncounted(parameters, lr=0.1), parameters)
    check_step(optimizer)
    moved(optimizer := Uncounted(parameters, lr=lambda step: 0.1), parameters)
    with pytest.raises(RuntimeError, match=r"Uncounted: step counted no step.*self.steps \+= 1"):
        check_step(optimizer)
