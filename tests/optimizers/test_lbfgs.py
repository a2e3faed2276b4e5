import copy
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest

from minnet import (
    Layer,
    Linear,
    MeanAbsoluteError,
    Parameter,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    load_digits,
)
from minnet.optimizers.lbfgs import LBFGS


class Function(Layer):
    """A function of one Parameter and its gradient, as a layer without input; it counts how often it is evaluated."""

    def __init__(self, w, value, gradient, dtype=np.float64):
        self.w = Parameter(w)
        self.w.data = np.array(w, dtype)
        self.w.grad = np.zeros_like(self.w.data)
        self.value, self.gradient, self.calls = value, gradient, 0

    def forward(self):
        self.cache = self.w.data.copy()
        return float(self.value(self.cache))

    def backward(self):
        self.w.grad += self.gradient(self.cache)

    def closure(self):
        assert not self.w.grad.any(), "gradients are zero when the closure is called"
        self.calls += 1
        loss = self()
        self.backward()
        return loss


class Rosenbrock(Function):
    """Σ 100 (w₊ − w²)² + (1 − w)², least at 1."""

    def __init__(self, w, dtype=np.float64):
        super().__init__(w, self.height, self.incline, dtype)

    def height(self, w):
        return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()

    def incline(self, w):
        g = np.zeros_like(w)
        g[:-1] = -400 * w[:-1] * (w[1:] - w[:-1] ** 2) - 2 * (1 - w[:-1])
        g[1:] += 200 * (w[1:] - w[:-1] ** 2)
        return g


def parabola(w=(3.0,), curvature=4.0, dtype=np.float64):
    """curvature / 2 · ‖w‖²"""
    return Function(w, lambda w: curvature / 2 * (w * w).sum(), lambda w: curvature * w, dtype)


def bowl(A, w):
    return Function(w, lambda w: w @ A @ w / 2, lambda w: A @ w)


def classifier(dtype=np.float64, rng=0):
    return Sequential(Linear(64, 10, rng=rng), SoftmaxCrossEntropy()).astype(dtype)


def network(rng=0):
    net = Sequential(Linear(64, 8, rng=rng), ReLU(), Linear(8, 10, rng=rng + 1), SoftmaxCrossEntropy())
    return net.astype(np.float64)


def on_digits(net, rows=slice(None)):
    x, y = load_digits()
    x, y = x[rows].astype(net.parameters()[0].data.dtype), y[rows]

    def closure():
        loss = net(x, y)
        net.backward()
        return loss

    return closure


def updates(optimizer):
    """How many updates have been made, as long as each left a pair."""
    return int(optimizer.state_dict()["pairs"])


# f = 2 w² from w = 3: g = 12, the first α is 1 / 12, w becomes 2; the slope there, −8 · 12, is no steeper than
# 0.9 · 144. The pair s = −1, y = −4 is the exact curvature, so that the second update leads to the minimum.
@pytest.mark.rows("max_iter, w, objective", [(1, 2.0, 8.0), (2, 0.0, 0.0), (9, 0.0, 0.0)])
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_a_parabola_is_solved_in_two_updates(dtype, max_iter, w, objective):
    f = parabola(dtype=dtype)
    reached = LBFGS(f.parameters(), max_iter=max_iter).step(f.closure)
    np.testing.assert_allclose(f.w.data, [w], atol=1e-6)
    assert type(reached) is float
    assert reached == pytest.approx(objective, abs=1e-6)
    assert f.w.data.dtype == dtype


def test_lr_scales_the_first_step_that_is_tried():
    f = parabola()
    LBFGS(f.parameters(), lr=0.5, max_iter=1).step(f.closure)
    np.testing.assert_allclose(f.w.data, [2.5], rtol=1e-14)


def test_a_small_gradient_is_followed_as_it_is():
    f = parabola([0.5], curvature=0.5)  # g = 0.25, Σ|g| below 1, so α = 1
    LBFGS(f.parameters(), max_iter=1).step(f.closure)
    np.testing.assert_allclose(f.w.data, [0.25], rtol=1e-14)


def matrix_of(pairs, n):
    """H as a matrix, one pair after the other: Nocedal and Wright 2006, equation 6.17, from γ I."""
    s, y = pairs[-1]
    H = np.eye(n) * (s @ y) / (y @ y)
    for s, y in pairs:
        V = np.eye(n) - np.outer(y, s) / (y @ s)
        H = V.T @ H @ V + np.outer(s, s) / (y @ s)
    return H


@pytest.mark.rows("kept, seen", [(1, 1), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5), (3, 9), (6, 6)])
def test_the_direction_is_that_of_the_matrix_that_the_pairs_make(kept, seen):
    n, rng = 4, np.random.default_rng(seen)
    B = np.diag([1.0, 2.0, 5.0, 9.0])
    pairs = [(s, B @ s) for s in rng.normal(size=(min(kept, seen), n))]
    H = matrix_of(pairs, n)
    f = bowl(np.linalg.inv(H), rng.normal(size=n))  # so that −H g leads to the minimum, at α = 1
    optimizer = LBFGS(f.parameters(), max_iter=1, history_size=kept)
    state = optimizer.state_dict() | {"pairs": np.array(seen)}
    for i, (s, y) in enumerate(pairs, start=seen - len(pairs)):
        state["s"][i % kept], state["y"][i % kept] = s, y
    optimizer.load_state_dict(state)
    assert abs(f.w.data).max() > 0.1
    optimizer.step(f.closure)
    np.testing.assert_allclose(f.w.data, 0, atol=1e-10)
    assert f.calls == 2


def test_the_pairs_are_the_changes_of_w_and_of_its_gradient():
    f = Rosenbrock([-1.2, 1.0])
    w, g = [f.w.data.copy()], [f.incline(f.w.data)]
    optimizer = LBFGS(f.parameters(), max_iter=1, history_size=3)
    for _ in range(5):
        optimizer.step(f.closure)
        w.append(f.w.data.copy())
        g.append(f.incline(f.w.data))
    state = optimizer.state_dict()
    assert (state["steps"], state["pairs"]) == (5, 5)
    rows = [3, 4, 2]  # the pairs that rows 0, 1, 2 hold: two have been replaced
    np.testing.assert_allclose(state["s"], np.diff(w, axis=0)[rows], rtol=1e-12)
    np.testing.assert_allclose(state["y"], np.diff(g, axis=0)[rows], rtol=1e-12)


@pytest.mark.rows("lr", [1e-6, 0.1, 1.0, 1e6])
@pytest.mark.rows("start", [[-1.2, 1.0], [3.0, -2.0, 1.0], [0.0, 0.0], [10.0, 10.0]])
def test_every_update_meets_the_strong_wolfe_conditions(start, lr):
    f = Rosenbrock(start)
    optimizer = LBFGS(f.parameters(), lr, max_iter=1)
    for _ in range(6):
        w, height, g = f.w.data.copy(), f.height(f.w.data), f.incline(f.w.data)
        reached = optimizer.step(f.closure)
        s = f.w.data - w
        assert reached == f.height(f.w.data) <= height + 1e-4 * (g @ s)
        assert g @ s < 0
        assert abs(f.incline(f.w.data) @ s) <= 0.9 * abs(g @ s)


# PyTorch makes this many updates, with line_search_fn="strong_wolfe" and the same tolerances, in float64.
@pytest.mark.rows(
    "start, of_pytorch", [([-1.2, 1.0], 36), ([0.0, 0.0], 21), ([3.0, -2.0, 1.0, 4.0], 49), ([-1.2, 1.0] * 5, 74)]
)
@pytest.mark.rows("dtype, near", [(np.float64, 1e-4), (np.float32, 1e-3)])
def test_rosenbrocks_valley_is_walked_to_its_end_in_as_many_updates_as_pytorch_needs(dtype, near, start, of_pytorch):
    f = Rosenbrock(start, dtype)
    optimizer = LBFGS(f.parameters(), max_iter=200)
    assert optimizer.step(f.closure) < 1e-9
    np.testing.assert_allclose(f.w.data, 1.0, atol=near)
    assert updates(optimizer) <= 1.1 * of_pytorch
    assert f.calls <= 1.4 * updates(optimizer)


@pytest.mark.rows("n, of_pytorch", [(2, 6), (3, 8), (5, 10), (10, 14), (30, 28)])
def test_a_quadratic_of_n_unknowns_takes_about_n_updates(n, of_pytorch):
    f = bowl(np.diag(np.arange(1.0, n + 1)), np.ones(n))
    optimizer = LBFGS(f.parameters(), max_iter=200)
    assert optimizer.step(f.closure) < 1e-8
    assert updates(optimizer) <= of_pytorch <= n + 5


# scikit-learn gives these, with LogisticRegression(C=1 / (1797 weight_decay), tol=1e-10) on all digits in float64: the
# optimum of the mean loss plus weight_decay / 2 · Σ W², the intercept free.
every_optimum = pytest.mark.parametrize(
    "C, optimum", [pytest.param(1.0, 0.199526403859, marks=pytest.mark.long), (0.1, 0.571677379798)]
)


@every_optimum
def test_the_digits_are_learned_to_the_optimum(C, optimum):
    net = classifier()
    optimizer = LBFGS(net.parameters(), max_iter=500, weight_decay=1 / (C * 1797))
    reached = optimizer.step(on_digits(net))
    assert optimum - 1e-9 < reached < optimum + 1e-6
    x, y = load_digits()
    assert reached == pytest.approx(net(x, y) + 0.5 / (C * 1797) * (net[0].W.data ** 2).sum(), rel=1e-12)
    assert abs(net[0].b.data).max() > 0.1


@every_optimum
def test_in_float32_it_comes_as_near_as_float32_can_tell_and_stops_there(C, optimum):
    net, calls = classifier(np.float32), []
    optimizer = LBFGS(net.parameters(), max_iter=1000, weight_decay=1 / (C * 1797))
    closure = on_digits(net)

    def counted():
        calls.append(1)
        return closure()

    assert optimizer.step(counted) == pytest.approx(optimum, abs=3e-6)
    assert len(calls) < 300
    calls.clear()
    for _ in range(10):
        optimizer.step(counted)
    assert len(calls) < 100
    assert {array.dtype for array in (net[0].W.data, net[0].W.grad, *net.state_dict().values())} == {np.dtype("f4")}
    assert optimizer.state_dict()["s"].dtype == optimizer.state_dict()["y"].dtype == np.float32


def test_several_steps_are_one_long_one():
    once, often = network(), network()
    closure = on_digits(often, slice(200))
    reached = LBFGS(once.parameters(), max_iter=24).step(on_digits(once, slice(200)))
    optimizer = LBFGS(often.parameters(), max_iter=6)
    objectives = [optimizer.step(closure) for _ in range(4)]
    np.testing.assert_equal(often.state_dict(), once.state_dict())
    assert objectives[-1] == reached
    assert objectives == sorted(objectives, reverse=True) and len(set(objectives)) == 4


def test_a_resumed_run_is_the_same_to_the_last_bit():
    straight, before, after = network(), network(), network(rng=5)
    optimizer = LBFGS(straight.parameters(), max_iter=5, history_size=3)
    for _ in range(4):
        optimizer.step(on_digits(straight, slice(100)))
    first = LBFGS(before.parameters(), max_iter=5, history_size=3)
    for _ in range(2):
        first.step(on_digits(before, slice(100)))
    second = LBFGS(after.parameters(), max_iter=5, history_size=3)
    after.load_state_dict(before.state_dict())
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.step(on_digits(after, slice(100)))
    np.testing.assert_equal(after.state_dict(), straight.state_dict())
    np.testing.assert_equal(second.state_dict(), optimizer.state_dict())


def test_the_state_is_a_copy():
    f = Rosenbrock([-1.2, 1.0])
    optimizer = LBFGS(f.parameters(), max_iter=3)
    optimizer.step(f.closure)
    state = optimizer.state_dict()
    before = copy.deepcopy(state)
    optimizer.step(f.closure)
    np.testing.assert_equal(state, before)
    assert updates(optimizer) > before["pairs"]


@pytest.mark.rows("again", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["deepcopy", "pickle"])
def test_a_copy_of_model_and_optimizer_trains_on_by_itself(again):
    net = network()
    optimizer = LBFGS(net.parameters(), max_iter=3)
    optimizer.step(on_digits(net, slice(100)))
    twin, of_twin = again((net, optimizer))
    before = net.state_dict()
    of_twin.step(on_digits(twin, slice(100)))
    np.testing.assert_equal(net.state_dict(), before)
    optimizer.step(on_digits(net, slice(100)))
    np.testing.assert_equal(twin.state_dict(), net.state_dict())
    assert not np.array_equal(net[0].W.data, before["0.W"])


def test_a_state_of_another_size_is_refused_and_nothing_changes():
    f = Rosenbrock([-1.2, 1.0])
    optimizer = LBFGS(f.parameters(), history_size=4)
    optimizer.step(f.closure)
    before = optimizer.state_dict()
    other = LBFGS(Rosenbrock([0.0, 0.0, 0.0]).parameters(), history_size=5).state_dict()
    with pytest.raises(ValueError, match=r"LBFGS: the state does not fit, .*s has shape \(5, 3\), expected \(4, 2\)"):
        optimizer.load_state_dict(other)
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_weight_decay_adds_half_the_square_of_what_decays():
    w, b = Parameter([3.0, 4.0]), Parameter([5.0], decay=False)
    optimizer = LBFGS([w, b], weight_decay=0.25, tolerance_grad=1e9)
    assert optimizer.step(lambda: 2.0) == 2.0 + 0.125 * 25
    np.testing.assert_array_equal(w.data, [3.0, 4.0])


def test_weight_decay_moves_the_minimum():
    w, b = Parameter([4.0]), Parameter([4.0], decay=False)

    def closure():  # (w − 1)² + (b − 1)²
        w.grad += 2 * (w.data - 1)
        b.grad += 2 * (b.data - 1)
        return float((w.data[0] - 1) ** 2 + (b.data[0] - 1) ** 2)

    # with λ = 2 the minimum of (w − 1)² + w² is at 1/2, where it is 1/2
    assert LBFGS([w, b], weight_decay=2.0).step(closure) == pytest.approx(0.5, abs=1e-6)
    assert (w.data[0], b.data[0]) == pytest.approx((0.5, 1.0), abs=1e-3)


def test_decay_can_be_set_later():
    f = parabola([2.0])
    optimizer = LBFGS(f.parameters(), weight_decay=1.0, tolerance_grad=1e9)
    assert optimizer.step(f.closure) == 8.0 + 2.0
    f.w.decay = False
    assert optimizer.step(f.closure) == 8.0


def test_a_step_leaves_the_gradients_at_zero():
    net = network()
    LBFGS(net.parameters(), max_iter=2).step(on_digits(net, slice(50)))
    assert not any(p.grad.any() for p in net.parameters())


def test_gradients_from_before_the_step_do_not_count():
    f = parabola()
    f.w.grad += 100.0
    LBFGS(f.parameters(), max_iter=1).step(f.closure)
    np.testing.assert_allclose(f.w.data, [2.0], rtol=1e-14)


def test_at_the_minimum_the_closure_is_called_once_and_nothing_moves():
    f = parabola([0.0])
    assert LBFGS(f.parameters()).step(f.closure) == 0.0
    assert (f.calls, f.w.data[0]) == (1, 0.0)


def test_a_step_ends_where_the_gradient_is_small_enough():
    f = Rosenbrock([-1.2, 1.0])
    optimizer = LBFGS(f.parameters(), max_iter=500, tolerance_grad=1.0, tolerance_change=0.0)
    optimizer.step(f.closure)
    assert 1e-4 < abs(f.incline(f.w.data)).max() <= 1.0


def test_a_step_ends_after_an_update_that_changes_little():
    f = Rosenbrock([-1.2, 1.0])
    optimizer = LBFGS(f.parameters(), max_iter=500, tolerance_grad=0.0, tolerance_change=0.5)
    before = optimizer.step(f.closure)
    made = updates(optimizer)
    assert 1 <= made < 10
    LBFGS(f.parameters(), max_iter=500, tolerance_grad=0.0).step(f.closure)
    assert f.height(f.w.data) < 1e-12 < before


def test_without_tolerances_a_step_ends_all_the_same():
    for f in (Rosenbrock([-1.2, 1.0]), Rosenbrock([-1.2, 1.0], np.float32), bowl(np.diag([1.0, 3.0]), [1.0, 1.0])):
        optimizer = LBFGS(f.parameters(), max_iter=10_000, tolerance_grad=0.0, tolerance_change=0.0)
        assert optimizer.step(f.closure) < 1e-12
        assert f.calls < 400


def nowhere_lower(w):
    return np.where(w == 3.0, 0.0, 1.0).sum()


FALSE_FRIENDS = [  # name, value, gradient: what a line search can't descend
    ("the sign of the gradient is wrong", lambda w: (w * w).sum(), lambda w: -2 * w),
    ("every other point is higher", nowhere_lower, lambda w: np.ones_like(w)),
    ("every other point is infinite", lambda w: np.where(w == 3.0, 1.0, np.inf).sum(), lambda w: np.ones_like(w)),
    ("every other point has no value", lambda w: np.where(w == 3.0, 1.0, np.nan).sum(), lambda w: np.ones_like(w)),
    ("every other gradient has no value", lambda w: (w * w).sum(), lambda w: np.where(w == 3.0, 6.0, np.nan)),
    ("it is flat", lambda w: 1.0, lambda w: np.ones_like(w)),
]


@pytest.mark.rows("dtype", [np.float32, np.float64])
@pytest.mark.rows("value, gradient", [row[1:] for row in FALSE_FRIENDS], ids=[row[0] for row in FALSE_FRIENDS])
def test_where_no_descent_is_found_the_parameters_stay(value, gradient, dtype):
    f = Function([3.0, 3.0], value, gradient, dtype)
    first = float(value(f.w.data))
    optimizer = LBFGS(f.parameters())
    for _ in range(3):
        assert optimizer.step(f.closure) == first
    np.testing.assert_array_equal(f.w.data, [3.0, 3.0])
    assert not f.w.grad.any()
    assert f.calls < 3 * 60


@pytest.mark.rows("seed", range(5))
def test_noise_in_the_objective_never_makes_it_rise_nor_a_step_long(seed):
    noise = np.random.default_rng(seed)
    seen = []

    def rough(w):
        seen.append((w * w).sum() + 1e-3 * noise.normal())
        return seen[-1]

    f = Function([1.0, -2.0], rough, lambda w: 2 * w)
    optimizer = LBFGS(f.parameters(), max_iter=50)
    for _ in range(4):
        start = len(seen)
        reached = optimizer.step(f.closure)
        assert reached <= seen[start]
    assert (f.w.data**2).sum() < 0.1
    assert len(seen) < 4 * 50 * 3


def test_a_region_without_values_is_stayed_out_of():
    f = Function([5.0], lambda w: (w - np.log(w)).sum(), lambda w: 1 - 1 / w)  # least at 1
    LBFGS(f.parameters(), lr=100.0).step(f.closure)  # the first step that is tried is to −75
    assert f.w.data[0] == pytest.approx(1.0, abs=1e-4)


def test_an_objective_without_a_minimum_is_left_lower_and_finite():
    f = Function([1.0], lambda w: -w.sum(), lambda w: -np.ones_like(w))
    optimizer = LBFGS(f.parameters())
    reached = optimizer.step(f.closure)
    assert -math.inf < reached < -1.0 and np.isfinite(f.w.data).all()
    assert updates(optimizer) == 0, "a gradient that does not change gives no pair"


def test_a_slope_that_is_small_beside_the_objective_is_followed():
    # Near 1e11 numbers lie 1.5e-5 apart, and g² is not much more, but the minimum is 2 lower.
    f = Function([1e3], lambda w: 1e11 + 2e-6 * (w * w).sum(), lambda w: 4e-6 * w)
    assert LBFGS(f.parameters()).step(f.closure) == pytest.approx(1e11, rel=0, abs=0.01)


def test_a_valley_that_lies_before_a_second_descent_is_not_left():
    # The first step is to 1, as steep as the start; the next to the middle of 1.1 and 10: higher, but on the way down.
    knots, heights = np.array([-1e3, 2.0, 2.5, 5.0, 1e9]), np.array([1e3, -2.0, -2.1, 0.0, 5.0 - 1e9])
    slopes = np.diff(heights) / np.diff(knots)
    f = Function(
        [0.0], lambda w: np.interp(w, knots, heights)[0], lambda w: slopes[np.searchsorted(knots, w, "right") - 1]
    )
    assert -2.1 <= LBFGS(f.parameters(), max_iter=1).step(f.closure) < -1
    assert 1 < f.w.data[0] < 5


def test_gradients_whose_sum_overflows_are_followed():
    f = Function([1.0, 1.0], lambda w: 3e38 * w.sum(dtype=np.float64), lambda w: np.full_like(w, 3e38), np.float32)
    assert LBFGS(f.parameters(), max_iter=1).step(f.closure) < 5.9e38


def test_values_that_overflow_give_no_warning_and_do_no_harm():
    f = Function([9.0], lambda w: np.exp(w * w).sum(), lambda w: 2 * w * np.exp(w * w), np.float32)
    optimizer = LBFGS(f.parameters(), lr=1e3)  # first to −991; and at 9 the square of the gradient overflows
    optimizer.step(f.closure)
    assert abs(f.w.data[0]) < 1e-3


def test_a_loss_with_kinks_comes_down_and_never_rises():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    net = Sequential(Linear(3, 8, rng=0), ReLU(), Linear(8, 1, rng=1), MeanAbsoluteError()).astype(np.float64)

    def closure():
        loss = net(x, y)
        net.backward()
        return loss

    optimizer, objectives = LBFGS(net.parameters()), [net(x, y)]
    for _ in range(15):
        objectives.append(optimizer.step(closure))
    assert all(after <= before for before, after in pairwise(objectives))
    assert objectives[-1] < 0.6 * objectives[0]


def test_pairs_of_another_problem_do_not_keep_it_from_this_one():
    steep, flat = (
        Function([1.0, 1.0], lambda w, c=c: c * (w * w).sum(), lambda w, c=c: 2 * c * w) for c in (1e6, 1e-3)
    )
    optimizer = LBFGS(steep.parameters(), tolerance_grad=1e-12, tolerance_change=1e-15)
    optimizer.step(steep.closure)
    of_flat = LBFGS(flat.parameters(), tolerance_grad=1e-12, tolerance_change=1e-15)
    of_flat.load_state_dict(optimizer.state_dict())
    of_flat.step(flat.closure)
    np.testing.assert_allclose(flat.w.data, 0, atol=1e-3)


def test_a_history_that_misleads_is_dropped():
    f = parabola([1.0, 2.0])
    optimizer = LBFGS(f.parameters())
    state = optimizer.state_dict() | {"pairs": np.array(2)}
    state["s"][:2], state["y"][:2] = np.eye(2), -np.eye(2)  # a negative curvature: p would lead up
    optimizer.load_state_dict(state)
    assert optimizer.step(f.closure) < 1e-12


@pytest.mark.rows("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.rows("where", ["loss", "gradient"])
def test_what_is_not_finite_from_the_start_is_an_error_and_nothing_changes(bad, where):
    f = Function(
        [3.0], lambda w: bad if where == "loss" else 1.0, lambda w: np.full_like(w, bad if where == "gradient" else 1.0)
    )
    optimizer = LBFGS(f.parameters())
    with pytest.raises(FloatingPointError, match="LBFGS: the objective or its gradient is not finite"):
        optimizer.step(f.closure)
    assert (f.w.data[0], f.w.grad[0], optimizer.steps) == (3.0, 0.0, 0)


@pytest.mark.rows("call", [1, 2, 6, 20])
def test_an_exception_in_the_closure_leaves_the_last_update(call):
    f = Rosenbrock([-1.2, 1.0])
    reached = f.height(f.w.data)

    def closure():
        loss = f.closure()
        if f.calls == call:
            raise KeyboardInterrupt
        return loss

    optimizer = LBFGS(f.parameters())
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert not f.w.grad.any()
    assert f.height(f.w.data) <= reached
    assert (f.height(f.w.data) < reached) == (call > 5)
    assert optimizer.step(f.closure) < 10


@pytest.mark.rows("bad", [None, 3.0, "closure"])
def test_a_step_without_a_closure_is_refused(bad):
    f = parabola()
    with pytest.raises(TypeError, match=r"LBFGS: expected step\(closure\).*, got "):
        LBFGS(f.parameters()).step(bad)
    assert f.w.data[0] == 3.0


@pytest.mark.rows("bad", [None, 1, "0.5", np.array([1.0]), 1j])
def test_a_closure_that_returns_no_float_is_refused(bad):
    f = parabola()
    with pytest.raises(TypeError, match="LBFGS: expected the closure to return the loss, a float, got"):
        LBFGS(f.parameters()).step(lambda: bad)
    assert f.w.data[0] == 3.0


@pytest.mark.rows("kind", [float, np.float32, np.float64])
def test_any_float_will_do_as_the_loss(kind):
    f = parabola()
    assert type(LBFGS(f.parameters()).step(lambda: kind(f.closure()))) is float


BAD_ARGUMENTS = [
    ({"lr": 0}, ValueError, "lr to be above 0"),
    ({"lr": -1.0}, ValueError, "lr"),
    ({"lr": math.nan}, ValueError, "lr"),
    ({"lr": "1"}, TypeError, "lr"),
    ({"max_iter": 0}, ValueError, "max_iter to be at least 1"),
    ({"max_iter": 2.0}, TypeError, "max_iter"),
    ({"history_size": 0}, ValueError, "history_size to be at least 1"),
    ({"history_size": None}, TypeError, "history_size"),
    ({"tolerance_grad": -1e-9}, ValueError, "tolerance_grad"),
    ({"tolerance_grad": "a"}, TypeError, "tolerance_grad"),
    ({"tolerance_change": math.inf}, ValueError, "tolerance_change"),
    ({"weight_decay": -0.1}, ValueError, "weight_decay"),
    ({"parameters": []}, ValueError, "at least one parameter"),
    ({"parameters": [np.ones(2)]}, TypeError, "parameters"),
]


@pytest.mark.rows("bad, error, text", BAD_ARGUMENTS)
def test_wrong_arguments_are_refused_by_name(bad, error, text):
    with pytest.raises(error, match=f"LBFGS: expected .*{text}"):
        LBFGS(**({"parameters": parabola().parameters()} | bad))


def test_lr_can_be_a_function_of_the_step():
    called = []
    f = parabola()
    optimizer = LBFGS(f.parameters(), lambda step: called.append(step) or 0.5, max_iter=1)
    optimizer.step(f.closure)
    np.testing.assert_allclose(f.w.data, [2.5], rtol=1e-14)
    optimizer.step(f.closure)
    assert called == [0, 1]


@pytest.mark.rows("bad, error", [(0.0, ValueError), (math.nan, ValueError), (None, TypeError)])
def test_a_function_that_gives_no_lr_is_refused_and_nothing_changes(bad, error):
    f = parabola()
    with pytest.raises(error, match="LBFGS: expected lr to be"):
        LBFGS(f.parameters(), lambda step: bad).step(f.closure)
    assert (f.w.data[0], f.calls) == (3.0, 0)


def test_an_array_assigned_to_a_parameter_is_used():
    f = parabola()
    optimizer = LBFGS(f.parameters(), max_iter=1)
    f.w.data = np.array([-3.0])
    optimizer.step(f.closure)
    np.testing.assert_allclose(f.w.data, [-2.0], rtol=1e-14)


def test_a_gradient_that_the_closure_assigns_is_used():
    f = parabola()

    def closure():
        f.w.grad = 4 * f.w.data
        return 2.0 * float(f.w.data[0]) ** 2

    LBFGS(f.parameters(), max_iter=1).step(closure)
    np.testing.assert_allclose(f.w.data, [2.0], rtol=1e-14)


def test_steps_are_counted():
    f = Rosenbrock([-1.2, 1.0])
    optimizer = LBFGS(f.parameters(), max_iter=2)
    for _ in range(3):
        optimizer.step(f.closure)
    assert optimizer.state_dict()["steps"] == 3
