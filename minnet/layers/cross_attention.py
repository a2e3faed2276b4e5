"""Cross-attention: the steps of one sequence look at those of another, such as an encoder's, or a set's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, expect_gradient
from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import as_rows, column_sum
from ..random import Rng, generator
from .heads import attend, attend_backward, expect_heads, keys_within, split_heads
from .lengths import checked_lengths, without_padding


class CrossAttention(Layer):
    """Attention of one sequence to another: each step of x takes from the steps of the context what it needs.

    Forward     q = x W_q + b_q      k, v = context W_kv + b_kv, split into heads of d = D / heads features
                p = softmax(q kᵀ / √d)      y = (p v, heads side by side) W_o + b_o
    Backward    do = dy W_oᵀ, split into heads      dv = pᵀ do      dp = do vᵀ
                ds = p ⊙ (dp − Σ dp ⊙ p) / √d      dq = ds k      dk = dsᵀ q
                dx = dq W_qᵀ      dcontext = (dk, dv) W_kvᵀ
                dW_q = xᵀ dq      dW_kv = contextᵀ(dk, dv)      dW_o = (p v)ᵀ dy      db = Σ of each

    Shapes      x the tuple (x (N, T, D), context (N, S, D))   lengths (N,)   y (N, T, D)   p (N, heads, T, S)
                W_q, W_o (D, D)   W_kv (D, 2D): the columns of k, then v, each head after head   b_q, b_o (D,)
                b_kv (2D,)

    features: D.  heads: how many.  dx is the tuple (dx, dcontext).
    rng: what draws the initial W_q, W_kv and W_o, glorot_uniform for each D × D of them; the biases start at zero.
    lengths: how many steps of each context count, given as forward((x, context), lengths): p and dcontext are 0 behind
    them. For a context of length 0, y is 0, without b_o, and so is dx.
    Raises TypeError for x that is no such tuple and lengths that are not ints, ValueError for heads that don't divide
    D, arrays of other shapes and lengths that don't fit.
    Source: Vaswani et al. 2017.
    """

    def __init__(self, features: int, heads: int, *, rng: Rng = None) -> None:
        expect_heads("CrossAttention", features, heads)
        rng, square, self.heads = generator(rng), (features, features), int(heads)
        self.W_q = Parameter(glorot_uniform(square, rng))
        self.b_q = Parameter(zeros((features,)), decay=False)
        self.W_kv = Parameter(np.hstack([glorot_uniform(square, rng) for _ in range(2)]))
        self.b_kv = Parameter(zeros((2 * features,)), decay=False)
        self.W_o = Parameter(glorot_uniform(square, rng))
        self.b_o = Parameter(zeros((features,)), decay=False)

    def forward(self, x: Any, lengths: Array | None = None) -> Array:
        x, context = _parts(self, x)
        (_, T, D), S, seen = x.shape, context.shape[1], []
        if lengths is not None:
            lengths = checked_lengths(self, lengths, context.shape)
            context = without_padding(context, lengths)
            seen.append(keys_within(lengths, S))
        q, kv, o = as_rows(x) @ self.W_q.data, as_rows(context) @ self.W_kv.data, np.empty((len(x) * T, D), x.dtype)
        q += self.b_q.data
        kv += self.b_kv.data
        (q,), (k, v) = split_heads(q, T, self.heads), split_heads(kv, S, self.heads, 2)
        p = attend(q, k, v, seen, split_heads(o, T, self.heads)[0])
        self.cache = x, context, lengths, (q, k, v, p), o
        y = o @ self.W_o.data
        y += self.b_o.data
        return _of_some(y.reshape(x.shape), lengths)

    def backward(self, dy: Array) -> Any:
        x, context, lengths, qkvp, o = self.cache
        expect_gradient(self, dy, x.shape)
        (_, T, D), S, rows = x.shape, context.shape[1], as_rows(_of_some(dy, lengths))
        (do,), (heads_of_o,) = (split_heads(array, T, self.heads) for array in (rows @ self.W_o.data.T, o))
        dq, dkv = np.empty(o.shape, o.dtype), np.empty((len(context) * S, 2 * D), o.dtype)
        attend_backward(do, heads_of_o, qkvp, *split_heads(dq, T, self.heads), *split_heads(dkv, S, self.heads, 2))
        if not self.frozen:
            self.W_o.grad += o.T @ rows
            self.b_o.grad += column_sum(rows)
            self.W_q.grad += as_rows(x).T @ dq
            self.b_q.grad += column_sum(dq)
            self.W_kv.grad += as_rows(context).T @ dkv
            self.b_kv.grad += column_sum(dkv)
        if not self.input_gradient:
            return None
        return (dq @ self.W_q.data.T).reshape(x.shape), (dkv @ self.W_kv.data.T).reshape(context.shape)


def _parts(layer: CrossAttention, x: Any) -> tuple[Array, Array]:
    """x and the context."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        got = f"{len(x)} of them" if isinstance(x, (tuple, list)) else described(x)
        raise TypeError(f"{layer!r}: expected x to be the tuple (x, context), got {got}")
    D, dtype = len(layer.W_o.data), layer.W_o.data.dtype
    x, context = (real_input(layer, part, D, dtype) for part in x)
    if not x.ndim == context.ndim == 3 or len(x) != len(context) or not (x.shape[1] and context.shape[1]):
        expected = f"x of shape (N, T, {D}) and a context of shape (N, S, {D})"
        raise ValueError(f"{layer!r}: expected {expected}, got {x.shape} and {context.shape}")
    return x, context


def _of_some(y: Array, lengths: Array | None) -> Array:
    """y with zeros where the context has length 0, whatever was there."""
    return y if lengths is None else np.where((lengths > 0)[:, None, None], y, y.dtype.type(0))
