"""What a trial of a layer sees before any sentence of the contract is checked."""

import numpy as np
import pytest

from minnet import Flatten, Layer, LayerCheckError, Linear, Parameter, ReLU, check_layer
from minnet.insight.trial import Trial, as_inputs, cast, largest, non_contiguous, unregistered_arrays


class Table(Layer):
    """Rows of W by integer ids."""

    def __init__(self):
        self.W = Parameter(np.arange(12.0).reshape(4, 3))

    def forward(self, ids):
        self.cache = ids
        return self.W.data[ids]

    def backward(self, dy):
        np.add.at(self.W.grad, self.cache, dy)


class Plain(Layer):
    """A scale that nobody can train."""

    def __init__(self):
        self.g = np.ones(3)
        self.inner = Linear(3, 3, rng=0)

    def forward(self, x):
        return self.inner(x * self.g)

    def backward(self, dy):
        return self.inner.backward(dy) * self.g


def test_passes_run_on_copies_that_start_from_the_same_state():
    trial = Trial(Linear(3, 2, rng=0).astype(np.float64), [np.ones((4, 3))], np.random.default_rng(0))
    first, second = trial.copy(), trial.copy()
    first.W.data += 1
    assert np.array_equal(second.W.data, trial.layer.W.data)
    assert trial.names == ["x"]


def test_the_upstream_gradient_of_a_loss_is_never_near_zero_or_one_sign():
    class Sum(Layer):
        def forward(self, x):
            return float(x.sum())

    draws = [Trial(Sum(), [np.ones((2, 2))], np.random.default_rng(seed)).dy for seed in range(50)]
    assert min(map(abs, draws)) >= 0.5
    assert {np.sign(dy) for dy in draws} == {-1, 1}


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


def test_an_input_that_is_not_finite_is_the_callers_mistake():
    with pytest.raises(ValueError, match="check_layer: expected inputs of finite numbers, got nan or inf in input 0"):
        check_layer(ReLU(), [[1.0, np.nan]])


def test_arrays_that_are_neither_trained_nor_saved_are_named_where_they_may_be_the_cause():
    assert unregistered_arrays(Plain()) == " (g: neither trained nor saved)"
    assert unregistered_arrays(Linear(3, 2)) == ""
    with pytest.raises(LayerCheckError, match=r"is float64, though .* float32 \(g: neither trained nor saved\)"):
        check_layer(Plain(), np.random.default_rng(0).normal(size=(4, 3)))


def test_neither_nan_nor_another_shape_is_the_same():
    trial = Trial(ReLU(), [np.ones((2, 3))], np.random.default_rng(0))
    trial.expect_same(np.ones(3) + 1e-12, np.ones(3), "another y")
    for got in (np.full(3, np.nan), np.ones((1, 3)), np.ones(3) + 1e-6):
        with pytest.raises(LayerCheckError, match="another y"):
            trial.expect_same(got, np.ones(3), "another y")


def test_helpers_do_what_they_say():
    assert largest([np.array([1.0, -3]), np.array([])]) == 3
    assert largest([]) == 0
    assert cast(np.ones(2), np.float32).dtype == np.float32
    assert cast(np.arange(2), np.float32).dtype.kind == "i"
    x = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(non_contiguous(x), x)
    assert not non_contiguous(x).flags.c_contiguous and not non_contiguous(x).flags.f_contiguous
