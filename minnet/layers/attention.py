"""Attention: every step looks at every other and takes from it what it needs."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array

from ..arguments import whole_number
from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import as_rows, column_sum, row_sum, softmax
from ..random import Rng, generator


class MultiHeadAttention(Layer):
    """Self-attention with several heads.

    Forward     q, k, v = x W_qkv + b_qkv, cut into heads of d = D / heads features
                p = softmax(q kᵀ / √d)      y = (p v, heads side by side) W_o + b_o
    Backward    do = dy W_oᵀ, cut into heads      dv = pᵀ do      dp = do vᵀ
                ds = p ⊙ (dp − Σ dp ⊙ p) / √d      dq = ds k      dk = dsᵀ q
                dx = (dq, dk, dv) W_qkvᵀ      dW_qkv = xᵀ(dq, dk, dv)      dW_o = (p v)ᵀ dy      db = Σ of each

    Shapes      x, y (N, T, D)   q, k, v (N, heads, T, d)   p (N, heads, T, T)
                W_qkv (D, 3D): columns of q, k, v, in each the features of a head side by side   b_qkv (3D,)
                W_o (D, D)   b_o (D,)

    features: D.  heads: how many.  causal: whether a step sees only itself and those before it; then p is 0 elsewhere.
    rng: what draws the initial W_qkv and W_o, glorot_uniform for each D × D of them; the biases start at zero.
    Raises ValueError for heads that don't divide D, and for x of another shape.
    Source: Vaswani et al. 2017.
    """

    def __init__(self, features: int, heads: int, causal: bool = False, *, rng: Rng = None) -> None:
        features = whole_number("MultiHeadAttention", "features", features, least=1)
        if features % whole_number("MultiHeadAttention", "heads", heads, least=1):
            raise ValueError(f"MultiHeadAttention: expected heads to divide the {features} features, got {heads}")
        rng, square = generator(rng), (features, features)
        self.heads, self.causal = heads, causal
        self.W_qkv = Parameter(np.hstack([glorot_uniform(square, rng) for _ in range(3)]))
        self.b_qkv = Parameter(zeros((3 * features,)), decay=False)
        self.W_o = Parameter(glorot_uniform(square, rng))
        self.b_o = Parameter(zeros((features,)), decay=False)

    def forward(self, x: Array) -> Array:
        D = len(self.W_o.data)
        x = real_input(self, x, D, self.W_o.data.dtype)
        if x.ndim != 3 or not x.shape[1]:
            raise ValueError(f"{self!r}: expected x of shape (N, T, {D}), got {x.shape}")
        T = x.shape[1]
        qkv = as_rows(x) @ self.W_qkv.data + self.b_qkv.data
        q, k, v = self.cut(qkv, T, 3)
        scores = q @ k.swapaxes(-1, -2) * (1 / math.sqrt(D // self.heads))
        if self.causal:
            scores += np.where(np.tri(T, dtype=bool), 0, -np.inf).astype(scores.dtype)
        p = softmax(scores)
        o = self.join(p @ v)
        self.cache = x, q, k, v, p, o
        return (o @ self.W_o.data + self.b_o.data).reshape(x.shape)

    # softmax's Jacobian, row by row of p; the rest is the product rule for q kᵀ and for p v. A masked score has p = 0,
    # so its ds is 0 by itself.
    def backward(self, dy: Array) -> Array | None:
        x, q, k, v, p, o = self.cache
        _, T, D = x.shape
        rows = as_rows(dy)
        self.W_o.grad += o.T @ rows
        self.b_o.grad += column_sum(rows)
        (do,) = self.cut(rows @ self.W_o.data.T, T, 1)
        dv = p.swapaxes(-1, -2) @ do
        dp = do @ v.swapaxes(-1, -2)
        ds = p * (dp - row_sum(dp * p)) * (1 / math.sqrt(D // self.heads))
        dqkv = np.hstack([self.join(d) for d in (ds @ k, ds.swapaxes(-1, -2) @ q, dv)])
        self.W_qkv.grad += as_rows(x).T @ dqkv
        self.b_qkv.grad += column_sum(dqkv)
        return (dqkv @ self.W_qkv.data.T).reshape(x.shape) if self.input_gradient else None

    def cut(self, rows: Array, T: int, parts: int) -> Array:
        """Rows (N · T, parts · D) as (parts, N, heads, T, d)."""
        d = rows.shape[1] // (parts * self.heads)
        return np.ascontiguousarray(rows.reshape(-1, T, parts, self.heads, d).transpose(2, 0, 3, 1, 4))

    def join(self, heads: Array) -> Array:
        """(N, heads, T, d) as rows (N · T, D)."""
        return heads.swapaxes(1, 2).reshape(-1, heads.shape[1] * heads.shape[3])
