"""Layers that hold a matrix: one multiplies by it, the others look its rows up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import at_least_one, described, expect_gradient, flag, real_array, whole_number
from ..initializers import glorot_uniform, normal, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import add_to_rows, as_rows, column_sum, from_rows
from ..parameter import SparseParameter
from ..random import Rng, generator


class Linear(Layer):
    """Affine map of the last axis.

    Forward     y = x W + b
    Backward    dx = dy Wᵀ      dW = xᵀ dy      db = Σ dy

    Shapes      x (..., D)   y (..., K)   W (D, K)   b (K,)

    in_features: D.  out_features: K.  bias: whether b is learned.
    rng: what draws the initial W, glorot_uniform; b starts at zero and is not decayed.
    Raises ValueError if x does not end in D or a size is below 1, TypeError for a size or bias of another type.
    Source: Glorot and Bengio 2010, for the initial scale.
    """

    stepwise = True

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None) -> None:
        at_least_one("Linear", in_features=in_features, out_features=out_features)
        self.bias = flag("Linear", "bias", bias)
        self.W = Parameter(glorot_uniform((in_features, out_features), generator(rng)))
        if bias:
            self.b = Parameter(zeros((out_features,)), decay=False)

    def forward(self, x: Array) -> Array:
        x = real_input(self, x, len(self.W.data), self.W.data.dtype)
        y = (rows := as_rows(x)).dot(self.W.data)
        if self.bias:
            add_to_rows(y, self.b.data)
        y = from_rows(y, x.shape)
        self.cache = rows, y.shape
        return y

    def backward(self, dy: Array) -> Any:
        rows, shape = self.cache
        expect_gradient(self, dy, shape)
        dy = as_rows(dy)
        if not self.frozen:
            self.W.grad += rows.T.dot(dy)
            if self.bias:
                self.b.grad += column_sum(dy)
        return from_rows(dy.dot(self.W.data.T), shape) if self.input_gradient else None


class Embedding(Layer):
    """A learned vector for each id.

    Forward     y = W[ids]
    Backward    dW[i] = Σ dy where ids = i; ids have no gradient

    Shapes      ids (...) integers   y (..., D)   W (num, D)

    num_embeddings: num, so that ids are 0 … num − 1.  features: D.
    padding_idx: an id for which y is zero, whatever W holds, and whose row is not trained; a negative one counts from
    the end.
    sparse: whether an optimizer updates those rows alone whose ids were in the batch; SparseParameter says what that is
    with each. It is worth it where a batch uses a small part of the rows. Read W.grad anew after each step then.
    rng: what draws the initial W, normal with standard deviation 0.02.
    Raises TypeError for ids that are not integers, ValueError for ids outside of 0 … num − 1, padding_idx too.
    Source: Bengio et al. 2003; Radford et al. 2019 for the initial scale.
    """

    stepwise = True

    def __init__(
        self,
        num_embeddings: int,
        features: int,
        *,
        padding_idx: int | None = None,
        sparse: bool = False,
        rng: Rng = None,
    ) -> None:
        at_least_one("Embedding", num_embeddings=num_embeddings, features=features)
        kind = SparseParameter if flag("Embedding", "sparse", sparse) else Parameter
        self.W = kind(normal(0.02)((num_embeddings, features), generator(rng)))
        self.padding_idx = None
        if padding_idx is not None:
            idx = whole_number("Embedding", "padding_idx", padding_idx, least=-num_embeddings)
            if idx >= num_embeddings:
                raise ValueError(f"Embedding: expected padding_idx below {num_embeddings}, got {idx}")
            self.padding_idx = idx % num_embeddings
            self.W.data[self.padding_idx] = 0

    def forward(self, ids: Array) -> Array:
        ids, num = ids if type(ids) is Array else real_array(repr(self), ids), len(self.W.data)
        if ids.dtype.kind not in "iu":
            raise TypeError(f"{self!r}: expected integer ids, got {ids.dtype}; Batches keeps them with dtype=None")
        if ids.size and (ids.min() < 0 or ids.max() >= num):
            bad = ids.min() if ids.min() < 0 else ids.max()
            raise ValueError(f"{self!r}: expected ids from 0 to {num - 1}, got {bad}")
        self.cache = ids.astype(np.intp)
        y = self.W.data.take(self.cache, axis=0)
        if self.padding_idx is not None:
            y[self.cache == self.padding_idx] = 0
        return y

    def backward(self, dy: Array) -> None:
        expect_gradient(self, dy, (*self.cache.shape, self.W.data.shape[1]))
        ids = self.cache
        if self.padding_idx is not None:
            trained = ids != self.padding_idx
            ids, dy = ids[trained], dy[trained]
        if not self.frozen:
            self.W.add_rows(ids, dy)


class PositionalEmbedding(Layer):
    """A learned vector for each position, added to the features there.

    Forward     y[n, t] = x[n, t] + W[t]
    Backward    dx = dy      dW[t] = Σₙ dy[n, t]

    Shapes      x, y (N, T, D)   W (length, D), of which the first T rows are used

    length: the largest T.  features: D.
    rng: what draws the initial W, normal with standard deviation 0.02.
    Raises ValueError for x of another rank, longer than length, or that does not end in D.
    Source: Gehring et al. 2017; Radford et al. 2019 for the initial scale.
    """

    stepwise = True

    def __init__(self, length: int, features: int, *, rng: Rng = None) -> None:
        at_least_one("PositionalEmbedding", length=length, features=features)
        self.W = Parameter(normal(0.02)((length, features), generator(rng)))

    def forward(self, x: Array) -> Array:
        W = self.W.data
        x = real_input(self, x, W.shape[1], W.dtype)
        if x.ndim != 3 or x.shape[1] > len(W):
            raise ValueError(f"{self!r}: expected x of shape (N, T, {W.shape[1]}) with T up to {len(W)}, got {x.shape}")
        self.cache = x.shape
        return x + W[: x.shape[1]]

    def backward(self, dy: Array) -> Array:
        T = self.cache[1]
        expect_gradient(self, dy, self.cache)
        if not self.frozen:
            self.W.grad[:T] += dy.sum(axis=0)
        return dy

    def step(self, x_t: Array, state: int | None = None) -> tuple[Array, int]:
        """(y_t, state) of one step more, x_t and y_t (N, D); state is how many there were.

        Raises ValueError beyond length and for x_t of another shape, TypeError for a state that is no such number.
        """
        W, t = self.W.data, 0 if state is None else state
        if type(t) is not int:
            raise TypeError(f"{self!r}: expected a state that its step has returned, got {described(state)}")
        x_t = real_input(self, x_t, W.shape[1], W.dtype)
        if x_t.ndim != 2:
            raise ValueError(f"{self!r}: expected x_t of shape (N, {W.shape[1]}), got {x_t.shape}")
        if t >= len(W):
            raise ValueError(f"{self!r}: expected at most {len(W)} steps, got one more")
        return x_t + W[t], t + 1
