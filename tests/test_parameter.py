"""Parameters and buffers: what they make of data."""

import copy
import pickle

import numpy as np
import pytest

from minnet import Buffer, Parameter, SparseParameter


def p(*values):
    return Parameter(np.array(values))


@pytest.mark.rows("data", [[1, 2], np.array([1.0, 2.0]), np.array([1, 2], np.uint8), np.array([1, 2], np.float32)])
def test_a_parameter_is_a_float32_copy_with_a_gradient_of_zeros(data):
    parameter = Parameter(data)
    assert parameter.data.dtype == parameter.grad.dtype == np.float32
    assert parameter.data.tolist() == [1, 2]
    assert parameter.grad.tolist() == [0, 0]
    parameter.data[0] = 9
    assert data[0] == 1


def test_a_parameter_decays_unless_told_otherwise():
    assert p(1).decay is True
    assert Parameter([1], decay=False).decay is False


@pytest.mark.rows("kind", [Parameter, Buffer])
@pytest.mark.rows("data", [[1j], ["a"], np.array([None]), None])
def test_arrays_that_are_not_real_are_refused(kind, data):
    with pytest.raises(TypeError, match=f"{kind.__name__}: expected real numbers"):
        kind(data)


def test_a_buffer_makes_float32_of_floats_and_keeps_integers():
    assert Buffer([1.5]).data.dtype == np.float32
    assert Buffer(np.array([1, 2], np.int64)).data.dtype == np.int64
    original = np.array([1.0], np.float32)
    Buffer(original).data[0] = 5
    assert original[0] == 1


@pytest.mark.rows(
    "use",
    [
        lambda p: p * 2,
        lambda p: 2 * p,
        lambda p: np.ones(2) * p,
        lambda p: p @ np.ones(2),
        lambda p: np.ones((2, 2)) @ p,
        lambda p: p - p,
        lambda p: 1 / p,
        lambda p: p**2,
        lambda p: -p,
        lambda p: np.exp(p),
        lambda p: np.einsum("i,i->", np.ones(2), p),
        lambda p: np.asarray(p),
        lambda p: np.where([True, False], p, 0),
    ],
)
@pytest.mark.rows("kind", [Parameter, Buffer])
def test_arithmetic_with_the_object_instead_of_its_array_is_a_type_error(use, kind):
    with pytest.raises(TypeError):
        use(kind([1.0, 2.0]))


@pytest.mark.rows("use", [lambda p: p * 2, lambda p: np.ones(2) * p, lambda p: np.einsum("i->", p)])
def test_its_text_says_to_use_data(use):
    with pytest.raises(TypeError, match=r"use \.data, the array in it"):
        use(Parameter([1.0, 2.0]))


@pytest.mark.rows("value", [1.0, [1.0, 2.0]])
def test_zero_grad_reaches_scalars_and_read_only_gradients(value):
    parameter = Parameter(value)
    parameter.grad = parameter.grad + 1  # of a 0-d array, a NumPy scalar
    parameter.zero_grad()
    assert isinstance(parameter.grad, np.ndarray) and not parameter.grad.any()
    parameter.grad += 1
    parameter.grad.flags.writeable = False
    parameter.zero_grad()
    parameter.grad += 1
    assert (parameter.grad == 1).all()


def test_zero_grad_keeps_the_array():
    parameter = Parameter([1.0])
    grad = parameter.grad
    grad += 1
    parameter.zero_grad()
    assert parameter.grad is grad and grad[0] == 0


def test_what_arrives_read_only_from_another_process_can_be_written_to():
    parameter, buffer = Parameter([1.0, 2.0]), Buffer([1.0])
    states = [dict(vars(held)) for held in (parameter, buffer)]
    for held, state in zip((Parameter.__new__(Parameter), Buffer.__new__(Buffer)), states):
        for array in state.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        held.__setstate__(state)
        held.data += 1
        assert held.data[0] == 2


# Rows of the gradient

KINDS = pytest.mark.rows("kind", [Parameter, SparseParameter])


def loop(num, ids, dy):
    g = np.zeros((num, *dy.shape[ids.ndim :]))
    for place in np.ndindex(ids.shape):
        g[ids[place]] += dy[place]
    return g


@KINDS
@pytest.mark.rows(
    "num, shape",
    [(4, (9,)), (500, (300,)), (300, (200,)), (5, (300,)), (5000, (100, 3)), (1, (70,)), (3, ()), (3, (0,))],
)
@pytest.mark.rows("row", [(), (1,), (5,), (2, 3)])
def test_rows_of_the_gradient_are_sums_over_the_places_of_an_id(kind, num, shape, row):
    rng = np.random.default_rng(0)
    ids, dy = rng.integers(0, num, shape), rng.normal(size=(*shape, *row))
    parameter = kind(np.ones((num, *row)))
    parameter.data, parameter.grad = np.ones((num, *row)), np.zeros((num, *row))
    parameter.zero_grad()
    given = ids.copy(), dy.copy()
    parameter.add_rows(np.asarray(ids), dy)
    np.testing.assert_allclose(parameter.grad, loop(num, np.asarray(ids), dy), rtol=1e-12, atol=1e-13)
    parameter.add_rows(np.asarray(ids), dy)
    np.testing.assert_allclose(parameter.grad, 2 * loop(num, np.asarray(ids), dy), rtol=1e-12, atol=1e-13)
    assert np.array_equal(ids, given[0]) and np.array_equal(dy, given[1])


@KINDS
def test_rows_are_added_in_the_dtype_of_the_parameter(kind):
    parameter = kind(np.ones((3, 2)))
    parameter.add_rows(np.array([2, 0], np.uint8), np.full((2, 2), 0.5))
    assert parameter.grad.dtype == np.float32 and parameter.grad.tolist() == [[0.5, 0.5], [0, 0], [0.5, 0.5]]


@KINDS
def test_rows_are_added_to_a_gradient_that_lies_otherwise_in_memory(kind):
    parameter = kind(np.ones((3, 2)))
    grad = parameter.grad = np.zeros((3, 2), np.float32, order="F")
    parameter.add_rows(np.array([1, 1]), np.ones((2, 2), np.float32))
    assert parameter.grad is grad and grad.tolist() == [[0, 0], [2, 2], [0, 0]]


@KINDS
def test_what_is_changed_after_rows_were_added_does_not_change_the_gradient(kind):
    parameter, ids, dy = kind(np.ones((99, 2))), np.arange(80), np.ones((80, 2), np.float32)
    parameter.add_rows(ids, dy)
    ids += 1
    dy += 1
    assert parameter.grad[:, 0].tolist() == [1] * 80 + [0] * 19


# A parameter that knows its rows


def sparse(num=4):
    return SparseParameter(np.zeros((num, 1)))


def told(parameter):
    rows, sums = parameter.by_row()
    return dict(zip(rows.tolist(), sums[:, 0].tolist()))


def test_the_rows_that_got_gradient_are_told_with_it():
    p = sparse()
    assert told(p) == {}
    p.add_rows(np.array([2, 0, 2]), np.array([[1.0], [0.0], [2.0]]))
    assert told(p) == {2: 3, 0: 0}
    p.add_rows(np.array([3, 2]), np.array([[5.0], [1.0]]))
    assert told(p) == {2: 4, 0: 0, 3: 5}
    p.zero_grad()
    assert told(p) == {}


def test_after_the_gradient_was_read_its_rows_are_the_same_and_those_that_were_written_to():
    p = sparse()
    p.add_rows(np.array([2, 0]), np.array([[1.0], [0.0]]))
    grad = p.grad
    assert told(p) == {2: 1, 0: 0}
    grad[3] = 7
    p.add_rows(np.array([2]), np.array([[1.0]]))
    assert told(p) == {2: 2, 0: 0, 3: 7} and p.grad is grad
    p.grad *= 2
    assert told(p) == {2: 4, 0: 0, 3: 14}
    p.zero_grad()
    assert told(p) == {} and not p.grad.any()


def test_a_gradient_that_is_assigned_takes_the_place_of_all_rows():
    p = sparse()
    p.add_rows(np.array([2]), np.array([[1.0]]))
    p.grad = np.array([[0.0], [4.0], [0.0], [0.0]], np.float32)
    assert told(p) == {1: 4}


def test_zeroing_a_gradient_that_nobody_has_read_does_not_touch_the_array():
    p = sparse()
    array = vars(p)["grad"]
    array.flags.writeable = False
    p.add_rows(np.array([2]), np.array([[1.0]]))
    p.zero_grad()
    assert told(p) == {} and not array.any()


@pytest.mark.rows(
    "ids, dy, error, told_of",
    [
        ([1, -1], (2, 1), IndexError, "expected ids from 0 to 3, got -1"),
        ([4, 0], (2, 1), IndexError, "expected ids from 0 to 3, got 4"),
        ([1.7, 2.2], (2, 1), TypeError, "expected integer ids, got float64"),
        ([True, False], (2, 1), TypeError, "expected integer ids, got bool"),
        ([1, 2], (1, 2), ValueError, r"expected dy of shape \(2, 1\), got \(1, 2\)"),
        ([[1, 2]], (2, 1), ValueError, r"expected dy of shape \(1, 2, 1\), got \(2, 1\)"),
    ],
)
@pytest.mark.rows("kind", [Parameter, SparseParameter])
def test_other_rows_than_there_are_are_refused_and_nothing_is_added(kind, ids, dy, error, told_of):
    p = kind(np.zeros((4, 1)))
    with pytest.raises(error, match=told_of):
        p.add_rows(np.array(ids), np.ones(dy))
    assert not p.grad.any()


def test_ids_and_gradients_of_any_dtype_add_up_in_that_of_the_parameter():
    p, ids = SparseParameter(np.zeros((200, 1))), np.arange(100)
    for dtype in (np.uint64, np.int8, np.int64):
        p.add_rows(ids.astype(dtype), np.ones((100, 1)))
    rows, sums = p.by_row()
    assert rows.tolist() == ids.tolist() and (sums == 3).all() and sums.dtype == np.float32


def test_a_single_number_has_no_rows_to_know():
    with pytest.raises(ValueError, match="expected data with rows"):
        SparseParameter(1.0)


@pytest.mark.rows("again", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
@pytest.mark.rows("look", [False, True])
def test_a_copy_has_the_gradient_and_its_own_from_then_on(again, look):
    p = sparse()
    p.add_rows(np.array([2]), np.array([[1.0]]))
    assert not look or p.grad.any()
    q = again(p)
    q.add_rows(np.array([1]), np.array([[5.0]]))
    assert told(p) == {2: 1} and told(q) == {2: 1, 1: 5}
    assert q.grad.tolist() == [[0], [5], [1], [0]] and p.grad.tolist() == [[0], [0], [1], [0]]


def test_it_decays_and_is_shown_as_any_parameter():
    assert sparse().decay is True and SparseParameter([1.0], decay=False).decay is False
    assert repr(sparse()) == "SparseParameter(shape=(4, 1), dtype=float32)"
