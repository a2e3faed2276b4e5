"""What check_layer makes of the arrays that it is given, and how it hands them to a layer."""

import numpy as np
import pytest

from minnet import Flatten, Layer, LayerCheckError, Linear, Parameter, ReLU, check_layer
from minnet.insight.inputs import as_inputs, cast, each, named, non_contiguous, read_only

X = np.random.default_rng(0).normal(size=(5, 4))


class Table(Layer):
    """Rows of W by integer ids."""

    def __init__(self):
        self.W = Parameter(np.arange(12.0).reshape(4, 3))

    def forward(self, ids):
        self.cache = ids
        return self.W.data[ids]

    def backward(self, dy):
        np.add.at(self.W.grad, self.cache, dy)


class Product(Layer):
    """a b, of a tuple."""

    def forward(self, x):
        a, b = self.cache = x
        return a * b

    def backward(self, dy):
        a, b = self.cache
        return dy * b, dy * a


class Pick(Layer):
    """The entry of each row at a place."""

    def forward(self, x):
        rows, places = x
        self.cache = rows.shape, places
        return rows[np.arange(len(rows)), places]

    def backward(self, dy):
        shape, places = self.cache
        dx = np.zeros(shape, dy.dtype)
        dx[np.arange(len(places)), places] = dy
        return dx, None


def test_integers_that_a_layer_computes_with_are_taken_as_real_numbers():
    (x,) = as_inputs(Linear(3, 2), (np.arange(12).reshape(4, 3),))
    assert x.dtype == np.float64
    assert check_layer(Linear(3, 2), np.arange(12).reshape(4, 3)).gradients[0].name == "x"
    assert check_layer(ReLU(), [[1, -2, 3]]).gradients[0].shape == (1, 3)
    assert check_layer(Flatten(), np.arange(8).reshape(2, 2, 2))


def test_ids_stay_integers_and_have_no_gradient():
    (ids,) = as_inputs(Table(), (np.array([0, 3, 0]),))
    assert ids.dtype.kind == "i"
    assert [row.name for row in check_layer(Table(), [0, 3, 0]).gradients] == ["W", "W"]


def test_a_tuple_of_arrays_is_one_input_with_a_gradient_for_each_real_member():
    report = check_layer(Product(), (X, X + 1))
    assert [(row.name, row.shape) for row in report.gradients] == [("x[0]", (5, 4)), ("x[1]", (5, 4))] * 2
    assert [row.name for row in check_layer(Pick(), (X, np.array([0, 3, 1, 1, 0]))).gradients] == ["x[0]", "x[0]"]


def test_integers_in_a_tuple_are_real_where_the_layer_has_a_gradient_for_them():
    ((a, b),) = as_inputs(Product(), ((X, np.arange(20).reshape(5, 4)),))
    assert a.dtype == b.dtype == np.float64
    ((rows, places),) = as_inputs(Pick(), ((np.arange(20).reshape(5, 4), np.array([0, 3, 1, 1, 0])),))
    assert rows.dtype == np.float64 and places.dtype.kind == "i"


def test_a_tuple_of_numbers_is_an_array_as_a_list_is():
    (x,) = as_inputs(ReLU(), ((1.0, -2.0),))
    assert x.shape == (2,)


class OnlyTheFirst(Product):
    def backward(self, dy):
        return super().backward(dy)[0]


class OneTooMany(Product):
    def backward(self, dy):
        return (*super().backward(dy), None)


class SecondIsNone(Product):
    def backward(self, dy):
        return super().backward(dy)[0], None


class SecondIsWrong(Product):
    def backward(self, dy):
        dx, other = super().backward(dy)
        return dx, 2 * other


class GradientOfIds(Pick):
    def backward(self, dy):
        return super().backward(dy)[0], dy


class WritesIntoTheSecond(Product):
    def forward(self, x):
        a, b = x
        b -= 1
        y = super().forward((a, b + 1))
        b += 1
        return y


@pytest.mark.rows(
    "layer, x, says",
    [
        (
            OnlyTheFirst(),
            (X, X),
            "a tuple of 2, a gradient for each array in x and None for one of integers, got (5, 4)",
        ),
        (OneTooMany(), (X, X), "got a tuple of 3"),
        (SecondIsNone(), (X, X), "the gradient of x[1] in its shape (5, 4), got None"),
        (SecondIsWrong(), (X, X + 1), "wrong gradient of x[1] "),
        (GradientOfIds(), (X, np.array([0, 3, 1, 1, 0])), "None for x[1], since x[1] is of integers, got ndarray"),
        (WritesIntoTheSecond(), (X, np.ones((5, 4))), "forward wrote into x[1]: b -= 1"),
    ],
)
def test_a_fault_with_one_array_of_a_tuple_is_named(layer, x, says):
    with pytest.raises(LayerCheckError) as caught:
        check_layer(layer, x)
    assert says in str(caught.value)


@pytest.mark.rows(
    "inputs, error, says",
    [
        ([[[1.0, np.nan]]], ValueError, "check_layer: expected inputs of finite numbers, got nan or inf in input 0"),
        ([X, np.full(3, np.inf)], ValueError, "got nan or inf in input 1"),
        ([X[:0]], ValueError, "check_layer: expected at least one row in each input, got shape (0, 4) in input 0"),
        ([(X, X[:0])], ValueError, "in input 0[1]"),
        (["abc"], TypeError, "check_layer, input 0: expected real numbers"),
        ([X + 1j], TypeError, "check_layer, input 0: expected real numbers"),
        ([X, [None]], TypeError, "check_layer, input 1: expected real numbers"),
        ([[[1.0, 2.0], [3.0]]], ValueError, "rows of one shape"),
        ([np.ma.masked_array(X, X > 1)], TypeError, "call its .filled(value)"),
    ],
)
def test_what_is_no_array_of_finite_real_numbers_is_refused_with_advice(inputs, error, says):
    with pytest.raises(error) as caught:
        check_layer(ReLU(), *inputs)
    assert says in str(caught.value)


def test_each_array_is_changed_and_named_those_of_a_tuple_by_their_place():
    inputs = [(np.ones(2), np.arange(3)), np.zeros(1)]
    assert [name for name, _ in named(["x", "t"], inputs)] == ["x[0]", "x[1]", "t"]
    doubled = each(lambda array: 2 * array, inputs)
    assert isinstance(doubled[0], tuple) and doubled[0][1].tolist() == [0, 2, 4] and doubled[1].tolist() == [0]


def test_copies_are_cast_laid_out_and_locked_as_they_say():
    assert cast(np.ones(2), np.float32).dtype == np.float32
    assert cast(np.arange(2), np.float32).dtype.kind == "i"
    x = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(non_contiguous(x), x)
    assert not non_contiguous(x).flags.c_contiguous and not non_contiguous(x).flags.f_contiguous
    assert x.flags.writeable and not read_only(x).flags.writeable
