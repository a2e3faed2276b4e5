"""Windows that slide over the positions of an image or a signal: what convolution and pooling have in common.

Positions are the axes between the batch and the channels: two of an image, one of a signal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy import ndarray as Array
from numpy.lib.stride_tricks import as_strided

from ..layer import Layer

Sizes = tuple[int, ...]


def sizes(owner: str, name: str, value: Any, positions: int, least: int) -> Sizes:
    """An option with a number for each positional axis, from one int for all of them or a tuple.

    Raises TypeError for what is neither, ValueError for a number below least.
    """
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,) * positions
    if len(given) != positions or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in given):
        raise TypeError(f"{owner}: expected {name} to be an int or a tuple of {positions}, got {value!r}")
    if min(given) < least:
        raise ValueError(f"{owner}: expected {name} to be at least {least}, got {value!r}")
    return tuple(int(n) for n in given)


def count(positions: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit along each axis; 0 or less where not even one does."""
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(positions, kernel, stride, dilation))


def windows(x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """All windows, as a view: (N, *places, *kernel, C)."""
    batch, *along, channel = x.strides
    places = count(x.shape[1:-1], kernel, stride, dilation)
    steps = [*(a * s for a, s in zip(along, stride)), *(a * d for a, d in zip(along, dilation))]
    return as_strided(x, (len(x), *places, *kernel, x.shape[-1]), (batch, *steps, channel), writeable=False)


# NumPy copies items 1.5 to 2 times as fast as it copies short runs of numbers: 107 µs for 180, 59 for 111.
def runs(x: Array, axes: int = 1) -> Array:
    """x with each run of numbers along its last axes, which must lie side by side, as one item: a view."""
    length = math.prod(x.shape[-axes:])
    flat = as_strided(x, (*x.shape[:-axes], length), (*x.strides[:-axes], x.itemsize))
    return flat.view(f"V{length * x.itemsize}")[..., 0]


def pad(x: Array, before: Sizes, after: Sizes, value: float = 0.0) -> Array:
    """x with a margin of the value around its positions; a negative margin cuts off."""
    if not any(before) and not any(after):
        return x
    lengths = [b + n + a for b, n, a in zip(before, x.shape[1:-1], after)]
    padded = np.full((len(x), *lengths, x.shape[-1]), value, x.dtype)
    starts = [max(0, -b) for b in before]
    ends = [max(i, min(n, length - b)) for i, n, length, b in zip(starts, x.shape[1:-1], lengths, before)]
    inside = tuple(slice(i + b, j + b) for i, j, b in zip(starts, ends, before))
    padded[:, *inside] = x[:, *(slice(i, j) for i, j in zip(starts, ends))]
    return padded


def columns(y: Array, t: int, groups: int) -> Array:
    """y (..., t, K) as one matrix a group, the channels of t places side by side: (groups, rows, t · K / groups)."""
    if groups == 1:  # moving axes takes 3 µs
        return y.reshape(1, -1, t * y.shape[-1])
    K = y.shape[-1] // groups
    return np.moveaxis(y.reshape(-1, t, groups, K), 2, 0).reshape(groups, -1, t * K)


def apart(columns: Array, t: int) -> Array:
    """The way back: (rows, t, K)."""
    groups, rows, width = columns.shape
    if groups == 1:
        return columns.reshape(rows, t, width // t)
    return np.moveaxis(columns.reshape(groups, rows, t, width // t), 0, 2).reshape(rows, t, groups * width // t)


def copies(T: Array, kernel: Sizes, stride: int) -> Array:
    """Where the kernel stands in T (*wide, c, t, K), t times: a view (*kernel, c, t, K)."""
    *ahead, along, c, t, K = T.strides
    return as_strided(T, (*kernel, *T.shape[-3:]), (*ahead, along, c, t + stride * along, K))


# One strip after the other in long runs; or column by column in short ones, where that makes fewer calls.
def add_strips(x: Array, strips: Array, step: int, dilation: int) -> None:
    """x[..., step j + dilation v, g, c] += strips[..., j, v, g, c] for all j and v, in place."""
    *lines, beside, width, _, _ = strips.shape
    n, short = math.prod(lines), 1 if dilation == 1 else width
    if width * (CALL + n * beside) < beside * (CALL + n * short):
        for v in range(width):
            x[..., dilation * v : dilation * v + step * beside : step, :, :] += strips[..., v, :, :]
    else:
        for j in range(beside):
            x[..., step * j : step * j + dilation * width : dilation, :, :] += strips[..., j, :, :, :]


# Measured on 2 cores, in float32, as multiply-adds of the product that follows: to begin a run of numbers in a strip
# takes as long as 220, to copy a number into it as long as 12, and to add both back ADD_BACK times as long. With BLOCK
# numbers of strips at a time, 4 MB, 64 images of 28×28×32 go 1.1 times as fast as with 8 MB or 2. A call of NumPy takes
# as long as it takes to get to 150 runs of numbers.
RUN, COPY, ADD_BACK, BLOCK, CALL = 220, 12, 2.7, 2**20, 150


@dataclass(frozen=True)
class Sliding:
    """How windows slide over positions, t neighbouring places along the last axis at a time: sizes, without arrays.

    kernel, stride, dilation: along each axis of positions.  before, after: the zeros around x.
    """

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    before: Sizes
    after: Sizes
    groups: int = 1
    t: int = 1

    def lengths(self, positions: Sizes) -> Sizes:
        """The positions and the zeros around them."""
        return tuple(b + n + a for b, n, a in zip(self.before, positions, self.after))

    def places(self, positions: Sizes) -> Sizes:
        """How many windows there are along each axis."""
        return count(self.lengths(positions), self.kernel, self.stride, self.dilation)

    @property
    def wide(self) -> Sizes:
        """How many positions a strip has along each axis; where the last is dilated, t is 1."""
        return *self.kernel[:-1], (self.t - 1) * self.stride[-1] + self.kernel[-1]

    def cost(self, c: int, K: int, folding: bool = False) -> float:
        """How long a place of y takes, for c channels of x and K of y, a group; in multiply-adds."""
        numbers, factor = self.wide[-1] * c, ADD_BACK if folding else 1.0
        return math.prod(self.kernel[:-1]) * (factor * (RUN + numbers * COPY) + numbers * self.t * K) / self.t

    def beside(self, places: int, c: int, K: int, folding: bool = False) -> Self:
        """With the t that takes the least time for so many places along the last axis, c = C / groups, and K.

        folding: whether the strips are added back, rather than copied.
        """
        return replace(self, t=_best_t(self, places, c, K // self.groups, folding))

    def blocks(self, shape: Sizes) -> Iterator[slice]:
        """Samples of x, as many together as make BLOCK numbers of strips."""
        numbers = math.prod(self.places(shape[1:-1])) // self.t * math.prod(self.wide) * shape[-1]
        step = max(1, BLOCK // numbers)
        return (slice(n, n + step) for n in range(0, shape[0], step))

    def reversed(self) -> Self:
        """The windows of dy in which the sums for dx are taken, where the stride is 1."""
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel)]
        before, after = (tuple(r - n for r, n in zip(reach, margin)) for margin in (self.before, self.after))
        return replace(self, before=before, after=after)


# To think about it anew at every step would take 20 µs.
@lru_cache(maxsize=256)
def _best_t(sliding: Sliding, places: int, c: int, K: int, folding: bool) -> int:
    """How many places a strip had better hold."""
    overlap = sliding.dilation[-1] == 1 and sliding.kernel[-1] > sliding.stride[-1]
    some = [t for t in range(1, min(places, 64) + 1) if places % t == 0 and (t == 1 or overlap)]
    return min(some, key=lambda t: replace(sliding, t=t).cost(c, K, folding))


class Strips(Sliding):
    """Windows as the rows of a matrix, those of t neighbouring places along the last axis in one row.

    Windows of single places overlap so much that to copy them can take longer than what is then computed. A strip
    holds all that t places see, once; the kernel is written t times into a matrix T, each copy a stride further down
    than the one before, so that strips @ T has the sums of all t places. The zeros of T are multiplied for nothing.

    Shapes      x (N, *positions, C)   W (*kernel, c, K), c = C / groups   y (N, *places, K)
                strips (groups, N · places / t, size)   T (groups, size, t · K / groups),  size = Π wide · c
    """

    def unfold(self, x: Array) -> Array:
        """The strips of x."""
        x = np.ascontiguousarray(pad(x, self.before, self.after))
        seen = windows(x, self.wide, (*self.stride[:-1], self.t * self.stride[-1]), self.dilation)
        rows, c = math.prod(seen.shape[: x.ndim - 1]), x.shape[-1] // self.groups
        if self.groups == 1:
            copied = np.ascontiguousarray(runs(seen, 2 if self.dilation[-1] == 1 else 1)).view(x.dtype)
            return copied.reshape(1, rows, math.prod(self.wide) * c)
        split = seen.reshape(*seen.shape[:-1], self.groups, c)
        return np.moveaxis(split, -2, 0).reshape(self.groups, rows, math.prod(self.wide) * c)

    # Of a kernel row at a time, what is added is still in the cache: 1.5 times as fast as of whole strips.
    def fold(self, dy: Array, T: Array, dx: Array) -> None:
        """Add dy Tᵀ, the gradient of the strips, to where they were copied from: the way back of unfold, but padded."""
        *ahead, width = self.wide
        dx = dx.reshape(*dx.shape[:-1], self.groups, -1)
        dy_rows, T = columns(dy, self.t, self.groups), T.reshape(self.groups, math.prod(ahead), -1, T.shape[-1])
        axes = list(zip(self.dilation, self.stride, dy.shape[1:-2]))
        for i, row in enumerate(np.ndindex(*ahead)):
            strips = dy_rows @ T[:, i].swapaxes(1, 2)
            strips = strips.reshape(self.groups, *dy.shape[:-2], -1, width, dx.shape[-1])
            along = [slice(d * u, d * u + s * n, s) for u, (d, s, n) in zip(row, axes)]
            add_strips(dx[:, *along], np.moveaxis(strips, 0, -2), self.t * self.stride[-1], self.dilation[-1])

    def matrix(self, W: Array) -> Array:
        """T."""
        if self.t == 1:
            return columns(W, 1, self.groups)
        T = np.zeros((*self.wide, W.shape[-2], self.t, W.shape[-1]), W.dtype)
        copies(T, self.kernel, self.stride[-1])[...] = W[..., None, :]
        return columns(T, self.t, self.groups)

    def kernel_of(self, dT: Array) -> Array:
        """dW, of the gradient of T: the sum over the copies."""
        T = apart(dT, self.t).reshape(*self.wide, -1, self.t, dT.shape[-1] // self.t * self.groups)
        return copies(T, self.kernel, self.stride[-1]).sum(axis=-2)

    def product(self, rows: Array, T: Array, y: Array) -> None:
        """y = strips @ T, in place."""
        if self.groups == 1:
            np.matmul(rows, T, out=columns(y, self.t, 1))
        else:
            y[...] = apart(rows @ T, self.t).reshape(y.shape)


def expect_axes(layer: Layer, x: Array, positions: str, channels: int | None = None) -> None:
    """ValueError in the name of the layer if x has other axes than (N, positions, C), or not so many channels."""
    rank = 2 + len(positions.split(","))
    if x.ndim != rank or x.shape[-1] != (channels or max(1, x.shape[-1])):
        advice = "; x[..., None] has one channel" if channels == 1 and x.ndim == rank - 1 else ""
        raise ValueError(f"{layer!r}: expected x of shape (N, {positions}, {channels or 'C'}), got {x.shape}{advice}")


def expect_places(layer: Layer, x: Array, places: Iterable[int]) -> None:
    """ValueError in the name of the layer if there is no room for a window along an axis."""
    if min(places) < 1:
        raise ValueError(f"{layer!r}: expected x with room for at least one window, got shape {x.shape}")
