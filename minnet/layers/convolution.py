"""Convolutions: one kernel that looks at every place of an image or a signal in the same way.

All of it comes down to one operation, the correlation of an image with a kernel, as one matrix product of unfolded
windows. The gradient of the input is itself a correlation, of dy with the flipped kernel, so nothing is ever folded.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array

from ..arguments import whole_number
from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..numerics import column_sum
from ..random import Rng, generator
from .windows import Sizes, count, expect_places, expect_rank, pad, sizes, spread, windows


def unfold(x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes, groups: int = 1) -> Array:
    """The windows as rows, those of each group of channels apart: (groups, windows, kernel positions · C / groups)."""
    patches = windows(x, kernel, stride, dilation)
    *places, channels = patches.shape
    rows = math.prod(places[: x.ndim - 1])
    split = patches.reshape(*places, groups, channels // groups)
    return np.moveaxis(split, -2, 0).reshape(groups, rows, math.prod(kernel) * channels // groups)


def by_group(W: Array, groups: int) -> Array:
    """A kernel (*positions, C / groups, K) as one matrix a group: (groups, positions · C / groups, K / groups)."""
    return np.moveaxis(W.reshape(-1, groups, W.shape[-1] // groups), 1, 0)


def correlate(x: Array, W: Array, stride: Sizes, dilation: Sizes, groups: int = 1) -> Array:
    """y[p, k] = Σ_q,c x[stride p + dilation q, c] W[q, c, k]: x (N, *positions, C), W (*kernel, C / groups, K)."""
    *kernel, _, K = W.shape
    places = count(x.shape[1:-1], tuple(kernel), stride, dilation)
    y = unfold(x, tuple(kernel), stride, dilation, groups) @ by_group(W, groups)
    return np.moveaxis(y, 0, 1).reshape(len(x), *places, K)


def kernel_gradient(x: Array, dy: Array, kernel: Sizes, stride: Sizes, dilation: Sizes, groups: int = 1) -> Array:
    """dW[q, c, k] = Σ_n,p x[stride p + dilation q, c] dy[p, k]."""
    K = dy.shape[-1]
    columns = np.moveaxis(dy.reshape(-1, groups, K // groups), 1, 0)
    dW = unfold(x, kernel, stride, dilation, groups).swapaxes(1, 2) @ columns
    return np.moveaxis(dW, 0, 1).reshape(*kernel, -1, K)


def flipped(W: Array, groups: int = 1) -> Array:
    """The kernel of the way back: positions in reverse, and input and output channels exchanged within each group."""
    *kernel, c, K = W.shape
    back = np.flip(W, tuple(range(len(kernel)))).reshape(*kernel, c, groups, K // groups)
    return np.moveaxis(back, -3, -1).swapaxes(-3, -2).reshape(*kernel, K // groups, groups * c)


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
        groups = whole_number(name, "groups", groups, least=1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: expected groups to divide {in_channels} and {out_channels} channels, got {groups}"
            )
        self.kernel = sizes(name, "kernel_size", kernel_size, self.positions, least=1)
        self.stride = sizes(name, "stride", stride, self.positions, least=1)
        self.dilation = sizes(name, "dilation", dilation, self.positions, least=1)
        self.before, self.after = self._margins(padding)
        self.in_channels, self.groups, self.bias = in_channels, groups, bias
        shape = (*self.kernel, in_channels // groups, out_channels)
        self.W = Parameter(glorot_uniform(shape, generator(rng)))
        if bias:
            self.b = Parameter(zeros((out_channels,)), decay=False)

    def forward(self, x: Array) -> Array:
        W = self.W.data
        x = real_input(self, x, self.in_channels, W.dtype)
        expect_rank(self, x, self.axes)
        padded = pad(x, self.before, self.after)
        expect_places(self, x, count(padded.shape[1:-1], self.kernel, self.stride, self.dilation))
        self.cache = x.shape, padded
        y = correlate(padded, W, self.stride, self.dilation, self.groups)
        if self.bias:
            y += self.b.data
        return y

    # x[i] meets dy[p] through W[q] wherever i + before = stride p + dilation q. Solved for p: dy, with stride − 1 zeros
    # between its places, is correlated with W read backwards. The margin makes room for all q at the first and last i.
    def backward(self, dy: Array) -> Array | None:
        shape, padded = self.cache
        self.W.grad += kernel_gradient(padded, dy, self.kernel, self.stride, self.dilation, self.groups)
        if self.bias:
            self.b.grad += column_sum(dy)
        if not self.input_gradient:
            return None
        dy = spread(dy, self.stride)
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel)]
        before = tuple(r - b for r, b in zip(reach, self.before))
        after = tuple(n + r - b - m for n, r, b, m in zip(shape[1:-1], reach, before, dy.shape[1:-1]))
        one = (1,) * self.positions
        return correlate(pad(dy, before, after), flipped(self.W.data, self.groups), one, self.dilation, self.groups)

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
    padding: zeros around the image, or "same" for h' = h at stride 1, with the odd one of an even kernel at the end.
    groups: how many parts the channels fall into; each part of K sees its part of C.  bias: whether b is learned.
    rng: what draws the initial W, glorot_uniform; b starts at zero and is not decayed.
    Raises ValueError for x of another rank or channel count or smaller than the kernel, and for groups that divide
    neither C nor K; TypeError for options that are not ints.
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
    """The way back through a Conv2d as a layer: every input pixel paints a kernel into a larger image.

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
        self.kernel = sizes("ConvTranspose2d", "kernel_size", kernel_size, 2, least=1)
        self.stride = sizes("ConvTranspose2d", "stride", stride, 2, least=1)
        self.padding = sizes("ConvTranspose2d", "padding", padding, 2, least=0)
        self.bias = bias
        self.W = Parameter(glorot_uniform((*self.kernel, in_channels, out_channels), generator(rng)))
        if bias:
            self.b = Parameter(zeros((out_channels,)), decay=False)

    def forward(self, x: Array) -> Array:
        W = self.W.data
        x = real_input(self, x, W.shape[2], W.dtype)
        expect_rank(self, x, "h, w")
        places = [s * (n - 1) + k - 2 * p for s, n, k, p in zip(self.stride, x.shape[1:3], self.kernel, self.padding)]
        expect_places(self, x, [*places, *x.shape[1:3]])
        self.cache = x
        margin = tuple(k - 1 - p for k, p in zip(self.kernel, self.padding))
        y = correlate(pad(spread(x, self.stride), margin, margin), np.flip(W, (0, 1)), (1, 1), (1, 1))
        if self.bias:
            y += self.b.data
        return y

    def backward(self, dy: Array) -> Array | None:
        x = self.cache
        padded = pad(dy, self.padding, self.padding)
        self.W.grad += kernel_gradient(padded, x, self.kernel, self.stride, (1, 1)).swapaxes(2, 3)
        if self.bias:
            self.b.grad += column_sum(dy)
        return correlate(padded, self.W.data.swapaxes(2, 3), self.stride, (1, 1)) if self.input_gradient else None
