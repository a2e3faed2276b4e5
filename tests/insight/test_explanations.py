"""What is said of a gradient that differs from the right one in a way that people often get wrong."""

import numpy as np
import pytest

from minnet import Layer, LayerCheckError, Loss, Parameter, check_layer


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


X = normal(5, 4)


class Affine(Layer):
    """x W + b, whose three gradients go through a function each."""

    def __init__(self, dx=None, dW=None, db=None, outputs=3):
        self.W, self.b = Parameter(normal(4, outputs, seed=1)), Parameter(np.zeros(outputs))
        self.dx, self.dW, self.db = dx or self.right_dx, dW or self.right_dW, db or self.right_db

    def forward(self, x):
        self.cache = x
        return x @ self.W.data + self.b.data

    def backward(self, dy):
        self.W.grad += self.dW(self.cache, dy)
        self.b.grad += self.db(dy)
        return self.dx(dy, self.W.data)

    @staticmethod
    def right_dx(dy, W):
        return dy @ W.T

    @staticmethod
    def right_dW(x, dy):
        return x.reshape(-1, x.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])

    @staticmethod
    def right_db(dy):
        return dy.reshape(-1, dy.shape[-1]).sum(axis=0)


def said(layer, *inputs, **options):
    with pytest.raises(LayerCheckError) as caught:
        check_layer(layer, *inputs, **options)
    return str(caught.value)


@pytest.mark.rows(
    "faults, text",
    [
        ({"dx": lambda dy, W: -dy @ W.T}, "its sign is wrong everywhere"),
        ({"dx": lambda dy, W: 2 * dy @ W.T}, "2.00 times too large everywhere"),
        ({"dx": lambda dy, W: 1.001 * dy @ W.T}, "1.001 times too large everywhere"),
        ({"dW": lambda x, dy: 0.5 * x.T @ dy}, "2.00 times too small everywhere"),
        ({"dW": lambda x, dy: -7 * x.T @ dy}, "-7.00 times too large everywhere"),
        ({"dW": lambda x, dy: 5 * x.T @ dy}, "5.00 times too large everywhere: is it divided by N?"),
        ({"dW": lambda x, dy: x.T @ dy / 5}, "5.00 times too small everywhere: is it divided by N too often?"),
        ({"dW": lambda x, dy: 4 * x.T @ dy}, "4.00 times too large everywhere: is it divided by the features of x?"),
        ({"db": lambda dy: dy.mean(axis=0)}, "5.00 times too small everywhere: is it divided by N too often?"),
        ({"db": lambda dy: 3 * dy.sum(axis=0)}, "3.00 times too large everywhere: is it divided by the features of y?"),
        ({"db": lambda dy: 0 * dy.sum(axis=0)}, "it is 0 everywhere: is it left out?"),
        ({"db": lambda dy: dy[0]}, "it is that of y[0] alone: is a sum missing?"),
        ({"db": lambda dy: dy[-1]}, "it is that of y[-1] alone: is a sum missing?"),
        ({"dW": lambda x, dy: np.outer(x[0], dy[0])}, "it is that of y[0] alone: is a sum missing?"),
    ],
)
def test_a_gradient_that_differs_in_one_way_is_told_which(faults, text):
    assert re_complaint(said(Affine(**faults), X)) == text


@pytest.mark.rows(
    "faults, text",
    [
        ({"dW": lambda x, dy: dy.T @ x}, "it is the transpose of the right one"),
        ({"dx": lambda dy, W: dy @ W}, "it would be right with the transpose of W"),
    ],
)
def test_a_transpose_that_a_square_array_hides_is_found(faults, text):
    assert re_complaint(said(Affine(**faults, outputs=4), X)) == text


def re_complaint(message):
    """What follows the one complaint of a message."""
    assert message.count("wrong gradient of ") == 1
    return message.partition("); ")[2]


def test_rows_of_higher_rank_are_counted_together():
    x = normal(2, 3, 4)
    text = said(Affine(db=lambda dy: dy.mean(axis=(0, 1))), x)
    assert "6.00 times too small everywhere: is it divided by the rows of x too often?" in text
    text = said(Affine(db=lambda dy: dy[:, 0].sum(axis=0)), x)
    assert "it is that of y[:, 0] alone: is a sum missing?" in text


def test_a_gradient_that_is_wrong_in_no_known_way_is_not_explained():
    def one_entry(x, dy):
        dW = x.T @ dy
        dW[1, 2] *= 1.5
        return dW

    assert re_complaint(said(Affine(dW=one_entry), X)) == ""
    assert re_complaint(said(Affine(dW=lambda x, dy: x.T @ dy + 1), X)) == ""


def test_two_gradients_that_are_swapped_name_each_other():
    class Swapped(Layer):
        def __init__(self):
            self.gamma, self.beta = Parameter(np.ones(4)), Parameter(np.zeros(4))

        def forward(self, x):
            self.cache = x
            return self.gamma.data * x + self.beta.data

        def backward(self, dy):
            self.beta.grad += (dy * self.cache).sum(axis=0)
            self.gamma.grad += dy.sum(axis=0)
            return dy * self.gamma.data

    text = said(Swapped(), X)
    assert "; it is swapped with that of beta; wrong gradient of beta " in text
    assert text.endswith("; it is swapped with that of gamma")


def test_a_loss_that_forgets_dloss_is_told_so():
    class Squares(Loss):
        def forward(self, y, target=None):
            if target is None:
                return y
            self.cache = y - target
            return float((self.cache**2).sum())

        def backward(self, dloss=1.0):
            return 2 * self.cache

    assert "everywhere: is dloss left out?" in said(Squares(), X, X + 1)


def test_a_large_array_is_explained_by_the_entries_that_were_sampled():
    class Wide(Layer):
        def __init__(self):
            self.W = Parameter(normal(30, 30))

        def forward(self, x):
            self.cache = x
            return x @ self.W.data

        def backward(self, dy):
            self.W.grad += dy.T @ self.cache
            return 3 * dy @ self.W.data.T

    text = said(Wide(), normal(7, 30))
    assert "; 3.00 times too large everywhere; wrong gradient of W " in text
    assert text.endswith("; it is the transpose of the right one")


def test_the_error_carries_the_name_and_both_gradients():
    with pytest.raises(LayerCheckError) as caught:
        check_layer(Affine(dW=lambda x, dy: 2 * x.T @ dy, db=lambda dy: 3 * dy.sum(axis=0)), X)
    error = caught.value
    assert error.name == "W" and error.gradient.shape == error.numeric.shape == (4, 3)
    np.testing.assert_allclose(error.gradient, 2 * error.numeric, rtol=1e-5)
    with pytest.raises(LayerCheckError) as caught:
        check_layer(Affine(dx=lambda dy, W: 3 * dy @ W.T), normal(50, 4))
    numeric = caught.value.numeric
    assert caught.value.name == "x" and np.isfinite(numeric).sum() == 24 and np.isnan(numeric).sum() == 176


def test_an_error_about_something_else_carries_no_arrays():
    class WritesIntoX(Affine):
        def forward(self, x):
            x += 1
            return super().forward(x)

    with pytest.raises(LayerCheckError) as caught:
        check_layer(WritesIntoX(), X)
    assert caught.value.name is caught.value.gradient is caught.value.numeric is None
