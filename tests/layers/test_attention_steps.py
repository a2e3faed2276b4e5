"""Attention one step at a time, as a sequence is generated."""

import copy
import re

import numpy as np
import pytest

from minnet import MultiHeadAttention


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def made(features=6, heads=2, causal=True):
    layer = MultiHeadAttention(features, heads, causal).astype(np.float64)
    for i, p in enumerate(layer.parameters()):
        p.data[...] = random(*p.data.shape, seed=10 + i)
    return layer


def walked(layer, x, state=None):
    """y of all steps, and the states behind each."""
    ys, states = [], []
    for t in range(x.shape[1]):
        y, state = layer.step(x[:, t], state)
        ys.append(y)
        states.append(state)
    return np.stack(ys, axis=1), states


@pytest.mark.rows("N, T, D, heads", [(1, 1, 1, 1), (2, 5, 4, 4), (3, 40, 6, 2), (0, 2, 4, 2)])
def test_steps_one_by_one_give_what_the_whole_sequence_gives(N, T, D, heads):
    layer, x = made(D, heads), random(N, T, D)
    np.testing.assert_allclose(walked(layer, x)[0], layer(x), rtol=1e-10, atol=1e-12)


def test_a_state_stays_valid_whatever_follows_it():
    layer, x = made(), random(2, 20, 6)
    _, states = walked(layer, x)
    for t in (0, 14, 15, 16, 18):
        for seed in (1, 2):
            other = random(2, 4, 6, seed=seed)
            expected = layer(np.concatenate([x[:, : t + 1], other], axis=1))[:, t + 1 :]
            for _ in range(2):
                np.testing.assert_allclose(walked(layer, other, states[t])[0], expected, rtol=1e-10, atol=1e-12)
    y, _ = layer.step(x[:, 19], states[18])
    np.testing.assert_allclose(y, layer(x)[:, 19], rtol=1e-10, atol=1e-12)


def test_two_that_share_a_beginning_may_go_on_in_turns():
    layer, x, other = made(), random(1, 6, 6), random(1, 6, 6, seed=1)
    other[:, :3] = x[:, :3]
    states = [walked(layer, x[:, :3])[1][-1]] * 2
    for t in range(3, 6):
        for i, sequence in enumerate((x, other)):
            y, states[i] = layer.step(sequence[:, t], states[i])
            np.testing.assert_allclose(y, layer(sequence)[:, t], rtol=1e-10, atol=1e-12)


def test_a_copy_of_a_state_goes_on_by_itself():
    layer, x = made(), random(1, 5, 6)
    _, states = walked(layer, x[:, :4])
    again = copy.deepcopy(states[-1])
    layer.step(x[:, 0], states[-1])
    y, _ = layer.step(x[:, 4], again)
    np.testing.assert_allclose(y, layer(x)[:, 4], rtol=1e-10, atol=1e-12)


def test_keys_and_values_are_copied_only_when_their_room_is_full():
    layer, x = made(), random(1, 100, 6)
    _, states = walked(layer, x)
    assert [state.t for state in states] == list(range(1, 101))
    assert len({id(state.kv) for state in states}) == 4  # with room for 16, 32, 64 and 128


def test_scores_that_lie_far_apart_leave_each_sample_and_head_a_softmax():
    layer, x = made(), random(3, 4, 6)
    x[0] *= 1e3
    np.testing.assert_allclose(walked(layer, x)[0], layer(x), rtol=1e-9, atol=1e-9)


def test_a_step_keeps_the_cache_and_adds_no_gradient():
    layer, x = made(), random(2, 3, 6)
    layer(x)
    before, dx = layer.cache, layer.backward(x)
    gradients = [p.grad.copy() for p in layer.parameters()]
    walked(layer, random(1, 4, 6))
    assert layer.cache is before
    assert all(np.array_equal(p.grad, gradient) for p, gradient in zip(layer.parameters(), gradients))
    assert np.array_equal(layer.backward(x), dx)
    fresh = made()
    walked(fresh, x)
    assert "cache" not in vars(fresh)


def test_a_step_computes_in_the_dtype_of_the_parameters_and_writes_into_nothing():
    layer = MultiHeadAttention(4, 2, causal=True)
    x = random(2, 4)
    x.flags.writeable = False
    y, state = layer.step(x)
    assert y.dtype == state.kv.dtype == np.float32
    assert np.array_equal(layer.step(x.astype(np.float32))[0], y)


# Errors


def test_a_step_that_would_have_to_see_later_ones_is_refused():
    with pytest.raises(
        ValueError, match=re.escape("expected causal=True for a step, which can't see what comes later")
    ):
        made(causal=False).step(random(2, 6))


@pytest.mark.rows("shape", [(6,), (2, 1, 6)], ids=str)
def test_a_step_of_another_rank_is_refused_by_the_layer(shape):
    with pytest.raises(ValueError, match=re.escape(f"expected x_t of shape (N, 6), got {shape}")):
        made().step(random(*shape))


@pytest.mark.rows("state", [0, (), [None]], ids=repr)
def test_a_state_of_something_else_is_refused(state):
    with pytest.raises(TypeError, match=re.escape(f"expected a state that its step has returned, got {state}")):
        made().step(random(2, 6), state)


@pytest.mark.rows("N, heads", [(3, 2), (2, 3)])
def test_a_state_of_other_samples_or_another_layer_is_refused(N, heads):
    _, state = made(heads=heads).step(random(N, 6))
    told = f"for 2 samples, got one of {N} with {heads} heads of {6 // heads} features"
    with pytest.raises(ValueError, match=re.escape(told)):
        made().step(random(2, 6), state)
