"""Attention: every step looks at every other and takes from it what it needs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import at_least_one, expect_gradient, flag
from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import as_rows, column_sum, ones
from ..random import Rng, generator


class MultiHeadAttention(Layer):
    """Self-attention with several heads.

    Forward     q, k, v = x W_qkv + b_qkv, split into heads of d = D / heads features
                p = softmax(q kᵀ / √d)      y = (p v, heads side by side) W_o + b_o
    Backward    do = dy W_oᵀ, split into heads      dv = pᵀ do      dp = do vᵀ
                ds = p ⊙ (dp − Σ dp ⊙ p) / √d      dq = ds k      dk = dsᵀ q
                dx = (dq, dk, dv) W_qkvᵀ      dW_qkv = xᵀ(dq, dk, dv)      dW_o = (p v)ᵀ dy      db = Σ of each

    Shapes      x, y (N, T, D)   q, k, v (N, heads, T, d)   p (N, heads, T, T)
                W_qkv (D, 3D): the columns of q, then k, then v, each head after head   b_qkv (3D,)
                W_o (D, D)   b_o (D,)

    features: D.  heads: how many.  causal: whether a step sees only itself and those before it; then p is 0 elsewhere.
    rng: what draws the initial W_qkv and W_o, glorot_uniform for each D × D of them; the biases start at zero.
    Raises ValueError for heads that don't divide D, and for x of another shape.
    Source: Vaswani et al. 2017.
    """

    def __init__(self, features: int, heads: int, causal: bool = False, *, rng: Rng = None) -> None:
        at_least_one("MultiHeadAttention", features=features, heads=heads)
        if features % heads:
            raise ValueError(f"MultiHeadAttention: expected heads to divide the {features} features, got {heads}")
        rng, square = generator(rng), (features, features)
        self.heads, self.causal = int(heads), flag("MultiHeadAttention", "causal", causal)
        self.W_qkv = Parameter(np.hstack([glorot_uniform(square, rng) for _ in range(3)]))
        self.b_qkv = Parameter(zeros((3 * features,)), decay=False)
        self.W_o = Parameter(glorot_uniform(square, rng))
        self.b_o = Parameter(zeros((features,)), decay=False)

    # p and ds are stored transposed, (N, heads, keys, queries): the maximum of (16, 4, 64, 64) over the keys takes
    # 140 µs, along the last axis 250. q is scaled by 1 / √d; its product takes 110 µs with the copy qᵀ, 160 without.
    def forward(self, x: Array) -> Array:
        x = real_input(self, x, len(self.W_o.data), self.W_o.data.dtype)
        if x.ndim != 3 or not x.shape[1]:
            raise ValueError(f"{self!r}: expected x of shape (N, T, {x.shape[-1]}), got {x.shape}")
        N, T, D = x.shape
        qkv, o = as_rows(x) @ self.W_qkv.data, np.empty((N * T, D), x.dtype)
        qkv += self.b_qkv.data
        q, k, v = self.split_heads(qkv, T, 3)
        q *= 1 / math.sqrt(q.shape[-1])
        p = k @ np.ascontiguousarray(q.swapaxes(-1, -2))
        if self.causal:
            p += np.where(np.tri(T, dtype=bool).T, 0, -np.inf).astype(p.dtype)
        p -= p.max(axis=-2, keepdims=True)
        np.exp(p, out=p)
        p /= (ones(T, p.dtype) @ p)[:, :, None]
        np.matmul(p.swapaxes(-1, -2), v, out=self.split_heads(o, T, 1)[0])
        self.cache = x, q, k, v, p, o
        y = o @ self.W_o.data
        y += self.b_o.data
        return y.reshape(x.shape)

    # ds is softmax's Jacobian times dp, query by query; the rest is the product rule for q kᵀ and for p v. Σ dp ⊙ p is
    # do · o, since dp = do vᵀ and o = p v. A masked score has p = 0, so its ds is 0 by itself.
    def backward(self, dy: Array) -> Any:
        x, q, k, v, p, joined = self.cache
        expect_gradient(self, dy, x.shape)
        (_, T, D), rows = x.shape, as_rows(dy)
        (do,), (o,) = self.split_heads(rows @ self.W_o.data.T, T, 1), self.split_heads(joined, T, 1)
        dqkv = np.empty((len(rows), 3 * D), o.dtype)
        dq, dk, dv = self.split_heads(dqkv, T, 3)
        np.matmul(p, do, out=dv)
        ds = v @ np.ascontiguousarray(do.swapaxes(-1, -2))
        ds -= np.einsum("nhtd,nhtd->nht", do, o)[:, :, None]
        ds *= p
        np.matmul(ds.swapaxes(-1, -2), k, out=dq)
        dq *= 1 / math.sqrt(q.shape[-1])
        np.matmul(ds, q, out=dk)
        if not self.frozen:
            self.W_o.grad += joined.T @ rows
            self.b_o.grad += column_sum(rows)
            self.W_qkv.grad += as_rows(x).T @ dqkv
            self.b_qkv.grad += column_sum(dqkv)
        return (dqkv @ self.W_qkv.data.T).reshape(x.shape) if self.input_gradient else None

    def split_heads(self, rows: Array, T: int, parts: int) -> Array:
        """Rows (N · T, parts · D) as (parts, N, heads, T, d): a view, since matmul takes strided heads."""
        d = rows.shape[1] // (parts * self.heads)
        return rows.reshape(-1, T, parts, self.heads, d).transpose(2, 0, 3, 1, 4)
