import copy
import itertools
import math
import pickle
from functools import partial

import numpy as np
import pytest

from minnet import (
    LBFGS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Linear,
    Parameter,
    ReLU,
    RMSprop,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)
from minnet.optimizers.optimizer import Optimizer
from minnet.optimizers.schedules import cosine_decay, linear_warmup, one_cycle


def parameter(values, dtype=np.float64, decay=True):
    p = Parameter(values, decay=decay)
    p.data = np.array(values, dtype)
    p.grad = np.zeros_like(p.data)
    return p


def model(seed=0):
    return Sequential(Linear(4, 6, rng=seed), ReLU(), Linear(6, 3, rng=seed + 1), SoftmaxCrossEntropy())


def batch(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(8, 4)).astype(np.float32), rng.integers(0, 3, 8)


def train(net, optimizer, seeds):
    for seed in seeds:
        net(*batch(seed))
        net.backward()
        optimizer.step()


def test_a_step_spends_the_gradients():
    net = model()
    optimizer = SGD(net.parameters(), lr=0.1)
    train(net, optimizer, [0])
    assert not any(p.grad.any() for p in net.parameters())
    before = net.state_dict()
    optimizer.step()
    np.testing.assert_equal(net.state_dict(), before)


def test_two_backwards_before_a_step_accumulate():
    twice, once = model(), model()
    halved, whole = SGD(twice.parameters(), lr=0.5), SGD(once.parameters(), lr=1.0)
    twice(*batch())
    twice.backward()
    twice.backward()
    halved.step()
    once(*batch())
    once.backward()
    whole.step()
    np.testing.assert_equal(twice.state_dict(), once.state_dict())


def test_zero_grad_forgets_the_gradients():
    net = model()
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    before = net.state_dict()
    net(*batch())
    net.backward()
    assert all(p.grad.any() for p in net.parameters())
    optimizer.zero_grad()
    assert not any(p.grad.any() for p in net.parameters())
    optimizer.step()
    np.testing.assert_equal(net.state_dict(), before)


def test_zero_grad_between_steps_is_never_wrong():
    plain, careful = model(), model()
    first, second = SGD(plain.parameters(), 0.1, momentum=0.9), SGD(careful.parameters(), 0.1, momentum=0.9)
    for seed in range(3):
        train(plain, first, [seed])
        second.zero_grad()
        train(careful, second, [seed])
        careful.zero_grad()
    np.testing.assert_equal(careful.state_dict(), plain.state_dict())


def test_weight_decay_leaves_biases_alone():
    net = Linear(4, 3, rng=0)
    net.b.data += 1
    W, b = net.W.data.copy(), net.b.data.copy()
    SGD(net.parameters(), lr=0.5, weight_decay=0.5).step()
    np.testing.assert_array_equal(net.b.data, b)
    np.testing.assert_allclose(net.W.data, 0.75 * W, rtol=1e-6)


def test_decay_can_be_set_later():
    p = parameter([4.0])
    optimizer = SGD([p], lr=0.5, weight_decay=0.5)
    p.decay = False
    optimizer.step()
    assert p.data[0] == 4.0
    p.decay = True
    optimizer.step()
    assert p.data[0] == 3.0


def test_clipping_is_by_the_norm_over_all_parameters():
    first, second = parameter([0.0, 0.0]), parameter([[0.0]])
    optimizer = SGD([first, second], lr=1.0, clip_norm=3.5)
    first.grad += [2.0, 3.0]
    second.grad += 6.0  # the norm of (2, 3, 6) is 7
    optimizer.step()
    np.testing.assert_allclose(first.data, [-1.0, -1.5], rtol=1e-15)
    np.testing.assert_allclose(second.data, [[-3.0]], rtol=1e-15)


@pytest.mark.rows("clip_norm", [5.0, 5.1, 1e9, None])
def test_a_gradient_that_is_not_larger_is_not_clipped(clip_norm):
    p = parameter([0.0, 0.0])
    optimizer = SGD([p], lr=1.0, clip_norm=clip_norm)
    p.grad += [3.0, -4.0]
    optimizer.step()
    np.testing.assert_array_equal(p.data, [-3.0, 4.0])


def test_weight_decay_is_added_to_what_is_clipped_and_not_clipped_itself():
    p = parameter([10.0])
    optimizer = SGD([p], lr=1.0, weight_decay=0.5, clip_norm=1.0)
    p.grad += 4.0
    optimizer.step()
    assert p.data[0] == 10 - (1 + 5)


def test_nothing_is_clipped_by_default():
    p = parameter([0.0])
    optimizer = SGD([p], lr=1.0)
    p.grad += 1e6
    optimizer.step()
    assert p.data[0] == -1e6


def test_a_gradient_whose_square_overflows_is_clipped_too():
    p = parameter([0.0, 0.0], np.float32)
    optimizer = SGD([p], lr=1.0, clip_norm=5.0)
    p.grad += np.array([3e25, -4e25], np.float32)
    optimizer.step()
    np.testing.assert_allclose(p.data, [-3.0, 4.0], rtol=1e-5)


@pytest.mark.rows("dtype, largest", [(np.float32, 8e37), (np.float64, 3e307)])
def test_the_largest_gradients_are_clipped_too(dtype, largest):
    p = parameter([0.0, 0.0], dtype)
    optimizer = SGD([p], lr=1.0, clip_norm=1.0)
    p.grad += [3 * largest, -4 * largest]
    optimizer.step()
    np.testing.assert_allclose(p.data, [-0.6, 0.8], rtol=1e-6)


@pytest.mark.rows("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.rows("kind", [partial(SGD, momentum=0.9), Adam, AdamW, RMSprop, Adagrad])
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_a_gradient_that_is_not_finite_cannot_be_clipped_and_nothing_changes(bad, kind, dtype):
    p, q = parameter([1.0, 2.0], dtype), parameter([3.0], dtype)
    optimizer = kind([p, q], lr=0.1, clip_norm=1.0, weight_decay=0.1)
    for _ in range(2):
        p.grad += [1.0, 1.0]
        optimizer.step()
        before = p.data.tolist(), q.data.tolist(), optimizer.state_dict()
        p.grad += [bad, 1.0]
        with pytest.raises(
            FloatingPointError, match=f"{optimizer.name}: the gradient .*is not finite.* nothing was ch"
        ):
            optimizer.step()
        np.testing.assert_equal((p.data.tolist(), q.data.tolist(), optimizer.state_dict()), before)
        np.testing.assert_equal((p.grad.tolist(), q.grad.tolist()), ([bad, 1.0], [0.0]))
        optimizer.zero_grad()


def test_a_norm_that_overflows_in_float64_is_refused_and_not_taken_for_no_limit():
    p = parameter([0.0, 0.0])
    optimizer = SGD([p], lr=1.0, clip_norm=1.0)
    p.grad += [1.5e308, -1.5e308]
    with pytest.raises(FloatingPointError, match="its norm is not finite"):
        optimizer.step()
    assert p.grad.tolist() == [1.5e308, -1.5e308]


def test_clipping_no_gradient_at_all_divides_by_nothing():
    p = parameter([1.0])
    SGD([p], lr=1.0, clip_norm=0.0).step()
    assert p.data[0] == 1.0


def test_a_schedule_is_called_once_a_step_with_the_steps_from_0():
    called = []

    def lr(step):
        called.append(step)
        return 2.0**-step

    p = parameter([0.0])
    optimizer = SGD([p], lr)
    assert called == []
    for _ in range(4):
        p.grad += 1.0
        optimizer.step()
    assert called == [0, 1, 2, 3]
    assert p.data[0] == -(1 + 0.5 + 0.25 + 0.125)


def test_a_schedule_goes_on_after_a_resume():
    called = []
    optimizer = SGD([parameter([0.0])], lambda step: called.append(step) or 0.1)
    optimizer.load_state_dict({"steps": 7})
    optimizer.step()
    assert called == [7]


@pytest.mark.rows("bad, error", [(math.nan, ValueError), (-0.1, ValueError), ("a", TypeError), (None, TypeError)])
def test_a_schedule_that_gives_no_learning_rate_is_refused_and_nothing_changes(bad, error):
    p = parameter([1.0])
    optimizer = SGD([p], lambda step: bad, momentum=0.9, weight_decay=0.1, clip_norm=0.1)
    p.grad += 2.0
    with pytest.raises(error, match="SGD: expected lr to be"):
        optimizer.step()
    assert (p.data[0], p.grad[0], optimizer.state_dict()["steps"], optimizer.state_dict()["v"][0]) == (1.0, 2.0, 0, 0.0)


def doubling(step):
    return 2.0**step


@pytest.mark.rows("make", [SGD, Adam, AdamW, RMSprop, Adagrad, LBFGS, lambda p, lr: Belief(p, lr)])
@pytest.mark.rows(
    "bad, error",
    [(-0.1, ValueError), (math.nan, ValueError), (math.inf, ValueError), ("0.1", TypeError), (None, TypeError)],
)
@pytest.mark.rows("before", [0.5, doubling])
def test_a_learning_rate_is_checked_when_it_is_set(make, bad, error, before):
    optimizer = make([parameter([1.0])], lr=before)
    with pytest.raises(error, match=f"{optimizer.name}: expected lr to be"):
        optimizer.lr = bad
    assert optimizer.lr is before
    for good in (np.float32(0.25), 1, doubling):
        optimizer.lr = good
        assert optimizer.lr == good and type(optimizer.lr_at(0)) is float


def test_a_line_search_needs_a_first_step_above_0_whenever_it_is_set():
    optimizer = LBFGS([parameter([1.0])])
    with pytest.raises(ValueError, match="LBFGS: expected lr to be above 0, got 0"):
        optimizer.lr = 0
    assert optimizer.lr == 1.0


def test_a_number_or_a_schedule_is_halved_in_place():
    p = parameter([0.0])
    optimizer = SGD([p], lr=0.5)
    optimizer.lr *= 0.5
    assert optimizer.lr == 0.25
    optimizer.lr = cosine_decay(0.5, steps=2)
    optimizer.lr *= 0.5
    for expected in (-0.25, -0.375, -0.375):
        p.grad += 1.0
        optimizer.step()
        assert p.data[0] == expected


def test_the_parameters_are_views_of_one_vector_and_their_gradients_of_another():
    net = model()
    before = net.state_dict()
    SGD(net.parameters(), lr=0.1)
    np.testing.assert_equal(net.state_dict(), before)
    for arrays in ([p.data for p in net.parameters()], [p.grad for p in net.parameters()]):
        vectors = {id(array.base) for array in arrays}
        assert len(vectors) == 1 and arrays[0].base.size == sum(array.size for array in arrays)
        ends = [array.ctypes.data + array.nbytes for array in arrays]
        assert [array.ctypes.data for array in arrays[1:]] == ends[:-1]


def test_an_array_assigned_to_data_is_used():
    p, q = parameter([1.0, 2.0]), parameter([3.0])
    optimizer = SGD([p, q], lr=1.0)
    given = np.array([10.0, 20.0])
    p.data = given
    p.grad += [1.0, 1.0]
    optimizer.step()
    np.testing.assert_array_equal(p.data, [9.0, 19.0])
    np.testing.assert_array_equal(given, [10.0, 20.0])
    optimizer.step()
    np.testing.assert_array_equal(p.data, [9.0, 19.0])
    assert q.data[0] == 3.0


def test_an_array_assigned_to_grad_is_used():
    p = parameter([1.0, 2.0])
    optimizer = SGD([p], lr=1.0)
    given = np.array([1.0, -1.0])
    p.grad = given
    optimizer.step()
    np.testing.assert_array_equal(p.data, [0.0, 3.0])
    np.testing.assert_array_equal(given, [1.0, -1.0])
    assert not p.grad.any()


def test_an_array_assigned_to_grad_is_zeroed_by_zero_grad():
    p = parameter([1.0])
    optimizer = SGD([p], lr=1.0)
    p.grad = np.array([5.0])
    optimizer.zero_grad()
    assert p.grad[0] == 0.0
    optimizer.step()
    assert p.data[0] == 1.0


def test_the_models_load_state_dict_keeps_the_views():
    net, other = model(), model(seed=5)
    optimizer = SGD(net.parameters(), lr=0.1)
    arrays = [p.data for p in net.parameters()]
    net.load_state_dict(other.state_dict())
    assert all(p.data is array for p, array in zip(net.parameters(), arrays))
    np.testing.assert_equal(net.state_dict(), other.state_dict())
    train(net, optimizer, [0])
    train(other, SGD(other.parameters(), lr=0.1), [0])
    np.testing.assert_equal(net.state_dict(), other.state_dict())


def test_two_optimizers_on_one_model_take_turns():
    both, alone = model(), model()
    first, second = SGD(both.parameters(), lr=0.1), SGD(both.parameters(), lr=0.2)
    one = SGD(alone.parameters(), lr=lambda step: [0.1, 0.2][step % 2])
    for seed in range(4):
        train(both, [first, second][seed % 2], [seed])
        train(alone, one, [seed])
    np.testing.assert_equal(both.state_dict(), alone.state_dict())


def test_two_optimizers_of_the_halves_of_a_model_move_one_half_each():
    net, alone = model(), model()
    first, second = SGD(net[0].parameters(), lr=0.1), SGD(net[2].parameters(), lr=0.1)
    net(*batch())
    net.backward()
    first.step()
    assert all(p.grad.any() for p in net[2].parameters())
    second.step()
    train(alone, SGD(alone.parameters(), lr=0.1), [0])
    np.testing.assert_equal(net.state_dict(), alone.state_dict())


def test_a_parameter_that_comes_twice_counts_once():
    p = parameter([1.0])
    optimizer = SGD([p, p], lr=1.0, momentum=0.9, clip_norm=2.0)
    p.grad += 2.0
    optimizer.step()
    assert p.data[0] == -1.0
    assert optimizer.state_dict()["v"].shape == (1,)


def test_shared_weights_move_once():
    net = Sequential(Linear(3, 3, rng=0), Linear(3, 3, rng=1))
    net[1].W = net[0].W
    optimizer = SGD(net.parameters(), lr=1.0)
    before = net[0].W.data.copy()
    net[0].W.grad += 1.0
    optimizer.step()
    np.testing.assert_array_equal(net[1].W.data, before - 1.0)
    assert net[1].W is net[0].W


def test_any_iterable_of_parameters_will_do():
    p, q = parameter([1.0]), parameter([2.0])
    for parameters in ((p for p in [p, q]), (p, q), {"a": p, "b": q}.values()):
        optimizer = SGD(parameters, lr=1.0)
        p.grad += 1.0
        q.grad += 1.0
        before = p.data[0], q.data[0]
        optimizer.step()
        assert (p.data[0], q.data[0]) == (before[0] - 1, before[1] - 1)


def test_parameters_of_any_rank_and_order_in_memory_are_moved():
    scalar, cube = parameter(2.0), parameter(np.arange(24.0).reshape(2, 3, 4))
    columns = parameter([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    columns.data = np.asfortranarray(columns.data)
    optimizer = SGD([scalar, cube, columns], lr=1.0)
    np.testing.assert_array_equal(columns.data, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    columns.grad += [[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]
    cube.grad[1, 2, 3] += 23.0
    scalar.grad += 1.0
    optimizer.step()
    np.testing.assert_array_equal(columns.data, [[0.0, 2.0, 3.0], [4.0, 5.0, 4.0]])
    assert (cube.data[1, 2, 3], cube.data[0, 0, 1], scalar.data) == (0.0, 1.0, 1.0)


@pytest.mark.rows(
    "what, error",
    [
        ([], ValueError),
        (iter([]), ValueError),
        (ReLU().parameters(), ValueError),
        ([np.ones(3)], TypeError),
        ([Parameter(np.ones(3)), None], TypeError),
        (model(), TypeError),
        (Linear(2, 2), TypeError),
        (Parameter(np.ones(3)), TypeError),
        (np.ones(3), TypeError),
        (model().named_parameters(), TypeError),
        (None, TypeError),
    ],
    ids=[
        "none",
        "an empty iterator",
        "of a relu",
        "an array in it",
        "None in it",
        "model",
        "layer",
        "parameter",
        "array",
        "dict",
        "None",
    ],
)
def test_what_are_not_parameters_is_refused(what, error):
    with pytest.raises(error, match="SGD: expected") as caught:
        SGD(what, lr=0.1)
    assert error is ValueError or "model.parameters()" in str(caught.value)


def test_parameters_of_several_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"SGD: .*float32 and float64.*astype"):
        SGD([parameter([1.0], np.float64), parameter([1.0], np.float32)], lr=0.1)


def test_a_dtype_changed_after_construction_is_a_clear_error():
    net = model()
    optimizer = SGD(net.parameters(), lr=0.1)
    net.astype(np.float64)
    for method in (optimizer.step, optimizer.zero_grad):
        with pytest.raises(ValueError, match=r"SGD: .*float32.*float64.*make a new optimizer"):
            method()


def test_astype_to_the_same_dtype_does_no_harm():
    net, plain = model(), model()
    optimizer = SGD(net.parameters(), lr=0.1)
    net.astype(np.float32)
    train(net, optimizer, [0])
    train(plain, SGD(plain.parameters(), lr=0.1), [0])
    np.testing.assert_equal(net.state_dict(), plain.state_dict())


def test_a_shape_changed_after_construction_is_a_clear_error():
    p = parameter([1.0, 2.0])
    optimizer = SGD([p], lr=0.1)
    p.data = np.ones(3)
    with pytest.raises(ValueError, match=r"SGD: .*\(2,\).*\(3,\).*make a new optimizer"):
        optimizer.step()


@pytest.mark.rows("name", ["lr", "weight_decay", "clip_norm"])
@pytest.mark.rows("value", [-1e-9, -1, math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"SGD: expected {name} to be at least 0 and"):
        SGD([parameter([1.0])], **{"lr": 0.1, name: value})


@pytest.mark.rows("name", ["lr", "weight_decay", "clip_norm"])
@pytest.mark.rows("value", ["0.1", True, False, np.True_, [0.1], (0.1,), 0.1j, np.array([0.1, 0.2]), {}])
def test_what_is_not_a_number_is_refused(name, value):
    with pytest.raises(TypeError, match=f"SGD: expected {name} to be a number"):
        SGD([parameter([1.0])], **{"lr": 0.1, name: value})


@pytest.mark.rows("name", ["lr", "weight_decay"])
def test_none_is_not_a_number(name):
    with pytest.raises(TypeError, match=f"SGD: expected {name} to be a number"):
        SGD([parameter([1.0])], **{"lr": 0.1, name: None})


@pytest.mark.rows("value", [1, 0, 0.5, np.float32(0.5), np.int64(1), np.array(0.5)])
def test_numbers_of_any_kind_will_do(value):
    p = parameter([1.0], np.float32)
    optimizer = SGD([p], lr=value, weight_decay=value, clip_norm=value)
    p.grad += 1.0
    optimizer.step()
    assert p.data.dtype == np.float32


def test_a_refused_optimizer_leaves_the_parameters_where_they_were():
    net = model()
    arrays = [(p.data, p.grad) for p in net.parameters()]
    for bad in ({"lr": -1}, {"lr": 0.1, "weight_decay": math.nan}, {"lr": 0.1, "clip_norm": "a"}):
        with pytest.raises((TypeError, ValueError)):
            SGD(net.parameters(), **bad)
    assert all(p.data is data and p.grad is grad for p, (data, grad) in zip(net.parameters(), arrays))


def test_the_state_is_a_copy_in_both_directions():
    p = parameter([0.0])
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    p.grad += 1.0
    optimizer.step()
    state = optimizer.state_dict()
    state["v"][...] = 100.0
    assert optimizer.state_dict()["v"][0] == 1.0
    optimizer.load_state_dict(state)
    state["v"][...] = 7.0
    assert optimizer.state_dict()["v"][0] == 100.0


def test_a_state_that_does_not_fit_is_reported_whole_and_changes_nothing():
    p = parameter([0.0, 0.0])
    optimizer = SGD([p], lr=1.0, momentum=0.5)
    p.grad += 1.0
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(ValueError) as caught:
        optimizer.load_state_dict({"steps": 5, "v": np.ones(3), "m": np.ones(2), "s": np.ones(2)})
    text = str(caught.value)
    assert text.startswith("SGD: the state does not fit, nothing was loaded: ")
    for part in ("v has shape (3,), expected (2,)", "unexpected m (2,)", "unexpected s (2,)"):
        assert part in text
    with pytest.raises(ValueError, match=r"missing steps .*; missing v \(2,\)"):
        optimizer.load_state_dict({})
    with pytest.raises(ValueError, match="v holds complex128"):
        optimizer.load_state_dict({"steps": 5, "v": np.ones(2, complex)})
    np.testing.assert_equal(optimizer.state_dict(), before)


@pytest.mark.rows("steps", [-1, 2.5, math.nan, [1, 2]])
def test_a_number_of_steps_that_is_none_is_refused(steps):
    optimizer = SGD([parameter([0.0])], lr=1.0)
    with pytest.raises(ValueError, match="steps"):
        optimizer.load_state_dict({"steps": steps})
    assert optimizer.state_dict() == {"steps": 0}


def test_the_state_of_another_kind_is_refused():
    plain, heavy = SGD([parameter([0.0])], lr=1.0), SGD([parameter([0.0])], lr=1.0, momentum=0.5)
    with pytest.raises(ValueError, match="unexpected v"):
        plain.load_state_dict(heavy.state_dict())
    with pytest.raises(ValueError, match="missing v"):
        heavy.load_state_dict(plain.state_dict())


def test_a_deep_copy_of_a_model_is_independent_of_the_optimizer():
    net = model()
    optimizer = SGD(net.parameters(), lr=0.1)
    twin = copy.deepcopy(net)
    before = twin.state_dict()
    train(net, optimizer, [0])
    np.testing.assert_equal(twin.state_dict(), before)
    assert not any(np.shares_memory(p.data, q.data) for p, q in zip(net.parameters(), twin.parameters()))


def test_an_optimizer_of_ones_own_needs_an_update_only():
    class Signs(Optimizer):
        def update(self, w, g, lr):
            w -= lr * np.sign(g)

    p, q = parameter([0.0, 0.0]), parameter([0.0])
    optimizer = Signs([p, q], lr=lambda step: 1.0 / (step + 1), weight_decay=1.0)
    for _ in range(2):
        p.grad += [3.0, -0.1]
        optimizer.step()
    np.testing.assert_array_equal(p.data, [-1.5, 0.5])
    assert optimizer.state_dict() == {"steps": 2}
    with pytest.raises(ValueError, match="Signs: expected lr"):
        Signs([p], lr=-1)


def test_an_optimizer_without_an_update_says_so():
    with pytest.raises(NotImplementedError, match="Optimizer has no update"):
        Optimizer([parameter([0.0])], lr=0.1).step()


# An optimizer of one's own, as the docstring of optimizer.py describes it


class Belief(Optimizer):
    """Names two moments, and updates arrays."""

    def __init__(self, parameters, lr, rate=0.5, weight_decay=0.0, clip_norm=None):
        super().__init__(parameters, lr, weight_decay, clip_norm)
        self.rate = rate
        self.add_moments("mean", "spread")

    def update(self, w, g, lr, mean, spread):
        mean += self.rate * (g - mean)
        g -= mean
        spread += self.rate * (g * g - spread)
        w -= lr * mean / (1 + spread) / (self.steps + 1)


def falling(step):
    return 0.5 / (1 + step)


OWN = [{"lr": 0.1}, {"lr": falling, "rate": 0.25, "weight_decay": 0.1, "clip_norm": 0.5}]


def test_update_gets_two_moments_of_ones_own_in_their_order():
    p, q = parameter([1.0]), parameter([2.0])
    optimizer = Belief([p, q], lr=3.0)
    p.grad += 4.0
    q.grad += -8.0
    optimizer.step()
    # mean ½g = 2 and −4, spread ½(g − mean)² = 2 and 8
    np.testing.assert_allclose([*p.data, *q.data], [1 - 3 * 2 / 3, 2 + 3 * 4 / 9], rtol=1e-15)
    assert [p.grad.tolist(), q.grad.tolist()] == [[0.0], [0.0]]
    p.grad += 4.0
    q.grad += -4.0
    optimizer.step()
    # mean 3 and −4, spread 1 + ½ = 1.5 and 4; halved at the second step
    np.testing.assert_allclose([*p.data, *q.data], [-1 - 3 * 3 / 2.5 / 2, 10 / 3 + 3 * 4 / 5 / 2], rtol=1e-15)
    state = optimizer.state_dict()
    assert list(state) == ["steps", "mean", "spread"]
    assert [state["steps"], state["mean"].tolist(), state["spread"].tolist()] == [2, [3.0, -4.0], [1.5, 4.0]]


@pytest.mark.rows("options", OWN)
@pytest.mark.rows("block", [1, 7, 50, 51, 52])
def test_an_optimizer_of_ones_own_gives_the_same_in_blocks_of_any_size(options, block, monkeypatch):
    whole, parted = model(), model()
    train(whole, first := Belief(whole.parameters(), **options), range(5))
    monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", block)
    train(parted, second := Belief(parted.parameters(), **options), range(5))
    np.testing.assert_equal(parted.state_dict(), whole.state_dict())
    np.testing.assert_equal(second.state_dict(), first.state_dict())


def test_update_is_called_once_for_each_block_of_the_vectors(monkeypatch):
    seen = []

    class Recorder(Optimizer):
        def __init__(self, parameters, lr):
            super().__init__(parameters, lr)
            self.add_moments("a", "b")

        def update(self, w, g, lr, a, b):
            seen.append((self.steps, w.tolist(), g.tolist(), lr))
            a += w
            b += g
            g[...] = 99.0

    p, q = parameter([0.0, 1.0, 2.0, 3.0]), parameter([[4.0, 5.0], [6.0, 7.0]])
    optimizer = Recorder([p, q], lr=lambda step: step / 8)
    expected, vector = [], list(range(8))
    for step, block, ends in [(0, 3, [0, 3, 6, 8]), (1, 4, [0, 4, 8]), (2, 8, [0, 8]), (3, 100, [0, 8])]:
        monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", block)
        p.grad += 10 + p.data
        q.grad += 10 + q.data
        optimizer.step()
        assert not p.grad.any() and not q.grad.any()
        expected += [
            (step, vector[start:end], [10 + i for i in vector[start:end]], step / 8)
            for start, end in itertools.pairwise(ends)
        ]
    assert seen == expected
    state = optimizer.state_dict()
    assert state["steps"] == 4
    assert state["a"].tolist() == [4 * i for i in range(8)]
    assert state["b"].tolist() == [40 + 4 * i for i in range(8)]


def test_moments_can_be_added_at_any_time_and_start_at_zero():
    optimizer = Belief([parameter([1.0, 2.0]), parameter([3.0])], lr=0.1)
    optimizer.add_moments("third")
    assert list(optimizer.state_dict()) == ["steps", "mean", "spread", "third"]
    assert optimizer.state_dict()["third"].tolist() == [0, 0, 0]


@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_moments_have_the_dtype_and_the_length_of_the_parameters(dtype):
    optimizer = Belief([parameter([1.0, 2.0], dtype), parameter([[3.0]], dtype)], lr=0.1)
    for name in ("mean", "spread"):
        assert (optimizer.state_dict()[name].dtype, optimizer.state_dict()[name].shape) == (dtype, (3,))


@pytest.mark.rows("options", OWN)
def test_an_optimizer_of_ones_own_resumes_to_the_bit(options):
    straight, stopped, resumed = model(), model(), model(seed=7)
    train(straight, Belief(straight.parameters(), **options), range(6))
    train(stopped, before := Belief(stopped.parameters(), **options), range(3))
    saved = stopped.state_dict(), before.state_dict()
    train(stopped, before, range(10, 13))
    after = Belief(resumed.parameters(), **options)
    resumed.load_state_dict(saved[0])
    after.load_state_dict(saved[1])
    train(resumed, after, range(3, 6))
    np.testing.assert_equal(resumed.state_dict(), straight.state_dict())


@pytest.mark.rows("again", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_model_and_its_optimizer_copied_together_train_on(again):
    net = model()
    optimizer = SGD(net.parameters(), lr=falling, momentum=0.9, weight_decay=0.1)
    train(net, optimizer, range(2))
    twin, its_optimizer = again((net, optimizer))
    before = net.state_dict()
    train(twin, its_optimizer, range(2, 4))
    np.testing.assert_equal(net.state_dict(), before)
    train(net, optimizer, range(2, 4))
    np.testing.assert_equal(twin.state_dict(), net.state_dict())


def test_an_optimizer_of_ones_own_may_decay_otherwise():
    class Shrinking(Optimizer):
        def decay(self, w, g, lr):
            w *= 1 - self.weight_decay

        def update(self, w, g, lr):
            w -= lr * g

    p = parameter([8.0], decay=False)
    optimizer = Shrinking([p], lr=0.5, weight_decay=0.25)
    p.grad += 2.0
    optimizer.step()
    assert p.data[0] == 5.0


def test_an_update_that_raises_is_no_step():
    class Broken(Optimizer):
        def update(self, w, g, lr):
            raise ArithmeticError("no")

    optimizer = Broken([parameter([1.0])], lr=0.1)
    with pytest.raises(ArithmeticError):
        optimizer.step()
    assert optimizer.state_dict() == {"steps": 0}


class Uninitialized(Optimizer):
    def __init__(self, parameters, lr):
        self.rate = lr

    def update(self, w, g, lr):
        w -= lr * g


class WithNames(Uninitialized):
    """It has all that a step of one's own needs, and what fit and others ask of it is told."""

    def __init__(self, parameters, lr):
        self.parameters, self.lr = list(parameters), lr


class TooEarly(Belief):
    def __init__(self, parameters, lr):
        self.add_moments("m")
        super().__init__(parameters, lr)


USES = {
    "step": lambda optimizer: optimizer.step(),
    "zero_grad": lambda optimizer: optimizer.zero_grad(),
    "gather": lambda optimizer: optimizer.gather(),
    "gradient_is_finite": lambda optimizer: optimizer.gradient_is_finite(),
    "state_dict": lambda optimizer: optimizer.state_dict(),
    "load_state_dict": lambda optimizer: optimizer.load_state_dict({"steps": 0}),
    "add_moments": lambda optimizer: optimizer.add_moments("m"),
    "parameters": lambda optimizer: optimizer.parameters,
    "lr": lambda optimizer: optimizer.lr,
    "fit": lambda optimizer: fit(model(), optimizer, [batch()], 1, progress=False),
}


@pytest.mark.rows("use", list(USES.values()), ids=list(USES))
@pytest.mark.rows("kind", [Uninitialized, WithNames])
def test_an_init_that_forgets_the_base_is_told_what_to_call(use, kind):
    optimizer = kind([parameter([1.0])], lr=0.1)
    if kind is WithNames and use in (USES["parameters"], USES["lr"]):
        use(optimizer)
        return
    with pytest.raises(
        RuntimeError, match=rf"{kind.__name__}: its __init__ did not call super\(\).__init__\(parameters, lr"
    ):
        use(optimizer)


def test_moments_that_are_added_before_the_base_knows_the_parameters_are_told_so():
    with pytest.raises(RuntimeError, match=r"TooEarly: .*super\(\).__init__\(parameters, lr\), which must come first"):
        TooEarly([parameter([1.0])], lr=0.1)


@pytest.mark.rows("block", [1, 5, 100])
def test_a_rule_for_each_parameter_gets_arrays_of_its_shape(block, monkeypatch):
    monkeypatch.setattr("minnet.optimizers.optimizer.BLOCK", block)
    seen = []

    class Trust(Optimizer):
        per_parameter = True

        def __init__(self, parameters, lr, weight_decay=0.0):
            super().__init__(parameters, lr, weight_decay)
            self.add_moments("v")

        def update(self, w, g, lr, v):
            seen.append((w.shape, g.shape, v.shape))
            v += g
            w -= lr * np.linalg.norm(w) / np.linalg.norm(v) * v

    p, q, r = parameter([[3.0, 0.0], [0.0, 4.0]]), parameter([2.0]), parameter(1.0)
    optimizer = Trust([p, q, r], lr=0.5)
    for _ in range(2):
        p.grad += [[0.0, 8.0], [6.0, 0.0]]
        q.grad += [-5.0]
        r.grad += 7.0
        optimizer.step()
        assert not p.grad.any() and not q.grad.any() and not r.grad.any()
    assert seen == [((2, 2),) * 3, ((1,),) * 3, ((),) * 3] * 2
    assert optimizer.state_dict()["v"].tolist() == [0, 16, 12, 0, -10, 14]
    # The first step is half of |w| = 5 long, along (0.8, 0.6): w then has -2 and -1.5 there. The second is parallel.
    length = math.sqrt(3**2 + 2**2 + 1.5**2 + 4**2) / 2
    expected = [[3.0, -2 - 0.8 * length], [-1.5 - 0.6 * length, 4.0]]
    np.testing.assert_allclose(p.data, expected, rtol=1e-12)
    np.testing.assert_allclose([*q.data, r.data], [2 * 1.5**2, 0.25], rtol=1e-12)


# What it prints


def test_an_optimizer_is_told_in_a_line():
    net = model()
    optimizer = SGD(net.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-4, clip_norm=5)
    train(net, optimizer, range(3))
    numbers = "lr=0.5, weight_decay=0.0001, clip_norm=5, momentum=0.9, nesterov=False"
    assert repr(optimizer) == str(optimizer) == f"SGD({numbers}): 4 parameters, 51 values, 3 steps taken"


@pytest.mark.rows(
    "make, numbers",
    [
        (Adam, "lr=0.001, weight_decay=0, betas=(0.9, 0.999), eps=1e-08"),
        (LBFGS, "lr=1, weight_decay=0, max_iter=20, tolerance_grad=1e-07, tolerance_change=1e-09"),
        (lambda p: Belief(p, lr=np.float32(0.1), rate=np.float64(0.25)), "lr=0.1, weight_decay=0, rate=0.25"),
        (lambda p: Belief(p, lr=1, rate=(np.int64(3), 1 / 3)), "lr=1, weight_decay=0, rate=(3, 0.333333)"),
    ],
)
@pytest.mark.rows("dtype", [np.float32, np.float64])
def test_the_line_has_the_numbers_of_every_kind(make, numbers, dtype):
    optimizer = make([parameter(1.0, dtype)])
    assert repr(optimizer) == f"{optimizer.name}({numbers}): 1 parameter, 1 value, 0 steps taken"


def test_the_line_has_the_numbers_as_they_are_now():
    p = parameter(np.zeros((1000, 2)))
    optimizer = SGD([p], lr=0.5)
    optimizer.lr, optimizer.momentum, optimizer.clip_norm = 0.25, 0.5, 1.0
    optimizer.step()
    numbers = "lr=0.25, weight_decay=0, clip_norm=1, momentum=0.5, nesterov=False"
    assert repr(optimizer) == f"SGD({numbers}): 1 parameter, 2,000 values, 1 step taken"


def scaled(schedule):
    return lambda step: 2 * schedule(step)


class Drawing:
    def __init__(self):
        self.rng, self.called = np.random.default_rng(0), 0

    def __call__(self, step):
        self.called += 1
        return self.rng.random()


@pytest.mark.rows(
    "make, told",
    [
        (lambda drawing: drawing, "Drawing"),
        (lambda drawing: drawing.__call__, "Drawing.__call__"),
        (scaled, "scaled.<lambda>"),
        (lambda drawing: partial(drawing), "partial"),
        (lambda drawing: linear_warmup(2, then=drawing), "linear_warmup(2, then=Drawing)"),
        (lambda drawing: cosine_decay(0.5, 8), "cosine_decay(0.5, steps=8)"),
        (lambda drawing: one_cycle(0.5, 8, warmup=0.5) * 0.5, "0.5 * one_cycle(0.5, steps=8, warmup=0.5)"),
    ],
)
def test_a_schedule_is_shown_by_its_name_and_not_called(make, told):
    drawing = Drawing()
    optimizer = SGD([parameter([0.0])], make(drawing))
    assert repr(optimizer).startswith(f"SGD(lr={told}, weight_decay=0, ")
    assert drawing.called == 0 and drawing.rng.random() == np.random.default_rng(0).random()
