"""Convolutions, as layers: what they take and what they learn. Their arithmetic is in correlation.py."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from numpy import ndarray as Array

from ..arguments import at_least_one, expect_gradient, flag
from ..initializers import glorot_uniform, zeros
from ..layer import Layer, Parameter, real_input
from ..random import Rng, generator
from .correlation import (
    add_bias,
    bias_gradient,
    correlate,
    correlate_and_gradient,
    correlate_transposed,
    flipped,
    kernel_gradient,
    unfolding_dy_is_faster,
)
from .lengths import checked_lengths, without_padding
from .windows import Sizes, Strips, expect_axes, expect_places, sizes


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
            channels = f"{in_channels} and {out_channels} channels"
            raise ValueError(f"{name}: expected groups to divide {channels}, got {groups}")
        self.kernel = sizes(name, "kernel_size", kernel_size, self.positions, least=1)
        self.stride = sizes(name, "stride", stride, self.positions, least=1)
        self.dilation = sizes(name, "dilation", dilation, self.positions, least=1)
        self.same = self._is_same(padding)
        margin = (0,) * self.positions if self.same else sizes(name, "padding", padding, self.positions, least=0)
        self.strips = Strips(self.kernel, self.stride, self.dilation, margin, margin, int(groups))
        if self.same and all(s == 1 for s in self.stride):  # the same zeros around every x
            self.same, self.strips = False, self.with_margins((1,) * self.positions)
        self.in_channels, self.bias = in_channels, flag(name, "bias", bias)
        self.W = Parameter(glorot_uniform((*self.kernel, in_channels // groups, out_channels), generator(rng)))
        if bias:
            self.b = Parameter(zeros((out_channels,)), decay=False)

    def forward(self, x: Array) -> Array:
        W = self.W.data
        x = real_input(self, x, dtype=W.dtype)
        expect_axes(self, x, self.axes, self.in_channels)
        strips = self.with_margins(x.shape[1:-1]) if self.same else self.strips
        expect_places(self, x, strips.places(x.shape[1:-1]))
        y = correlate(x, W, strips)
        self.cache = x, y.shape, strips
        if self.bias:
            add_bias(y, self.b.data)
        return y

    def backward(self, dy: Array) -> Any:
        (x, y_shape, strips, *_), W = self.cache, self.W.data
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

    def _is_same(self, padding: Any) -> bool:
        if isinstance(padding, str) and padding != "same":
            raise ValueError(f'{type(self).__name__}: expected padding to be numbers or "same", got {padding!r}')
        return isinstance(padding, str)

    def with_margins(self, positions: Sizes) -> Strips:
        """The strips with the zeros of padding="same" around so many positions: one place for each stride of them."""
        total = []
        for n, k, s, d in zip(positions, self.kernel, self.stride, self.dilation):
            total.append(max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0))
        before = tuple(t // 2 for t in total)
        return replace(self.strips, before=before, after=tuple(t - b for t, b in zip(total, before)))


class Conv2d(_Convolution):
    """Correlation of images with a learned kernel, called convolution everywhere.

    Forward     y[i, j, k] = b[k] + Σ x[s i + d u, s j + d v, c] W[u, v, c, k]  over the kernel's u and v, and c
    Backward    dW[u, v, c, k] = Σ x[s i + d u, s j + d v, c] dy[i, j, k]      db = Σ dy
                dx[m, n, c] = Σ dy[i, j, k] W[u, v, c, k]  where s i + d u = m and s j + d v = n

    Shapes      x (N, h, w, C)   y (N, h', w', K)   W (kh, kw, C / groups, K)   b (K,)
                h' = (h + 2 padding − d (kh − 1) − 1) // s + 1, w' alike

    in_channels: C.  out_channels: K.  kernel_size: kh and kw.  stride: s.  dilation: d; each an int or a pair.
    padding: zeros around the image, or "same" for h' = ⌈h / s⌉, as in Keras: (h' − 1) s + d (kh − 1) + 1 − h of them if
    that is above 0, half before and half behind, where an odd one goes too.
    groups: how many parts the channels are split into; each part of K sees only its part of C.
    bias: whether b is learned.
    rng: what draws the initial W, glorot_uniform; b starts at zero and is not decayed.
    Neighbouring places are found together, so a NaN or ∞ in x may be NaN beside those that see it. With many channels,
    stride 1 and kernels of 2 to 5 that is done after Winograd, for 7 − k places along each axis: in float32 their error
    is then 2e-6 of the largest of them.
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
    lengths: how many steps of each x count, given as forward(x, lengths) where s = 1 and T' = T; see Padded. What is
    behind is taken for zeros, and y and dx are 0 there.
    Source: LeCun et al. 1989.
    """

    positions, axes = 1, "T"

    def forward(self, x: Array, lengths: Array | None = None) -> Array:
        if lengths is None:
            return super().forward(x)
        x = real_input(self, x, dtype=self.W.data.dtype)
        expect_axes(self, x, self.axes, self.in_channels)
        lengths = checked_lengths(self, lengths, x.shape)
        y = super().forward(without_padding(x, lengths))
        if y.shape[1] != x.shape[1] or self.stride != (1,):
            raise ValueError(
                f"{self!r}: expected a stride of 1 and a y of as many steps as x where there are lengths, as "
                f'padding="same" gives it, got a stride of {self.stride[0]} and {y.shape[1]} of {x.shape[1]} steps'
            )
        self.cache = (*self.cache, lengths)
        return without_padding(y, lengths)

    def backward(self, dy: Array) -> Any:
        _, y_shape, _, *lengths = self.cache
        if not lengths:
            return super().backward(dy)
        expect_gradient(self, dy, y_shape)
        dx = super().backward(without_padding(dy, *lengths))
        return None if dx is None else without_padding(dx, *lengths)


class ConvTranspose2d(Layer):
    """The transpose of a Conv2d, as a layer: every input pixel adds the kernel, times its value, to a larger image.

    Forward     y[m, n, k] = b[k] + Σ x[i, j, c] W[u, v, c, k]  where s i + u − padding = m and s j + v − padding = n
    Backward    dx[i, j, c] = Σ dy[s i + u − padding, s j + v − padding, k] W[u, v, c, k]
                dW[u, v, c, k] = Σ x[i, j, c] dy[s i + u − padding, s j + v − padding, k]      db = Σ dy

    Shapes      x (N, h, w, C)   y (N, h', w', K)   W (kh, kw, C, K)   b (K,)
                h' = s (h − 1) + kh − 2 padding + output_padding, w' alike

    in_channels: C.  out_channels: K.  kernel_size: kh and kw.  stride: s.  padding: what is cut off around y.
    output_padding: rows and columns that y has more at its end, below the stride; a Conv2d of several heights h' has
    the same h, of which they choose one. Each an int or a pair.
    bias: whether b is learned.  rng: what draws the initial W, glorot_uniform; b starts at zero.
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
        output_padding: int | Sizes = 0,
        rng: Rng = None,
    ) -> None:
        at_least_one("ConvTranspose2d", in_channels=in_channels, out_channels=out_channels)
        self.kernel = sizes("ConvTranspose2d", "kernel_size", kernel_size, 2, least=1)
        self.stride = sizes("ConvTranspose2d", "stride", stride, 2, least=1)
        self.padding = sizes("ConvTranspose2d", "padding", padding, 2, least=0)
        self.output_padding = sizes("ConvTranspose2d", "output_padding", output_padding, 2, least=0)
        if any(more >= s for more, s in zip(self.output_padding, self.stride)):
            raise ValueError(
                f"ConvTranspose2d: expected output_padding below the stride {self.stride}, got {output_padding}"
            )
        self.strips = Strips(self.kernel, self.stride, (1, 1), self.padding, self.padding)
        self.bias = flag("ConvTranspose2d", "bias", bias)
        self.W = Parameter(glorot_uniform((*self.kernel, in_channels, out_channels), generator(rng)))
        if bias:
            self.b = Parameter(zeros((out_channels,)), decay=False)

    def forward(self, x: Array) -> Array:
        W = self.W.data
        x = real_input(self, x, dtype=W.dtype)
        expect_axes(self, x, "h, w", W.shape[2])
        sides = zip(self.stride, x.shape[1:3], self.kernel, self.padding, self.output_padding)
        places = [s * (n - 1) + k - 2 * p + more for s, n, k, p, more in sides]
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
