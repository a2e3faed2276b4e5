"""Heads of attention: queries that weigh values by how well their keys match, and the keys and values of past steps.

Scores, p and ds are stored transposed, (N, heads, S, T): the maximum of (16, 4, 64, 64) over the keys takes 140 µs,
along the last axis 250.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy import ndarray as Array

from ..arguments import at_least_one
from ..numerics import ones
from .lengths import is_step

FIRST_ROOM = 16  # steps


def expect_heads(owner: str, features: int, heads: int) -> None:
    """Raises TypeError or ValueError unless both are ints of at least 1 and heads divides features."""
    at_least_one(owner, features=features, heads=heads)
    if features % heads:
        raise ValueError(f"{owner}: expected heads to divide the {features} features, got {heads}")


def split_heads(rows: Array, T: int, heads: int, parts: int = 1) -> Array:
    """Rows (N · T, parts · D) as (parts, N, heads, T, d): a view, since matmul takes strided heads."""
    d = rows.shape[1] // (parts * heads)
    return rows.reshape(-1, T, parts, heads, d).transpose(2, 0, 3, 1, 4)


def keys_within(lengths: Array, S: int) -> Array:
    """Which keys are within a sequence, to broadcast with scores: (N, 1, S, 1).

    All of one of length 0, since a softmax over nothing is NaN: its y and its dy are for the layer to set to zero.
    """
    return is_step(np.where(lengths, lengths, S), S)[:, None, :, None]


# The product takes 110 µs with the copy qᵀ, 160 without.
def attend(q: Array, k: Array, v: Array, seen: Sequence[Array], o: Array) -> Array:
    """o = p v, in place, and q ← q / √d; returns p = softmax(q kᵀ / √d), transposed.

    Shapes      q, o (N, heads, T, d)   k, v (N, heads, S, d)   p (N, heads, S, T)

    seen: arrays of bools that broadcast with p, which is 0 where one is False; each query must see a key.
    """
    q *= 1 / math.sqrt(q.shape[-1])
    p = k @ np.ascontiguousarray(q.swapaxes(-1, -2))
    for where in seen:
        p += np.where(where, 0, -np.inf).astype(p.dtype)
    p -= p.max(axis=-2, keepdims=True)
    np.exp(p, out=p)
    p /= (ones(p.shape[-2], p.dtype) @ p)[:, :, None]
    np.matmul(p.swapaxes(-1, -2), v, out=o)
    return p


# ds is softmax's Jacobian times dp, query by query; the rest is the product rule for q kᵀ and for p v. Σ dp ⊙ p is
# do · o, since dp = do vᵀ and o = p v. A masked score has p = 0, so its ds is 0 by itself.
def attend_backward(do: Array, o: Array, qkvp: tuple[Array, ...], dq: Array, dk: Array, dv: Array) -> None:
    """Set dq, dk and dv from do, in place; qkvp are q as attend has scaled it, k, v and what attend returned."""
    q, k, v, p = qkvp
    np.matmul(p, do, out=dv)
    ds = v @ np.ascontiguousarray(do.swapaxes(-1, -2))
    ds -= np.einsum("nhtd,nhtd->nht", do, o)[:, :, None]
    ds *= p
    np.matmul(ds.swapaxes(-1, -2), k, out=dq)
    dq *= 1 / math.sqrt(q.shape[-1])
    np.matmul(ds, q, out=dk)


def attend_once(q: Array, k: Array, v: Array) -> Array:
    """o (N, heads, 1, d) of one query for each head, q (N, heads, d, 1), over all of k and v (N, heads, S, d)."""
    p = k @ q
    p *= 1 / math.sqrt(q.shape[2])
    p -= np.maximum.reduce(p, axis=2, keepdims=True)
    np.exp(p, out=p)
    p /= np.add.reduce(p, axis=2, keepdims=True)
    return p.swapaxes(2, 3) @ v


class Past:
    """Keys and values of the t steps so far: the state of attention, which never changes.

    They are the first t places of an array with room for more. States that follow one another share it, so that a step
    copies no other; the second step from the same state finds its place used and gets an array of its own.

    Shapes      kv (2, N, heads, room, d)

    used: how many places of kv are, in a list that all who share kv share.
    """

    __slots__ = ("kv", "t", "used")

    def __init__(self, kv: Array, used: list[int], t: int) -> None:
        self.kv, self.used, self.t = kv, used, t

    @classmethod
    def empty(cls, N: int, heads: int, d: int, dtype: np.dtype) -> Self:
        """That of the first step."""
        return cls(np.empty((2, N, heads, FIRST_ROOM, d), dtype), [0], 0)

    def followed_by(self, step: Array) -> Self:
        """The state with one step more, whose key and value are (2, N, heads, d)."""
        kv, used, t = self.kv, self.used, self.t
        if used[0] != t or t == kv.shape[3]:
            kv, used = np.empty((*kv.shape[:3], max(FIRST_ROOM, 2 * t), kv.shape[4]), kv.dtype), [t]
            kv[:, :, :, :t] = self.kv[:, :, :, :t]
        kv[:, :, :, t] = step
        used[0] = t + 1
        return type(self)(kv, used, t + 1)
