"""Images made larger, with nothing to learn."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, expect_gradient
from ..layer import Layer, real_input
from .windows import Sizes, expect_axes, expect_places, sizes


class Upsample2d(Layer):
    """A larger image, whose pixels repeat those of x or lie between them.

    Forward     y = A x Bᵀ for each channel: y[i, j, c] = Σ A[i, m] B[j, n] x[m, n, c]
                "nearest": A[i, m] = 1 for m = ⌊i / s⌋
                "bilinear": A[i, m] = max(0, 1 − |p − m|) at p = (i + ½) / s − ½, kept within 0 … h − 1
    Backward    dx[m, n, c] = Σ A[i, m] B[j, n] dy[i, j, c]

    Shapes      x (N, h, w, C)   y (N, s h, s w, C)   A (s h, h), B (s w, w)

    scale: s, an int or a pair of them.  mode: "nearest" or "bilinear", the latter with PyTorch's numbers for
    align_corners=False.
    Raises TypeError for a scale that is not an int; ValueError for one below 1, another mode, and x of another rank.
    Source: Odena, Dumoulin and Olah 2016, for what to put in front of a convolution in place of a transposed one.
    """

    def __init__(self, scale: int | Sizes, mode: str = "nearest") -> None:
        self.scale = sizes("Upsample2d", "scale", scale, 2, least=1)
        if mode not in ("nearest", "bilinear"):
            raise ValueError(f'Upsample2d: expected mode to be "nearest" or "bilinear", got {described(mode)}')
        self.mode = mode

    def forward(self, x: Array) -> Array:
        x = real_input(self, x)
        expect_axes(self, x, "h, w")
        expect_places(self, x, x.shape[1:])
        if self.mode == "nearest":
            y = x.repeat(self.scale[0], axis=1).repeat(self.scale[1], axis=2)
            self.cache = None, None, y.shape
            return y
        A, B = (_weights(n, s).astype(x.dtype) for n, s in zip(x.shape[1:3], self.scale))
        self.cache = A, B, (len(x), len(A), len(B), x.shape[3])
        return _along_both(A, B, x)

    def backward(self, dy: Array) -> Array:
        A, B, shape = self.cache
        expect_gradient(self, dy, shape)
        if self.mode == "nearest":
            (N, H, W, C), (s, t) = shape, self.scale
            return dy.reshape(N, H // s, s, W // t, t, C).sum(axis=(2, 4))
        return _along_both(A.T, B.T, dy)


def _along_both(A: Array, B: Array, x: Array) -> Array:
    """Σ A[i, m] B[j, n] x[m, n, c], two products one after the other."""
    N, h, w, C = x.shape
    rows = np.matmul(A, x.reshape(N, h, w * C))
    return np.matmul(B, rows.reshape(N * len(A), w, C)).reshape(N, len(A), len(B), C)


def _weights(n: int, scale: int) -> Array:
    """What each of scale n pixels takes of each of n."""
    place = np.clip((np.arange(scale * n) + 0.5) / scale - 0.5, 0, n - 1)
    return np.maximum(0, 1 - abs(place[:, None] - np.arange(n)))
