"""Which parameters an optimizer takes, what may be assigned to them, and what comes along read-only."""

import copy
import math
import pickle

import numpy as np
import pytest

from minnet import LBFGS, SGD, Adagrad, Adam, AdamW, Parameter, RMSprop
from minnet.optimizers.optimizer import Optimizer


class Signs(Optimizer):
    """One of one's own, with a moment and a rule for each parameter."""

    per_parameter = True

    def __init__(self, parameters, lr, weight_decay=0.0):
        super().__init__(parameters, lr, weight_decay)
        self.add_moments("m")

    def update(self, w, g, lr, m):
        m += g
        w -= lr * np.sign(m) * np.sqrt((g * g).mean())


KINDS = {
    "sgd": lambda parameters, **options: SGD(parameters, lr=0.1, momentum=0.9, **options),
    "rmsprop": lambda parameters, **options: RMSprop(parameters, lr=0.1, momentum=0.5, **options),
    "adagrad": lambda parameters, **options: Adagrad(parameters, lr=0.1, **options),
    "adam": lambda parameters, **options: Adam(parameters, lr=0.1, **options),
    "adamw": lambda parameters, **options: AdamW(parameters, lr=0.1, **options),
    "lbfgs": lambda parameters, **options: LBFGS(parameters, max_iter=1, **options),
    "own": lambda parameters, **options: Signs(parameters, lr=0.1, **options),
}
every_kind = pytest.mark.rows("make", list(KINDS.values()), ids=list(KINDS))


def add_in_place(p, g):
    p.grad += g


def add_and_assign(p, g):
    p.grad = p.grad + g


def assign_a_number(p, g):
    p.grad = float(p.grad) + float(g)


def clear_with_none_and_assign(p, g):
    p.grad = None
    p.grad = np.float32(g)


def assign_another_dtype(p, g):
    p.grad = np.float64(p.grad) + np.float64(g)


def stepped(optimizer, closure):
    if isinstance(optimizer, LBFGS):
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()


def descend(optimizer, parameters, add, steps=4):
    """Steps down Σ √(1 + (w − 3)²), whose gradient is handed over by `add`."""

    def closure():
        heights = [np.sqrt(1 + np.square(p.data - np.float32(3))) for p in parameters]
        for p, height in zip(parameters, heights):
            add(p, (p.data - np.float32(3)) / height)
        return float(sum(height.sum() for height in heights))

    for _ in range(steps):
        stepped(optimizer, closure)


# Which parameters it takes


def frozen(p):
    """A parameter as a layer's freeze() leaves it."""
    p.frozen, p.grad = True, np.zeros_like(p.grad)
    return p


@every_kind
def test_frozen_parameters_are_left_out(make):
    p, q, r = Parameter([1.0, 2.0]), frozen(Parameter([3.0])), Parameter([4.0])
    data, grad = q.data, q.grad
    optimizer = make([p, q, r], weight_decay=0.5)
    assert optimizer.parameters == [p, r]
    descend(optimizer, [p, r], add_in_place)
    assert q.data is data and q.grad is grad and q.data[0] == 3.0
    assert p.data[0] != 1.0 and r.data[0] != 4.0


@every_kind
def test_an_optimizer_of_frozen_parameters_alone_is_refused(make):
    with pytest.raises(ValueError, match=r"all parameters are frozen; call unfreeze\(\)"):
        make([frozen(Parameter([1.0])), frozen(Parameter([2.0]))])


@every_kind
@pytest.mark.rows("again", [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_parameter_that_is_frozen_later_asks_for_a_new_optimizer(make, again):
    parameters = [Parameter([1.0, 2.0]), Parameter([3.0])]
    optimizer = make(parameters)
    frozen(parameters[1])
    parameters, optimizer = again((parameters, optimizer))
    text = r"a parameter of shape \(1,\) was frozen after the optimizer was made; make a new optimizer"
    for use in (lambda: stepped(optimizer, lambda: 0.0), optimizer.zero_grad, optimizer.gather):
        with pytest.raises(ValueError, match=text):
            use()
    assert [p.data.tolist() for p in parameters] == [[1.0, 2.0], [3.0]]
    descend(make(parameters), parameters[:1], add_in_place)


@every_kind
@pytest.mark.rows("dtype", [np.float16, np.int32])
def test_parameters_in_half_precision_or_of_integers_are_refused(make, dtype):
    p = Parameter([1.0])
    p.data = p.data.astype(dtype)
    with pytest.raises(ValueError, match=f"expected parameters of float32 or float64, got {np.dtype(dtype)}.*astype"):
        make([p])
    assert p.data.dtype == dtype and p.grad.dtype == np.float32


# What may be assigned to a parameter


@every_kind
@pytest.mark.rows("add", [add_and_assign, assign_a_number, clear_with_none_and_assign, assign_another_dtype])
def test_a_scalar_parameter_is_trained_like_a_vector_of_one(make, add):
    scalar, vector = Parameter(1.0), Parameter([1.0])
    first, second = make([scalar], weight_decay=0.25), make([vector], weight_decay=0.25)
    descend(first, [scalar], add)
    descend(second, [vector], add_in_place)
    assert scalar.data.tobytes() == vector.data.tobytes() != np.float32(1).tobytes()
    assert isinstance(scalar.data, np.ndarray) and isinstance(scalar.grad, np.ndarray)
    assert scalar.data.shape == scalar.grad.shape == () and scalar.grad == 0


@every_kind
@pytest.mark.rows("halve", [lambda p: p.data * 0.5, lambda p: float(p.data) / 2, lambda p: np.float32(0.5) * p.data])
def test_scalar_data_that_are_assigned_are_trained(make, halve):
    scalar, vector = Parameter(4.0), Parameter([4.0])
    first, second = make([scalar]), make([vector])
    for _ in range(3):
        scalar.data = halve(scalar)
        vector.data *= 0.5
        descend(first, [scalar], add_and_assign, steps=1)
        descend(second, [vector], add_in_place, steps=1)
    assert scalar.data.tobytes() == vector.data.tobytes()


@every_kind
def test_an_optimizer_is_made_of_scalars_that_have_become_numbers_of_numpy(make):
    p = Parameter(4.0)
    p.data, p.grad = p.data * 0.5, p.grad + 0
    assert not isinstance(p.data, np.ndarray) and not isinstance(p.grad, np.ndarray)
    descend(make([p]), [p], add_and_assign)
    assert isinstance(p.data, np.ndarray) and p.data != 2.0


@every_kind
@pytest.mark.rows("shape", [(), (1,), (2, 3)])
def test_a_gradient_that_was_set_to_none_is_zero(make, shape):
    p = Parameter(np.ones(shape), decay=False)
    optimizer = make([p])
    p.grad = None
    optimizer.zero_grad()
    assert p.grad.shape == shape and not p.grad.any()
    p.grad = None
    stepped(optimizer, lambda: 0.0)
    np.testing.assert_array_equal(p.data, np.ones(shape))


@every_kind
@pytest.mark.rows("bad", [0.0, 1, np.float32(1), np.ones(3), np.ones((2, 1)), np.ones(2, complex), "a", [None, None]])
def test_a_gradient_that_fits_nowhere_is_a_clear_error_and_nothing_changes(make, bad):
    p = Parameter([1.0, 2.0])
    optimizer = make([p])
    p.grad = bad
    with pytest.raises(ValueError, match=rf"{optimizer.name}: expected the grad of a parameter .* \(2,\) and float32"):
        optimizer.gather()
    assert p.grad is bad and p.data.tolist() == [1.0, 2.0]


@every_kind
@pytest.mark.rows("bad", [None, 0.5, np.ones(3, np.float32), np.ones(2), "a"])
def test_data_that_fit_nowhere_are_a_clear_error(make, bad):
    p = Parameter([1.0, 2.0])
    optimizer = make([p])
    p.data = bad
    with pytest.raises(ValueError, match=rf"{optimizer.name}: expected a parameter of shape \(2,\).* make a new opt"):
        optimizer.zero_grad()


# What comes along read-only


def locked(parameters, optimizer):
    """As processes and memory maps hand arrays over, after they were unpickled or before."""
    arrays = [array for p in parameters for array in (p.data, p.grad)]
    for array in arrays + list(optimizer.moments.values()):
        array.flags.writeable = False
    return parameters, optimizer


def memory_mapped(parameters, optimizer):
    """A pickle whose moments and parameters are read-only once they are read."""
    state = optimizer.__getstate__()
    parameters, state = copy.deepcopy((parameters, state))
    for array in [*state["moments"].values(), *(p.data for p in parameters), *(p.grad for p in parameters)]:
        array.flags.writeable = False
    made = object.__new__(type(optimizer))
    made.__setstate__(state)
    return parameters, made


@every_kind
@pytest.mark.rows("came", [lambda *both: locked(*pickle.loads(pickle.dumps(both))), memory_mapped, locked])
@pytest.mark.rows("weight_decay", [0.0, 0.25])
def test_an_optimizer_that_came_along_with_read_only_arrays_trains_on(make, came, weight_decay):
    def new():
        parameters = [Parameter([[1.0, 2.0]]), Parameter(3.5)]
        optimizer = make(parameters, weight_decay=weight_decay)
        descend(optimizer, parameters, add_in_place, steps=2)
        return parameters, optimizer

    straight, its = new()
    descend(its, straight, add_in_place, steps=2)
    parameters, optimizer = came(*new())
    if came is locked:
        optimizer.load_state_dict(optimizer.state_dict())
    descend(optimizer, parameters, add_and_assign, steps=2)
    assert [p.data.tobytes() for p in parameters] == [p.data.tobytes() for p in straight]
    np.testing.assert_equal(optimizer.state_dict(), its.state_dict())


@every_kind
def test_a_state_is_loaded_into_moments_that_are_read_only(make):
    p = Parameter([1.0, 2.0])
    optimizer = make([p])
    descend(optimizer, [p], add_in_place)
    state = optimizer.state_dict()
    locked([], optimizer)
    optimizer.load_state_dict({name: 2 * np.asarray(value) for name, value in state.items()})
    np.testing.assert_equal(optimizer.state_dict(), {name: 2 * value for name, value in state.items()})


@every_kind
def test_an_optimizer_is_made_of_read_only_parameters(make):
    p, q = Parameter([1.0, 2.0]), Parameter([1.0, 2.0])
    p.data.flags.writeable = p.grad.flags.writeable = False
    descend(make([p]), [p], add_in_place)
    descend(make([q]), [q], add_in_place)
    assert p.data.tobytes() == q.data.tobytes()


@pytest.mark.rows("values, finite", [([1e38, -3e38], True), ([1.0, math.inf], False), ([math.nan, 0.0], False)])
def test_whether_a_gradient_is_finite_is_told_for_large_ones_too(values, finite):
    p = Parameter([0.0, 0.0])
    optimizer = SGD([p], lr=0.1)
    p.grad = np.array(values, np.float32)
    with np.errstate(over="ignore"):
        assert optimizer.gradient_is_finite() is finite
