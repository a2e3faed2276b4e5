"""Pooling: makes an image smaller, with nothing to learn."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy import ndarray as Array

from ..arguments import expect_gradient
from ..layer import Layer, real_input
from .lengths import checked_lengths, without_padding
from .windows import Sizes, count, expect_axes, expect_places, pad, runs, sizes


def fast_copy(view: Array) -> Array:
    """view.copy(), made faster by copying the channels of a pixel as one item."""
    return runs(view).copy().view(view.dtype).reshape(view.shape)


class _Pool2d(Layer):
    """What MaxPool2d and AvgPool2d share: options, padding, and the views that walk over the entries of a window."""

    margin = 0.0

    def __init__(self, kernel_size: int | Sizes, stride: int | Sizes | None = None, padding: int | Sizes = 0) -> None:
        name = type(self).__name__
        self.kernel = sizes(name, "kernel_size", kernel_size, 2, least=1)
        self.stride = self.kernel if stride is None else sizes(name, "stride", stride, 2, least=1)
        self.padding = sizes(name, "padding", padding, 2, least=0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel)):
            raise ValueError(f"{name}: expected padding of at most half of kernel_size {kernel_size}, got {padding}")
        self.disjoint = all(s >= k for s, k in zip(self.stride, self.kernel))  # no two windows share a pixel

    def padded(self, x: Array) -> Array:
        x = real_input(self, x)
        expect_axes(self, x, "h, w")
        padded = np.ascontiguousarray(pad(x, self.padding, self.padding, self.margin))
        expect_places(self, x, count(padded.shape[1:3], self.kernel, self.stride, (1, 1)))
        return padded

    def views(self, padded: Array) -> Iterator[Array]:
        """For each (u, v) in the window, a view of the entry at (u, v) of every window: (N, h', w', C)."""
        ends = [
            s * (n - 1) + 1 for n, s in zip(count(padded.shape[1:3], self.kernel, self.stride, (1, 1)), self.stride)
        ]
        for u, v in np.ndindex(*self.kernel):
            yield padded[:, u : u + ends[0] : self.stride[0], v : v + ends[1] : self.stride[1]]

    def unpadded(self, padded: Array) -> Array:
        return pad(padded, *2 * (tuple(-p for p in self.padding),))


class MaxPool2d(_Pool2d):
    """The largest value in each window.

    Forward     y[i, j, c] = max x[s i + u, s j + v, c] over window rows u and columns v
    Backward    dx = dy at the maximum, the first if there are several, summed over the windows that share it

    Shapes      x (N, h, w, C)   y (N, h', w', C), h' = (h + 2 padding − kh) // s + 1, w' alike

    kernel_size: kh and kw.  stride: s, kernel_size by default.  padding: a margin of −∞, at most half of kernel_size;
    each an int or a pair.
    Raises ValueError for x of another rank or smaller than the window.
    Source: Riesenhuber and Poggio 1999.
    """

    margin = -math.inf

    def forward(self, x: Array) -> Array:
        padded = self.padded(x)
        first, *others = self.views(padded)
        y, winner = fast_copy(first), np.zeros(first.shape, np.min_scalar_type(len(others)))
        for q, view in enumerate(others, start=1):
            candidate = fast_copy(view)  # once, since reading the strided view is the slow part
            np.maximum(winner, (candidate > y) * winner.dtype.type(q), out=winner)  # q is larger than any before it
            np.maximum(y, candidate, out=y)
        self.cache = padded.shape, winner
        return y

    def backward(self, dy: Array) -> Array:
        shape, winner = self.cache
        expect_gradient(self, dy, winner.shape)
        dpadded = np.zeros(shape, dy.dtype)
        for q, view in enumerate(self.views(dpadded)):
            if self.disjoint:
                runs(view)[...] = runs(np.multiply(dy, winner == q, order="C"))
            else:
                view += dy * (winner == q)
        return self.unpadded(dpadded)


class AvgPool2d(_Pool2d):
    """The mean of each window, the zeros of its padding included.

    Forward     y[i, j, c] = Σ x[s i + u, s j + v, c] / (kh kw) over window rows u and columns v
    Backward    dx[m, n, c] = Σ dy[i, j, c] / (kh kw) over the windows (i, j) that hold (m, n)

    Shapes      x (N, h, w, C)   y (N, h', w', C), h' = (h + 2 padding − kh) // s + 1, w' alike

    kernel_size: kh and kw.  stride: s, kernel_size by default.  padding: a margin of zeros, at most half of
    kernel_size; each an int or a pair.
    Raises ValueError for x of another rank or smaller than the window.
    Source: LeCun et al. 1989.
    """

    def forward(self, x: Array) -> Array:
        padded = self.padded(x)
        first, *others = self.views(padded)
        y = fast_copy(first)
        self.cache = padded.shape, y.shape
        for view in others:
            y += fast_copy(view)
        y /= math.prod(self.kernel)
        return y

    def backward(self, dy: Array) -> Array:
        shape, y_shape = self.cache
        expect_gradient(self, dy, y_shape)
        dpadded = np.zeros(shape, dy.dtype)
        share = np.ascontiguousarray(dy / math.prod(self.kernel))
        for view in self.views(dpadded):
            if self.disjoint:
                runs(view)[...] = runs(share)
            else:
                view += share
        return self.unpadded(dpadded)


class GlobalAveragePool(Layer):
    """The mean of each channel over all positions.

    Forward     y[c] = Σ x[p, c] / P over the P positions p, with lengths those at t < lengths[n] only
    Backward    dx[p, c] = dy[c] / P at these positions

    Shapes      x (N, ..., C), with lengths (N, T, ..., C)   lengths (N,)   y (N, C), 0 where lengths[n] is 0

    lengths: how many steps of each x count, given as forward(x, lengths); see Padded.
    Raises ValueError for x of fewer than two axes or without positions, and lengths that don't fit; TypeError for
    lengths that are not ints.
    Source: Lin et al. 2014.
    """

    joins_steps = True

    def forward(self, x: Array, lengths: Array | None = None) -> Array:
        x = real_input(self, x)
        if x.ndim < 2 + (lengths is not None) or 0 in x.shape[1:]:
            axes = "(N, ..., C)" if lengths is None else "(N, T, ..., C)"
            raise ValueError(f"{self!r}: expected x of shape {axes}, got {x.shape}")
        along = tuple(range(1, x.ndim - 1))
        if lengths is None:
            self.cache = x.shape, lengths, math.prod(x.shape[1:-1])
            return x.mean(axis=along)
        lengths = checked_lengths(self, lengths, x.shape)
        counts = np.maximum(lengths, 1)[:, None] * math.prod(x.shape[2:-1])
        self.cache = x.shape, lengths, counts.astype(x.dtype)
        return without_padding(x, lengths).sum(axis=along) / self.cache[2]

    def backward(self, dy: Array) -> Array:
        shape, lengths, counts = self.cache
        expect_gradient(self, dy, (shape[0], shape[-1]))
        share = (dy / counts).reshape(len(dy), *(1 for _ in shape[1:-1]), shape[-1])
        dx = np.broadcast_to(share, shape)
        return dx.copy() if lengths is None else without_padding(dx, lengths)
