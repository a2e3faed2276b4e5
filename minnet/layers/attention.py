"""Attention: every step looks at every other and takes from it what it needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, expect_gradient, flag
from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import add_to_rows, as_rows, column_sum
from ..random import Rng, generator
from .heads import Past, attend, attend_backward, attend_once, expect_heads, keys_within, split_heads
from .lengths import checked_lengths, without_padding


class MultiHeadAttention(Layer):
    """Self-attention with several heads.

    Forward     q, k, v = x W_qkv + b_qkv, split into heads of d = D / heads features
                p = softmax(q kᵀ / √d)      y = (p v, heads side by side) W_o + b_o
    Backward    do = dy W_oᵀ, split into heads      dv = pᵀ do      dp = do vᵀ
                ds = p ⊙ (dp − Σ dp ⊙ p) / √d      dq = ds k      dk = dsᵀ q
                dx = (dq, dk, dv) W_qkvᵀ      dW_qkv = xᵀ(dq, dk, dv)      dW_o = (p v)ᵀ dy      db = Σ of each

    Shapes      x, y (N, T, D)   lengths (N,)   q, k, v (N, heads, T, d)   p (N, heads, T, T)
                W_qkv (D, 3D): the columns of q, then k, then v, each head after head   b_qkv (3D,)
                W_o (D, D)   b_o (D,)

    features: D.  heads: how many.  causal: whether a step sees only itself and those before it; then p is 0 elsewhere.
    rng: what draws the initial W_qkv and W_o, glorot_uniform for each D × D of them; the biases start at zero.
    lengths: how many steps of each x count, as forward(x, lengths); behind them p of keys, y and dx are 0; see Padded.
    Raises ValueError for heads that don't divide D, x of another shape and lengths that don't fit, TypeError for
    lengths that are not ints.
    Source: Vaswani et al. 2017.
    """

    def __init__(self, features: int, heads: int, causal: bool = False, *, rng: Rng = None) -> None:
        expect_heads("MultiHeadAttention", features, heads)
        rng, square = generator(rng), (features, features)
        self.heads, self.causal = int(heads), flag("MultiHeadAttention", "causal", causal)
        self.W_qkv = Parameter(np.hstack([glorot_uniform(square, rng) for _ in range(3)]))
        self.b_qkv = Parameter(zeros((3 * features,)), decay=False)
        self.W_o = Parameter(glorot_uniform(square, rng))
        self.b_o = Parameter(zeros((features,)), decay=False)

    def forward(self, x: Array, lengths: Array | None = None) -> Array:
        x = real_input(self, x, len(self.W_o.data), self.W_o.data.dtype)
        if x.ndim != 3 or not x.shape[1]:
            raise ValueError(f"{self!r}: expected x of shape (N, T, {x.shape[-1]}), got {x.shape}")
        N, T, D = x.shape
        seen = [np.tri(T, dtype=bool).T] if self.causal else []
        if lengths is not None:
            lengths = checked_lengths(self, lengths, x.shape)
            x = without_padding(x, lengths)
            seen.append(keys_within(lengths, T))
        qkv, o = as_rows(x) @ self.W_qkv.data, np.empty((N * T, D), x.dtype)
        qkv += self.b_qkv.data
        q, k, v = split_heads(qkv, T, self.heads, 3)
        p = attend(q, k, v, seen, split_heads(o, T, self.heads)[0])
        self.cache = x, lengths, (q, k, v, p), o
        y = o @ self.W_o.data
        y += self.b_o.data
        y = y.reshape(x.shape)
        return y if lengths is None else without_padding(y, lengths)

    def backward(self, dy: Array) -> Any:
        x, lengths, qkvp, o = self.cache
        expect_gradient(self, dy, x.shape)
        (_, T, D), rows = x.shape, as_rows(dy if lengths is None else without_padding(dy, lengths))
        (do,), (heads_of_o,) = (split_heads(array, T, self.heads) for array in (rows @ self.W_o.data.T, o))
        dqkv = np.empty((len(rows), 3 * D), o.dtype)
        attend_backward(do, heads_of_o, qkvp, *split_heads(dqkv, T, self.heads, 3))
        if not self.frozen:
            self.W_o.grad += o.T @ rows
            self.b_o.grad += column_sum(rows)
            self.W_qkv.grad += as_rows(x).T @ dqkv
            self.b_qkv.grad += column_sum(dqkv)
        return (dqkv @ self.W_qkv.data.T).reshape(x.shape) if self.input_gradient else None

    def step(self, x_t: Array, state: Past | None = None) -> tuple[Array, Past]:
        """(y_t, state) of one step more, x_t and y_t (N, D), with causal=True; state is what the step before returned.

        It keeps the keys and values so far, so nothing is computed again; a second step from it gives the same.
        """
        if not self.causal:
            raise ValueError(f"{self!r}: expected causal=True for a step, which can't see what comes later")
        x_t, past = _step_inputs(self, x_t, state)
        qkv = x_t.dot(self.W_qkv.data)
        add_to_rows(qkv, self.b_qkv.data)
        qkv = qkv.reshape(len(x_t), 3, self.heads, x_t.shape[1] // self.heads)
        past = past.followed_by(qkv[:, 1:].swapaxes(0, 1))
        o = attend_once(qkv[:, 0, :, :, None], *past.kv[:, :, :, : past.t])
        y = o.reshape(x_t.shape).dot(self.W_o.data)
        add_to_rows(y, self.b_o.data)
        return y, past


def _step_inputs(layer: MultiHeadAttention, x_t: Array, state: Any) -> tuple[Array, Past]:
    """x_t and the state, that of the first step for None.

    Raises ValueError unless x_t is (N, D) and the state of N samples, TypeError for another state.
    """
    x_t = real_input(layer, x_t, len(layer.W_o.data), layer.W_o.data.dtype)
    if x_t.ndim != 2:
        raise ValueError(f"{layer!r}: expected x_t of shape (N, {x_t.shape[-1]}), got {x_t.shape}")
    (N, D), heads = x_t.shape, layer.heads
    if state is None:
        return x_t, Past.empty(N, heads, D // heads, x_t.dtype)
    if type(state) is not Past:
        raise TypeError(f"{layer!r}: expected a state that its step has returned, got {described(state)}")
    _, samples, others, _, d = state.kv.shape
    if (samples, others, d) != (N, heads, D // heads):
        got = f"one of {samples} with {others} heads of {d} features"
        raise ValueError(f"{layer!r}: expected a state that its step has returned for {N} samples, got {got}")
    return x_t, state
