import numpy as np
import pytest

from minnet import GRU, LSTM, check_layer
from minnet.layers import gates
from minnet.layers.gates import as_blocks


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def gradients(layer, x, dy, dstate=None, lengths=None):
    layer.zero_grad()
    layer(x) if lengths is None else layer(x, lengths)
    dx = layer.backward(dy, dstate)
    return [dx, *(p.grad.copy() for p in layer.parameters())]


every_kind = pytest.mark.rows("kind", [LSTM, GRU])


def test_blocks_are_a_view_of_the_columns():
    a = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    blocks = as_blocks(a, 2)
    assert blocks.shape == (2, 4, 3, 2)
    assert np.shares_memory(blocks, a)
    assert blocks[1, 2, 0].tolist() == [28, 29]
    assert as_blocks(a[0], 4)[1].tolist() == [[4, 5, 6, 7], [12, 13, 14, 15], [20, 21, 22, 23]]
    assert as_blocks(np.empty((5, 0, 6)), 2).shape == (5, 3, 0, 2)


# 4 N H is 24: a span has one step, two, three or, of T = 7, all.
@every_kind
@pytest.mark.rows("reverse", [False, True])
@pytest.mark.rows("span", [0, 25, 50])
def test_gradients_do_not_depend_on_the_spans_in_which_factors_are_found(kind, reverse, span, monkeypatch):
    layer = kind(2, 3, reverse=reverse, rng=0).astype(np.float64)
    x, dy, lengths = random(2, 7, 2), random(2, 7, 3, seed=1), np.array([7, 4])
    dstate = random(2, 3, seed=2) if kind is GRU else (random(2, 3, seed=2), random(2, 3, seed=3))
    whole = gradients(layer, x, dy), gradients(layer, x, dy, dstate, lengths)
    monkeypatch.setattr(gates, "SPAN", span)
    in_spans = gradients(layer, x, dy), gradients(layer, x, dy, dstate, lengths)
    for found, expected in zip(in_spans, whole):
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@every_kind
def test_a_layer_whose_factors_are_found_in_spans_is_right(kind, monkeypatch):
    monkeypatch.setattr(gates, "SPAN", 50)
    check_layer(kind(2, 3), random(2, 5, 2))


@every_kind
def test_a_batch_in_several_spans_has_the_gradients_of_its_samples(kind):
    # Spans of 33 steps for the batch, of all 70 for one sample.
    layer, x, dy = kind(1, 64, rng=0).astype(np.float64), random(16, 70, 1), random(16, 70, 64, seed=1)
    together = gradients(layer, x, dy)
    alone = [gradients(layer, x[n : n + 1], dy[n : n + 1]) for n in range(16)]
    np.testing.assert_allclose(together[0], np.concatenate([each[0] for each in alone]), rtol=1e-9, atol=1e-12)
    for i, gradient in enumerate(together[1:], 1):
        np.testing.assert_allclose(gradient, sum(each[i] for each in alone), rtol=1e-9, atol=1e-10)


@every_kind
@pytest.mark.rows("scale", [0.3, 3.0])
def test_float32_gradients_are_those_of_float64_to_its_precision(kind, scale):
    layer, exact = kind(8, 32, rng=0), kind(8, 32, rng=0).astype(np.float64)
    x, dy = scale * random(4, 40, 8), random(4, 40, 32, seed=1)
    for found, expected in zip(gradients(layer, x, dy.astype(np.float32)), gradients(exact, x, dy), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * abs(expected).max())


@every_kind
@pytest.mark.rows("value", [np.nan, np.inf])
def test_a_step_that_is_not_finite_spoils_what_follows_and_no_other_sample(kind, value):
    layer, x = kind(2, 3, rng=0).astype(np.float64), random(2, 6, 2)
    x[0, 3, 1] = value
    with np.errstate(invalid="ignore"):
        y = layer(x)
        dx = layer.backward(np.ones_like(y))
    assert np.isfinite(y[1]).all() and np.isfinite(y[0, :3]).all() and np.isfinite(dx[1]).all()
    assert np.isnan(y[0, 3:]).all() == np.isnan(value)
