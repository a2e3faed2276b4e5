"""The arithmetic of convolutions: one kernel that looks at every place of an image or a signal in the same way.

With x_q the entries of x at position q of all windows, one row for each place of y:
    y = Σ_q x_q W[q]      dx_q += dy W[q]ᵀ      dW[q] = x_qᵀ dy
tests/layers/conftest.py writes this as a plain loop, and the tests hold this file to it. Here all x_q are copied side
by side (im2col; see Strips in windows.py) for one matrix product, or with many channels winograd.py multiplies less.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array

from ..numerics import column_sum
from . import winograd
from .windows import Sizes, Strips, columns, pad

# To unfold x, fold dx and do both products takes this many times as long as one unfolding and both products.
FOLDED_DX = 1.4


def correlate(x: Array, W: Array, strips: Strips) -> Array:
    """y[p, k] = Σ_q,c x[stride p + dilation q − before, c] W[q, c, k]: x (N, *positions, C), W (*kernel, c, K)."""
    if winograd.is_faster(x.shape, W.shape[-1], strips):
        return winograd.correlate(x, W, strips)
    places = strips.places(x.shape[1:-1])
    strips = strips.with_best_t(places[-1], *W.shape[-2:])
    T, y = strips.matrix(W), np.empty((len(x), *places, W.shape[-1]), x.dtype)
    for part in strips.blocks(x.shape):
        strips.product(strips.unfold(x[part]), T, y[part])
    return y


def kernel_gradient(x: Array, dy: Array, strips: Strips) -> Array:
    """dW[q, c, k] = Σ_n,p x[stride p + dilation q − before, c] dy[p, k]: dT, summed over the copies of W in T."""
    c, K = x.shape[-1] // strips.groups, dy.shape[-1]
    strips = strips.with_best_t(dy.shape[-2], c, K)
    dT = np.zeros((strips.groups, math.prod(strips.strip_shape) * c, strips.t * K // strips.groups), dy.dtype)
    for part in strips.blocks(x.shape):
        dT += strips.unfold(x[part]).swapaxes(1, 2) @ columns(dy[part], strips.t, strips.groups)
    return strips.kernel_of(dT)


# Unfolding is a third of the time of either: sharing it is 1.2 times as fast as one call after the other.
def correlate_and_gradient(x: Array, dy: Array, W: Array, strips: Strips) -> tuple[Array, Array]:
    """correlate(x, W, strips), and kernel_gradient(x, dy, strips) for a dy of its shape, by unfolding x once."""
    if winograd.is_faster(x.shape, W.shape[-1], strips):
        return winograd.correlate_and_gradient(x, dy, W, strips)
    strips = strips.with_best_t(dy.shape[-2], *W.shape[-2:])
    T, y = strips.matrix(W), np.empty(dy.shape, np.result_type(x, W))
    dT = np.zeros(T.shape, dy.dtype)
    for part in strips.blocks(x.shape):
        rows = strips.unfold(x[part])
        strips.product(rows, T, y[part])
        dT += rows.swapaxes(1, 2) @ columns(dy[part], strips.t, strips.groups)
    return y, strips.kernel_of(dT)


def correlate_transposed(dy: Array, W: Array, strips: Strips, shape: Sizes) -> Array:
    """dx[m, c] = Σ dy[p, k] W[q, c, k] over all k, and all p and q with stride p + dilation q − before = m.

    shape: that of dx.
    """
    if winograd.is_faster(dy.shape, shape[-1], strips.reversed()):
        return correlate(dy, flipped(W, 1), strips.reversed())
    strips = strips.with_best_t(dy.shape[-2], W.shape[-2], W.shape[-1], folding=True)
    T, dx = strips.matrix(W), np.zeros(shape, np.result_type(dy, W))
    before, after = (tuple(-n for n in margin) for margin in (strips.before, strips.after))
    for part in strips.blocks(shape):
        if not any((*before, *after)):
            strips.fold(dy[part], T, dx[part])
            continue
        padded = np.zeros((len(dx[part]), *strips.lengths(shape[1:-1]), shape[-1]), dx.dtype)
        strips.fold(dy[part], T, padded)
        dx[part] = pad(padded, before, after)
    return dx


def flipped(W: Array, groups: int) -> Array:
    """W with its positions reversed, and c and K swapped: (*kernel, K / groups, C). Correlating dy with it gives dx.

    Flipped twice, it is W again.
    """
    *kernel, c, K = W.shape
    W = np.flip(W, tuple(range(len(kernel)))).reshape(*kernel, c, groups, K // groups)
    return W.swapaxes(-1, -3).reshape(*kernel, K // groups, groups * c)


# Where it is, dW and dx of 64 images of 32×32 with 16 channels take 5.4 ms instead of 8.6.
def unfolding_dy_is_faster(x: Sizes, dy: Sizes, strips: Strips) -> bool:
    """Whether it takes less time to unfold dy, for both dW and dx, than to unfold x and to fold dx."""
    if any(s != 1 for s in strips.stride):
        return False
    if winograd.is_faster(dy, x[-1], strips.reversed()):
        return True
    c, K = x[-1] // strips.groups, dy[-1] // strips.groups
    cost_x = strips.with_best_t(dy[-2], c, dy[-1]).cost(c, K) * math.prod(dy[1:-1])
    cost_dy = strips.reversed().with_best_t(x[-2], K, x[-1]).cost(K, c) * math.prod(x[1:-1])
    return cost_dy < FOLDED_DX * cost_x


# With few channels, whole lines of places at a time are faster: for (64, 28, 28, 6), 5 times for y and 3 for db.
def add_bias(y: Array, b: Array) -> None:
    """y += b, in place."""
    lines = y.reshape(-1, y.shape[-2] * len(b))
    lines += np.tile(b, y.shape[-2])


def bias_gradient(dy: Array) -> Array:
    """db = Σ dy over all axes but the last."""
    lines = dy.reshape(-1, dy.shape[-2] * dy.shape[-1])
    return column_sum(lines).reshape(-1, dy.shape[-1]).sum(axis=0)
