"""Attention within sequences of unequal length."""

import re
from pathlib import Path

import numpy as np
import pytest

from minnet import MultiHeadAttention, check_layer

PYTORCH = np.load(Path(__file__).parents[1] / "data/attention.npz")


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def made(causal=False, features=6, heads=2):
    layer = MultiHeadAttention(features, heads, causal).astype(np.float64)
    for i, p in enumerate(layer.parameters()):
        p.data[...] = random(*p.data.shape, seed=10 + i)
    return layer


def results(layer, x, lengths, dy):
    """y, dx and the gradients of the parameters."""
    layer.zero_grad()
    y = layer(x, lengths)
    return [y, layer.backward(dy), *(p.grad.copy() for p in layer.parameters())]


both = pytest.mark.rows("causal", [False, True], ids=["all", "causal"])
LENGTHS = np.array([3, 0, 5, 1])


@both
def test_attention_of_padded_sequences_is_that_of_pytorch(causal):
    layer, kind = MultiHeadAttention(6, 2, causal).astype(np.float64), "causal" if causal else "all"
    for p, name in zip(layer.parameters(), ("W_in", "b_in", "W_o", "b_o"), strict=True):
        p.data[...] = PYTORCH[name]
    got = results(layer, PYTORCH["x"], PYTORCH["lengths"], PYTORCH["dy"])
    for array, name in zip(got, ("y", "dx", "dW_in", "db_in", "dW_o", "db_o"), strict=True):
        np.testing.assert_allclose(array, PYTORCH[f"{kind}_{name}"], rtol=0, atol=1e-9, err_msg=name)


@both
@pytest.mark.rows("filling", [1e6, "random", np.nan])
def test_each_sequence_gives_what_it_gives_alone_whatever_the_padding_is(causal, filling):
    layer, x, dy = made(causal), random(4, 5, 6), random(4, 5, 6, seed=1)
    for n, length in enumerate(LENGTHS):
        x[n, length:] = 100 * random(5 - length, 6, seed=2) if filling == "random" else filling
        dy[n, length:] = x[n, length:]
    y, dx, *gradients = results(layer, x, LENGTHS, dy)
    sums = [np.zeros_like(gradient) for gradient in gradients]
    for n, length in enumerate(LENGTHS):
        assert not y[n, length:].any() and not dx[n, length:].any()
        if length:
            alone, dx_alone, *parts = results(layer, x[n : n + 1, :length], None, dy[n : n + 1, :length])
            np.testing.assert_allclose(y[n, :length], alone[0], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(dx[n, :length], dx_alone[0], rtol=1e-10, atol=1e-12)
            sums = [total + part for total, part in zip(sums, parts)]
    for gradient, total in zip(gradients, sums, strict=True):
        np.testing.assert_allclose(gradient, total, rtol=1e-9, atol=1e-11)


@both
def test_the_contract_holds_within_sequences(causal):
    check_layer(MultiHeadAttention(4, 2, causal), random(4, 5, 4), LENGTHS)


@both
def test_sequences_of_full_length_are_as_without_lengths(causal):
    layer, x, dy = made(causal), random(2, 4, 6), random(2, 4, 6, seed=1)
    for one, other in zip(results(layer, x, [4, 4], dy), results(layer, x, None, dy), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@both
def test_sequences_of_length_0_give_zeros_and_no_gradient(causal):
    layer, x = made(causal), np.full((2, 3, 6), np.nan)
    assert not any(array.any() for array in results(layer, x, [0, 0], x))


def test_lengths_that_dont_fit_are_refused_by_the_layer():
    told = "MultiHeadAttention(6, 2, False): expected lengths from 0 to the 4 steps of x, got 1 to 5"
    with pytest.raises(ValueError, match=re.escape(told)):
        made()(random(2, 4, 6), [1, 5])
