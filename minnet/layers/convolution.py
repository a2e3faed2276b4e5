"""Convolutions: one kernel that looks at every place of an image or a signal in the same way.

With x_q the entries of x at position q of all windows, one row for each place of y:
    y = Σ_q x_q W[q]      dx_q += dy W[q]ᵀ      dW[q] = x_qᵀ dy
tests/layers/conftest.py writes this as a plain loop over q, and the tests hold this file to it. Here all x_q are
copied side by side (im2col; see Strips in windows.py), so that each of the three takes one matrix product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import at_least_one, expect_gradient, flag
from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import column_sum
from ..random import Rng, generator
from .windows import Sizes, Strips, columns, expect_axes, expect_places, pad, sizes

# To unfold x, fold dx and do both products takes this many times as long as one unfolding and both products.
FOLDED_DX = 1.4


def correlate(x: Array, W: Array, strips: Strips) -> Array:
    """y[p, k] = Σ_q,c x[stride p + dilation q − before, c] W[q, c, k]: x (N, *positions, C), W (*kernel, c, K)."""
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


# Where it is, dW and dx of 64 images of 28×28 from 32 channels to 64 take 29 ms instead of 37.
def unfolding_dy_is_faster(x: Sizes, dy: Sizes, strips: Strips) -> bool:
    """Whether it takes less time to unfold dy, for both dW and dx, than to unfold x and to fold dx."""
    if any(s != 1 for s in strips.stride):
        return False
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


class _Convolution(Layer):
    """What Conv1d and Conv2d share: everything but the number of positional axes."""

    positions: int
    axes: str

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes | str = 0,
        dilation: int | Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Rng = None,
    ) -> None:
        name = type(self).__name__
        at_least_one(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: expected groups to divide {in_channels} and {out_channels} channels, got {groups}"
            )
        self.kernel = sizes(name, "kernel_size", kernel_size, self.positions, least=1)
        self.stride = sizes(name, "stride", stride, self.positions, least=1)
        self.dilation = sizes(name, "dilation", dilation, self.positions, least=1)
        self.before, self.after = self._margins(padding)
        self.strips = Strips(self.kernel, self.stride, self.dilation, self.before, self.after, int(groups))
        self.in_channels, self.bias = in_channels, flag(name, "bias", bias)
        shape = (*self.kernel, in_channels // groups, out_channels)
        self.W = Parameter(glorot_uniform(shape, generator(rng)))
        if bias:
            self.b = Parameter(zeros((out_channels,)), decay=False)

    def forward(self, x: Array) -> Array:
        W = self.W.data
        x = real_input(self, x, dtype=W.dtype)
        expect_axes(self, x, self.axes, self.in_channels)
        expect_places(self, x, self.strips.places(x.shape[1:-1]))
        y = correlate(x, W, self.strips)
        self.cache = x, y.shape
        if self.bias:
            add_bias(y, self.b.data)
        return y

    def backward(self, dy: Array) -> Any:
        (x, y_shape), W, strips = self.cache, self.W.data, self.strips
        expect_gradient(self, dy, y_shape)
        if self.frozen:
            return correlate_transposed(dy, W, strips, x.shape) if self.input_gradient else None
        if self.bias:
            self.b.grad += bias_gradient(dy)
        if self.input_gradient and unfolding_dy_is_faster(x.shape, dy.shape, strips):
            dx, dW = correlate_and_gradient(dy, x, flipped(W, strips.groups), strips.reversed())
            self.W.grad += flipped(dW, strips.groups)
            return dx
        self.W.grad += kernel_gradient(x, dy, strips)
        return correlate_transposed(dy, W, strips, x.shape) if self.input_gradient else None

    def _margins(self, padding: int | Sizes | str) -> tuple[Sizes, Sizes]:
        """How many zeros go before and after the positions of each axis."""
        name = type(self).__name__
        if isinstance(padding, str):
            if padding != "same":
                raise ValueError(f'{name}: expected padding to be numbers or "same", got {padding!r}')
            if any(s != 1 for s in self.stride):
                raise ValueError(f'{name}: padding="same" needs a stride of 1, got {self.stride}')
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel)]
            return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        both = sizes(name, "padding", padding, self.positions, least=0)
        return both, both


class Conv2d(_Convolution):
    """Correlation of images with a learned kernel, called convolution everywhere.

    Forward     y[i, j, k] = b[k] + Σ x[s i + d u, s j + d v, c] W[u, v, c, k]  over the kernel's u and v, and c
    Backward    dW[u, v, c, k] = Σ x[s i + d u, s j + d v, c] dy[i, j, k]      db = Σ dy
                dx[m, n, c] = Σ dy[i, j, k] W[u, v, c, k]  where s i + d u = m and s j + d v = n

    Shapes      x (N, h, w, C)   y (N, h', w', K)   W (kh, kw, C / groups, K)   b (K,)
                h' = (h + 2 padding − d (kh − 1) − 1) // s + 1, w' alike

    in_channels: C.  out_channels: K.  kernel_size: kh and kw.  stride: s.  dilation: d; each an int or a pair.
    padding: zeros around the image, or "same" for h' = h at stride 1; the extra zero of an even kernel is at the end.
    groups: how many parts the channels are split into; each part of K sees only its part of C.
    bias: whether b is learned.
    rng: what draws the initial W, glorot_uniform; b starts at zero and is not decayed.
    Raises ValueError for x of another rank or channel count or smaller than the kernel, and for groups that do not
    divide both C and K; TypeError for options that are not ints.
    Source: LeCun et al. 1989; Dumoulin and Visin 2016 for the arithmetic.
    """

    positions, axes = 2, "h, w"


class Conv1d(_Convolution):
    """Correlation of signals with a learned kernel, called convolution everywhere.

    Forward     y[t, k] = b[k] + Σ x[s t + d u, c] W[u, c, k]  over kernel steps u and channels c
    Backward    dW[u, c, k] = Σ x[s t + d u, c] dy[t, k]      db = Σ dy
                dx[m, c] = Σ dy[t, k] W[u, c, k]  where s t + d u = m

    Shapes      x (N, T, C)   y (N, T', K)   W (k, C / groups, K)   b (K,)
                T' = (T + 2 padding − d (k − 1) − 1) // s + 1

    Options and errors as in Conv2d, with one number in place of a pair.
    Source: LeCun et al. 1989.
    """

    positions, axes = 1, "T"


class ConvTranspose2d(Layer):
    """The transpose of a Conv2d, as a layer: every input pixel adds the kernel, times its value, to a larger image.

    Forward     y[m, n, k] = b[k] + Σ x[i, j, c] W[u, v, c, k]  where s i + u − padding = m and s j + v − padding = n
    Backward    dx[i, j, c] = Σ dy[s i + u − padding, s j + v − padding, k] W[u, v, c, k]
                dW[u, v, c, k] = Σ x[i, j, c] dy[s i + u − padding, s j + v − padding, k]      db = Σ dy

    Shapes      x (N, h, w, C)   y (N, h', w', K)   W (kh, kw, C, K)   b (K,)
                h' = s (h − 1) + kh − 2 padding, w' alike

    in_channels: C.  out_channels: K.  kernel_size: kh and kw.  stride: s.  padding: what is cut off around y; each an
    int or a pair.  bias: whether b is learned.  rng: what draws the initial W, glorot_uniform; b starts at zero.
    Raises ValueError for x of another rank or channel count, or for a y that the padding cuts away altogether.
    Source: Zeiler et al. 2010; Dumoulin and Visin 2016 for the arithmetic.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes = 0,
        bias: bool = True,
        *,
        rng: Rng = None,
    ) -> None:
        at_least_one("ConvTranspose2d", in_channels=in_channels, out_channels=out_channels)
        self.kernel = sizes("ConvTranspose2d", "kernel_size", kernel_size, 2, least=1)
        self.stride = sizes("ConvTranspose2d", "stride", stride, 2, least=1)
        self.padding = sizes("ConvTranspose2d", "padding", padding, 2, least=0)
        self.strips = Strips(self.kernel, self.stride, (1, 1), self.padding, self.padding)
        self.bias = flag("ConvTranspose2d", "bias", bias)
        self.W = Parameter(glorot_uniform((*self.kernel, in_channels, out_channels), generator(rng)))
        if bias:
            self.b = Parameter(zeros((out_channels,)), decay=False)

    def forward(self, x: Array) -> Array:
        W = self.W.data
        x = real_input(self, x, dtype=W.dtype)
        expect_axes(self, x, "h, w", W.shape[2])
        places = [s * (n - 1) + k - 2 * p for s, n, k, p in zip(self.stride, x.shape[1:3], self.kernel, self.padding)]
        expect_places(self, x, [*places, *x.shape[1:3]])
        y = correlate_transposed(x, W.swapaxes(2, 3), self.strips, (len(x), *places, W.shape[3]))
        self.cache = x, y.shape
        if self.bias:
            add_bias(y, self.b.data)
        return y

    def backward(self, dy: Array) -> Any:
        x, y_shape = self.cache
        expect_gradient(self, dy, y_shape)
        if self.frozen:
            return correlate(dy, self.W.data.swapaxes(2, 3), self.strips) if self.input_gradient else None
        if self.bias:
            self.b.grad += bias_gradient(dy)
        if not self.input_gradient:
            self.W.grad += kernel_gradient(dy, x, self.strips).swapaxes(2, 3)
            return None
        dx, dW = correlate_and_gradient(dy, x, self.W.data.swapaxes(2, 3), self.strips)
        self.W.grad += dW.swapaxes(2, 3)
        return dx
