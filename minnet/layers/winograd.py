"""Convolutions with fewer multiplications, after Winograd: some neighbouring places of y at a time.

correlate and correlate_and_gradient compute what those of correlation.py do, which ask is_faster first.
Source: Winograd 1980; Lavin and Gray 2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
from numpy import ndarray as Array
from numpy.lib.stride_tricks import as_strided

from .windows import COPY, RUN, Sizes, Strips, pad, runs

# Let E_n (6, n) take the n coefficients of a polynomial to its values at six points. The product of a polynomial of m
# coefficients and one of k, where m + k − 1 = 6, is E₆⁻¹ [(E_m a) ⊙ (E_k b)]: 6 multiplications in place of m k. That
# is linear in a; transposed, it is the correlation of 6 positions of x with a kernel w, whose gradient follows:
#     y = E_mᵀ [(E_k w) ⊙ (E₆⁻ᵀ x)]      dw = E_kᵀ [(E_m dy) ⊙ (E₆⁻ᵀ x)]      for m places of y
# In an image each E acts along both axes: 36 multiplications give 16 places of a 3×3 kernel, where the plain sum takes
# 144. Summed over channels, ⊙ is a matrix product of all tiles at each point.

# Five points and infinity, where the value of a polynomial is its last coefficient. With these, float32 is off by 2e-6
# of the largest result in a tile; with 0, ±1 and ±2 by twice as much, and by 0.7e-6 where windows are unfolded. All
# places of a tile depend on all of its x in their last digits, and altogether if one is NaN or infinite.
POINTS, SIZE = (0.0, 0.75, -0.75, 1.5, -1.5), 6

# Measured as the constants in windows.py: what the estimate in is_faster leaves out, as a factor; the multiply-adds
# that take as long as bringing a number of the kernel to a point; and those as long as NumPy's calls for one tile.
OVERHEAD, FOR_W, START = 1.3, 40, 5e6

# How many values at the points there are at a time: half as many take 1.2 times as long, since products get small.
BLOCK = 2**20


@dataclass(frozen=True)
class Transforms:
    """What takes x, W and dy to the points: E₆⁻ᵀ, E_k and E_m along all axes, (points, positions)."""

    x: Array
    W: Array
    y: Array


@lru_cache(maxsize=64)
def transforms(kernel: Sizes, dtype: np.dtype) -> Transforms:
    """In this dtype; what a kernel of so many entries along each axis takes."""
    x = [np.linalg.inv(evaluation(SIZE)).T for _ in kernel]
    W, y = [evaluation(k) for k in kernel], [evaluation(SIZE + 1 - k) for k in kernel]
    matrices = [reduce(np.kron, along).astype(dtype) for along in (x, W, y)]
    for matrix in matrices:
        matrix.flags.writeable = False  # all calls share them
    return Transforms(*matrices)


def evaluation(n: int) -> Array:
    """E_n (6, n): the powers of each point."""
    E = np.zeros((SIZE, n))
    E[:-1], E[-1, -1] = np.vander(POINTS, n, increasing=True), 1
    return E


class Tiles:
    """The places of y, m along each axis in a tile, and the 6 positions of x that these depend on.

    Tiles may reach beyond x, where it is 0, and beyond y, where what they hold is dropped.
    """

    def __init__(self, shape: Sizes, strips: Strips) -> None:
        positions, self.before, self.places = shape[1:-1], strips.before, strips.places(shape[1:-1])
        self.m = tuple(SIZE + 1 - k for k in strips.kernel)
        self.grid = tuple(math.ceil(p / m) for p, m in zip(self.places, self.m))
        self.y_beyond = tuple(g * m - p for g, m, p in zip(self.grid, self.m, self.places))
        lengths = [m * (g - 1) + SIZE for g, m in zip(self.grid, self.m)]
        self.x_beyond = tuple(n - b - p for n, b, p in zip(lengths, self.before, positions))

    def of_x(self, x: Array) -> Array:
        """x tile by tile: (positions in a tile, N · tiles · C)."""
        return self._rows(pad(x, self.before, self.x_beyond), (SIZE,) * len(self.m))

    def of_y(self, y: Array) -> Array:
        """y tile by tile: (places in a tile, N · tiles · K)."""
        return self._rows(pad(y, (0,) * len(self.m), self.y_beyond), self.m)

    def write(self, rows: Array, y: Array) -> None:
        """The inverse of of_y: writes to y."""
        whole = y
        if any(self.y_beyond):
            whole = np.empty((len(y), *(g * m for g, m in zip(self.grid, self.m)), y.shape[-1]), y.dtype)
        self._view(whole, self.m)[...] = runs(rows.reshape(*self.m, len(y), *self.grid, y.shape[-1]))
        if whole is not y:
            y[...] = whole[:, *(slice(p) for p in self.places)]

    def _rows(self, x: Array, size: Sizes) -> Array:
        rows = np.empty((*size, len(x), *self.grid, x.shape[-1]), x.dtype)
        runs(rows)[...] = self._view(np.ascontiguousarray(x), size)
        return rows.reshape(math.prod(size), -1)

    def _view(self, x: Array, size: Sizes) -> Array:
        """Tiles of this size, m apart: (*size, N, *grid) items of all channels."""
        batch, *along, channel = x.strides
        steps = (*along, batch, *(a * m for a, m in zip(along, self.m)), channel)
        return runs(as_strided(x, (*size, len(x), *self.grid, x.shape[-1]), steps))


def correlate(x: Array, W: Array, strips: Strips) -> Array:
    """y as in correlation.py."""
    c, K = W.shape[-2:]
    tiles, T = Tiles(x.shape, strips), transforms(strips.kernel, W.dtype)
    y, U = np.empty((len(x), *tiles.places, K), np.result_type(x, W)), at_points(T.W, W.reshape(-1, c * K), K)
    for part in blocks(x.shape, K, tiles):
        V = at_points(T.x, tiles.of_x(x[part]), c)
        tiles.write(from_points(T.y, V @ U), y[part])
    return y


def correlate_and_gradient(x: Array, dy: Array, W: Array, strips: Strips) -> tuple[Array, Array]:
    """y and dW as in correlation.py."""
    c, K = W.shape[-2:]
    tiles, T = Tiles(x.shape, strips), transforms(strips.kernel, W.dtype)
    y, U = np.empty(dy.shape, np.result_type(x, W)), at_points(T.W, W.reshape(-1, c * K), K)
    dU = np.zeros_like(U)
    for part in blocks(x.shape, K, tiles):
        V = at_points(T.x, tiles.of_x(x[part]), c)
        dU += V.swapaxes(1, 2) @ at_points(T.y, tiles.of_y(dy[part]), K)
        tiles.write(from_points(T.y, V @ U), y[part])
    return y, from_points(T.W, dU).reshape(W.shape)


def at_points(E: Array, rows: Array, channels: int) -> Array:
    """The values at the points, a matrix for each: (points, numbers / channels, channels)."""
    return (E @ rows).reshape(len(E), -1, channels)


def from_points(E: Array, values: Array) -> Array:
    """Eᵀ values, one row for each place or position."""
    return E.T @ values.reshape(len(E), -1)


def blocks(shape: Sizes, K: int, tiles: Tiles) -> Iterator[slice]:
    """Slices of the samples of x, each with at most BLOCK values at the points, or of one sample."""
    step = max(1, BLOCK // (SIZE ** len(tiles.m) * math.prod(tiles.grid) * max(shape[-1], K)))
    return (slice(n, n + step) for n in range(0, shape[0], step))


def applies(strips: Strips) -> bool:
    """Whether there are tiles for windows like these."""
    steps = {*strips.stride, *strips.dilation, strips.groups}
    return steps == {1} and all(2 <= k <= 5 for k in strips.kernel)


@lru_cache(maxsize=256)
def is_faster(shape: Sizes, K: int, strips: Strips) -> bool:
    """Whether it applies and takes less time than the strips, for x of this shape and K channels of y."""
    if not applies(strips):
        return False
    tiles, c, places = Tiles(shape, strips), shape[-1], strips.places(shape[1:-1])
    points, per_tile = SIZE ** len(places), math.prod(tiles.m)
    numbers = points * c + per_tile * K
    work = points * (c * K + numbers) + COPY * numbers + RUN * (points + per_tile)
    own = OVERHEAD * work * math.prod(tiles.grid) * shape[0] + FOR_W * points * c * K + START
    return own < strips.with_best_t(places[-1], c, K).cost(c, K) * math.prod(places) * shape[0]
