"""Attention of one sequence to another."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from minnet import CrossAttention, MultiHeadAttention, check_layer

PYTORCH = np.load(Path(__file__).parents[1] / "data/attention.npz")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def made(features=6, heads=2):
    layer = CrossAttention(features, heads).astype(np.float64)
    for i, p in enumerate(layer.parameters()):
        p.data[...] = random(*p.data.shape, seed=10 + i)
    return layer


def results(layer, x, context, lengths, dy):
    """y, dx, dcontext and the gradients of the parameters."""
    layer.zero_grad()
    y = layer((x, context), lengths)
    return [y, *layer.backward(dy), *(p.grad.copy() for p in layer.parameters())]


LENGTHS = np.array([3, 0, 5, 1])


def test_attention_to_a_padded_context_is_that_of_pytorch():
    layer = CrossAttention(6, 2).astype(np.float64)
    W, b = PYTORCH["W_in"], PYTORCH["b_in"]
    given = (W[:, :6], b[:6], W[:, 6:], b[6:], PYTORCH["W_o"], PYTORCH["b_o"])
    for p, array in zip(layer.parameters(), given, strict=True):
        p.data[...] = array
    y, dx, dcontext, dW_q, db_q, dW_kv, db_kv, dW_o, db_o = results(
        layer, PYTORCH["x"], PYTORCH["context"], PYTORCH["lengths"], PYTORCH["dy"]
    )
    got = {"y": y, "dx": dx, "dcontext": dcontext, "dW_o": dW_o, "db_o": db_o}
    got |= {"dW_in": np.hstack([dW_q, dW_kv]), "db_in": np.hstack([db_q, db_kv])}
    for name, array in got.items():
        np.testing.assert_allclose(array, PYTORCH[f"cross_{name}"], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.rows("filling", [1e6, "random", np.nan])
def test_each_context_gives_what_it_gives_alone_whatever_the_padding_is(filling):
    layer, x, context, dy = made(), random(4, 2, 6), random(4, 5, 6, seed=1), random(4, 2, 6, seed=2)
    for n, length in enumerate(LENGTHS):
        context[n, length:] = 100 * random(5 - length, 6, seed=3) if filling == "random" else filling
    y, dx, dcontext, *gradients = results(layer, x, context, LENGTHS, dy)
    sums = [np.zeros_like(gradient) for gradient in gradients]
    for n, length in enumerate(LENGTHS):
        assert not dcontext[n, length:].any()
        if not length:
            assert not y[n].any() and not dx[n].any()
            continue
        one = slice(n, n + 1)
        alone, dx_alone, dc_alone, *parts = results(layer, x[one], context[one, :length], None, dy[one])
        np.testing.assert_allclose(y[n], alone[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(dx[n], dx_alone[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(dcontext[n, :length], dc_alone[0], rtol=1e-10, atol=1e-12)
        sums = [total + part for total, part in zip(sums, parts)]
    for gradient, total in zip(gradients, sums, strict=True):
        np.testing.assert_allclose(gradient, total, rtol=1e-9, atol=1e-11)


def test_contexts_of_length_0_give_zeros_and_no_gradient_even_of_nan():
    x = np.full((2, 3, 6), np.nan)
    layer = made()
    got = results(layer, random(2, 3, 6), x, [0, 0], x)
    assert not any(array.any() for array in got)


@pytest.mark.rows("N, T, S, D, heads", [(1, 1, 1, 1, 1), (2, 3, 5, 4, 2), (2, 5, 2, 3, 3)])
def test_the_contract_holds_for_any_two_lengths(N, T, S, D, heads):
    layer, x = CrossAttention(D, heads), (random(N, T, D), random(N, S, D, seed=1))
    check_layer(layer, x)
    check_layer(layer, x, np.arange(N) * S)


def test_attention_of_a_sequence_to_itself_is_self_attention():
    layer, other = made(), MultiHeadAttention(6, 2).astype(np.float64)
    W_q, b_q, W_kv, b_kv, W_o, b_o = (p.data for p in layer.parameters())
    for p, array in zip(other.parameters(), (np.hstack([W_q, W_kv]), np.hstack([b_q, b_kv]), W_o, b_o), strict=True):
        p.data[...] = array
    x, dy = random(2, 4, 6), random(2, 4, 6, seed=1)
    y, dx, dcontext, *_ = results(layer, x, x, None, dy)
    np.testing.assert_allclose(y, other(x), rtol=1e-12)
    np.testing.assert_allclose(dx + dcontext, other.backward(dy), rtol=1e-10, atol=1e-12)


def test_without_queries_each_step_takes_the_mean_of_the_context():
    layer = CrossAttention(2, 1).astype(np.float64)
    for p, array in zip(layer.parameters(), (0, 0, np.hstack([np.eye(2)] * 2), 0, np.eye(2), [0, 1])):
        p.data[...] = array
    y = layer((np.ones((1, 2, 2)), np.array([[[3.0, 0], [0, 6], [9, 9]]])), [2])
    np.testing.assert_allclose(y, [[[1.5, 4]] * 2], rtol=1e-12)
    dx, dcontext = layer.backward(np.array([[[2.0, 0], [0, 4]]]))
    assert not dx.any()
    np.testing.assert_allclose(dcontext, [[[1, 2], [1, 2], [0, 0]]], rtol=1e-12)


def test_parts_of_another_dtype_are_cast_to_that_of_the_parameters():
    layer = CrossAttention(4, 2)
    y = layer((np.ones((1, 2, 4), np.uint8), random(1, 3, 4)))
    assert y.dtype == np.float32
    assert [part.dtype for part in layer.backward(y)] == [np.float32] * 2


def test_neither_dx_nor_dcontext_is_computed_where_nobody_will_use_them(same_sums):
    layer, x = made(), (random(2, 3, 6), random(2, 4, 6))
    dy = layer(x)
    layer.backward(dy)
    expected = [p.grad.copy() for p in layer.parameters()]
    layer.zero_grad()
    layer.W_q.data = layer.W_kv.data = None  # which serve dx and dcontext alone
    layer.input_gradient = False
    assert layer.backward(dy) is None
    same_sums([p.grad for p in layer.parameters()], expected)


def test_arrays_have_the_documented_shapes_first_values_and_decay():
    layer = CrossAttention(75, 3, rng=0)
    shapes = {"W_q": (75, 75), "b_q": (75,), "W_kv": (75, 150), "b_kv": (150,), "W_o": (75, 75), "b_o": (75,)}
    assert {name: p.data.shape for name, p in layer.named_parameters().items()} == shapes
    for name, p in layer.named_parameters().items():
        assert p.decay == name.startswith("W")
        if name.startswith("b"):
            assert not p.data.any()
            continue
        for W in np.split(p.data, p.data.shape[1] // 75, axis=1):  # √(6 / (75 + 75)), uniform
            assert 0.199 < abs(W).max() <= 0.2 * (1 + 1e-6)
            assert W.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.03)


# Errors


@pytest.mark.rows(
    "x, got",
    [
        (np.zeros((2, 3, 6)), "an array of shape (2, 3, 6)"),
        ((np.zeros((2, 3, 6)),), "1 of them"),
        ((np.zeros((2, 3, 6)),) * 3, "3 of them"),
    ],
)
def test_x_that_is_no_pair_is_a_type_error(x, got):
    told = f"CrossAttention(6, 2): expected x to be the tuple (x, context), got {got}"
    with pytest.raises(TypeError, match=re.escape(told)):
        made()(x)


@pytest.mark.rows(
    "x, context",
    [((2, 3, 6), (3, 3, 6)), ((2, 6), (2, 3, 6)), ((2, 3, 6), (2, 6)), ((2, 0, 6), (2, 3, 6)), ((2, 3, 6), (2, 0, 6))],
)
def test_parts_that_dont_fit_are_refused_by_the_layer(x, context):
    told = f"expected x of shape (N, T, 6) and a context of shape (N, S, 6), got {x} and {context}"
    with pytest.raises(ValueError, match=re.escape(told)):
        made()((np.zeros(x), np.zeros(context)))


@pytest.mark.rows("x, context", [((2, 3, 5), (2, 3, 6)), ((2, 3, 6), (2, 3, 5))])
def test_parts_of_other_features_are_refused_by_the_layer(x, context):
    with pytest.raises(
        ValueError, match=r"^CrossAttention\(6, 2\): expected x of shape \(\.\.\., 6\), got \(2, 3, 5\)"
    ):
        made()((np.zeros(x), np.zeros(context)))


def test_lengths_beyond_the_context_are_refused():
    with pytest.raises(ValueError, match=r"^CrossAttention\(6, 2\): expected lengths from 0 to the 4 steps of x"):
        made()((random(2, 9, 6), random(2, 4, 6)), [4, 5])


def test_heads_that_dont_divide_the_features_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^CrossAttention: expected heads to divide the 6 features, got 4$"):
        CrossAttention(6, 4)
