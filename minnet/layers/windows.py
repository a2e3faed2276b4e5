"""Windows that slide over the positions of an image or a signal: what convolution and pooling have in common.

Positions are the axes between the batch and the channels: two for an image, one for a signal. A place is where a
window can stand, that is a position of y.
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
    """An option as a tuple with one number for each positional axis, given as such or as one int for all.

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


# NumPy copies items 1.5 to 2 times as fast as short runs of numbers: 107 µs instead of 180, 59 instead of 111.
def runs(x: Array, axes: int = 1) -> Array:
    """A view of x in which each run of numbers along the last axes, which must be contiguous, is one item."""
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
    """y (..., t, K) as one matrix per group, the channels of t places side by side: (groups, rows, t · K / groups)."""
    if groups == 1:  # moving axes takes 3 µs
        return y.reshape(1, -1, t * y.shape[-1])
    K = y.shape[-1] // groups
    return np.moveaxis(y.reshape(-1, t, groups, K), 2, 0).reshape(groups, -1, t * K)


def split_columns(columns: Array, t: int) -> Array:
    """The inverse of columns: (rows, t, K)."""
    groups, rows, width = columns.shape
    if groups == 1:
        return columns.reshape(rows, t, width // t)
    return np.moveaxis(columns.reshape(groups, rows, t, width // t), 0, 2).reshape(rows, t, groups * width // t)


def kernel_copies(T: Array, kernel: Sizes, stride: int) -> Array:
    """The t copies of the kernel in T (*strip_shape, c, t, K): a view (*kernel, c, t, K)."""
    *ahead, along, c, t, K = T.strides
    return as_strided(T, (*kernel, *T.shape[-3:]), (*ahead, along, c, t + stride * along, K))


# Column by column, in short runs, where fewer calls make up for that; else strip by strip, in long runs.
def add_strips(x: Array, strips: Array, step: int, dilation: int) -> None:
    """x[..., step j + dilation v, g, c] += strips[..., j, v, g, c] for all j and v, in place."""
    *lines, per_line, width, _, _ = strips.shape
    n, runs_per_strip = math.prod(lines), 1 if dilation == 1 else width
    if width * (CALL + n * per_line) < per_line * (CALL + n * runs_per_strip):
        for v in range(width):
            x[..., dilation * v : dilation * v + step * per_line : step, :, :] += strips[..., v, :, :]
    else:
        for j in range(per_line):
            x[..., step * j : step * j + dilation * width : dilation, :, :] += strips[..., j, :, :, :]


# Measured on 2 cores, in float32. In multiply-adds of the product that follows, to begin a run of numbers in a strip
# costs RUN and to copy a number into it COPY; adding both back costs ADD_BACK times as much. A call of NumPy costs as
# much as beginning CALL runs. BLOCK numbers of strips are unfolded at a time: 4 MB are 0.9 to 1.1 times as fast as
# these 2 MB, and a step of a small residual net then takes 8 MB more.
RUN, COPY, ADD_BACK, BLOCK, CALL = 220, 12, 2.7, 2**19, 150


@dataclass(frozen=True)
class Geometry:
    """The sizes of windows that slide over positions, of t neighbouring places along the last axis at a time.

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
        """How long each axis is with the zeros around it."""
        return tuple(b + n + a for b, n, a in zip(self.before, positions, self.after))

    def places(self, positions: Sizes) -> Sizes:
        """How many windows there are along each axis."""
        return count(self.lengths(positions), self.kernel, self.stride, self.dilation)

    @property
    def strip_shape(self) -> Sizes:
        """How many entries a strip has along each axis; if the last is dilated, t is 1."""
        return *self.kernel[:-1], (self.t - 1) * self.stride[-1] + self.kernel[-1]

    def cost(self, c: int, K: int, folding: bool = False) -> float:
        """The estimated cost of a place of y in multiply-adds, for c channels of x and K of y in each group."""
        numbers, factor = self.strip_shape[-1] * c, ADD_BACK if folding else 1.0
        return math.prod(self.kernel[:-1]) * (factor * (RUN + numbers * COPY) + numbers * self.t * K) / self.t

    def with_best_t(self, places: int, c: int, K: int, folding: bool = False) -> Self:
        """A copy with the fastest t for this many places along the last axis, c = C / groups and K.

        folding: whether the strips are added back, rather than copied.
        """
        return replace(self, t=_best_t(self, places, c, K // self.groups, folding))

    def blocks(self, shape: Sizes) -> Iterator[slice]:
        """Slices of the samples of x, each with at most BLOCK numbers in its strips, or of one sample."""
        numbers = math.prod(self.places(shape[1:-1])) // self.t * math.prod(self.strip_shape) * shape[-1]
        step = max(1, BLOCK // numbers)
        return (slice(n, n + step) for n in range(0, shape[0], step))

    def reversed(self) -> Self:
        """The windows over dy that give dx, for a stride of 1."""
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel)]
        before, after = (tuple(r - n for r, n in zip(reach, margin)) for margin in (self.before, self.after))
        return replace(self, before=before, after=after)


# Cached, since choosing t again at every step would take 20 µs.
@lru_cache(maxsize=256)
def _best_t(geometry: Geometry, places: int, c: int, K: int, folding: bool) -> int:
    """How many places a strip holds at the lowest cost."""
    overlap = geometry.dilation[-1] == 1 and geometry.kernel[-1] > geometry.stride[-1]
    some = [t for t in range(1, min(places, 64) + 1) if places % t == 0 and (t == 1 or overlap)]
    return min(some, key=lambda t: replace(geometry, t=t).cost(c, K, folding))


class Strips(Geometry):
    """Windows as the rows of a matrix, those of t neighbouring places along the last axis in one row.

    Single windows overlap so much that copying them can take longer than the product. A strip holds the union of the
    windows of t places, each entry once; the kernel is written t times into a matrix T, each copy a stride further down
    than the one before, so that strips @ T has the sums of all t places. The price is multiplying the zeros of T.

    Shapes      x (N, *positions, C)   W (*kernel, c, K), c = C / groups   y (N, *places, K)
                strips (groups, N · places / t, size)   T (groups, size, t · K / groups),  size = Π strip_shape · c
    """

    def unfold(self, x: Array) -> Array:
        """The strips of x."""
        x = np.ascontiguousarray(pad(x, self.before, self.after))
        seen = windows(x, self.strip_shape, (*self.stride[:-1], self.t * self.stride[-1]), self.dilation)
        rows, c = math.prod(seen.shape[: x.ndim - 1]), x.shape[-1] // self.groups
        if self.groups == 1:
            copied = np.ascontiguousarray(runs(seen, 2 if self.dilation[-1] == 1 else 1)).view(x.dtype)
            return copied.reshape(1, rows, math.prod(self.strip_shape) * c)
        split = seen.reshape(*seen.shape[:-1], self.groups, c)
        return np.moveaxis(split, -2, 0).reshape(self.groups, rows, math.prod(self.strip_shape) * c)

    # One kernel row at a time: the product is still in the cache when it is added, 1.5 times as fast as whole strips.
    def fold(self, dy: Array, T: Array, dx: Array) -> None:
        """Add dy Tᵀ, the gradient of the strips, to the entries of dx that unfold copied; dx includes the padding."""
        *ahead, width = self.strip_shape
        dx = dx.reshape(*dx.shape[:-1], self.groups, -1)
        dy_rows, T = columns(dy, self.t, self.groups), T.reshape(self.groups, math.prod(ahead), -1, T.shape[-1])
        axes = list(zip(self.dilation, self.stride, dy.shape[1:-2]))
        for i, row in enumerate(np.ndindex(*ahead)):
            strips = dy_rows @ T[:, i].swapaxes(1, 2)
            strips = strips.reshape(self.groups, *dy.shape[:-2], -1, width, dx.shape[-1])
            along = [slice(d * u, d * u + s * n, s) for u, (d, s, n) in zip(row, axes)]
            add_strips(dx[:, *along], np.moveaxis(strips, 0, -2), self.t * self.stride[-1], self.dilation[-1])

    def matrix(self, W: Array) -> Array:
        """T, which holds t copies of W."""
        if self.t == 1:
            return columns(W, 1, self.groups)
        T = np.zeros((*self.strip_shape, W.shape[-2], self.t, W.shape[-1]), W.dtype)
        kernel_copies(T, self.kernel, self.stride[-1])[...] = W[..., None, :]
        return columns(T, self.t, self.groups)

    def kernel_of(self, dT: Array) -> Array:
        """dW from dT: the sum over the copies."""
        T = split_columns(dT, self.t).reshape(*self.strip_shape, -1, self.t, dT.shape[-1] // self.t * self.groups)
        return kernel_copies(T, self.kernel, self.stride[-1]).sum(axis=-2)

    def product(self, rows: Array, T: Array, y: Array) -> None:
        """y = strips @ T, in place."""
        if self.groups == 1:
            np.matmul(rows, T, out=columns(y, self.t, 1))
        else:
            y[...] = split_columns(rows @ T, self.t).reshape(y.shape)


def expect_axes(layer: Layer, x: Array, positions: str, channels: int | None = None) -> None:
    """Raise ValueError, naming the layer, unless x has the axes (N, positions, C) and this many channels."""
    rank = 2 + len(positions.split(","))
    if x.ndim != rank or x.shape[-1] != (channels or max(1, x.shape[-1])):
        advice = "; x[..., None] has one channel" if channels == 1 and x.ndim == rank - 1 else ""
        raise ValueError(f"{layer!r}: expected x of shape (N, {positions}, {channels or 'C'}), got {x.shape}{advice}")


def expect_places(layer: Layer, x: Array, places: Iterable[int]) -> None:
    """Raise ValueError, naming the layer, if there is no room for a window along an axis."""
    if min(places) < 1:
        raise ValueError(f"{layer!r}: expected x with room for at least one window, got shape {x.shape}")
