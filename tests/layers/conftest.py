"""A convolution written plainly: the text of what the fast one in minnet/layers computes, and what it is held to."""

import numpy as np
import pytest


def convolution(x, W, dy, stride, dilation, padding, groups=1):
    """y, and from dy the gradients dx and dW: a sum over the positions q of the kernel.

        y = Σ_q x_q W[q]      dx_q += dy W[q]ᵀ      dW[q] = x_qᵀ dy

    x_q are the entries of x, its padding included, at position q of all windows: x[stride p + dilation q] for every
    place p of y.

    Shapes      x (N, *positions, C)   W (*kernel, C / groups, K)   y, dy (N, *places, K)

    stride, dilation: a number for each axis of positions.  padding: how many zeros, (before, after), for each.
    groups: how many convolutions stand side by side, each with its part of the channels of x and of y.
    """
    if groups > 1:
        parts = zip(*(np.split(array, groups, axis=-1) for array in (x, W, dy)))
        results = [convolution(*part, stride, dilation, padding) for part in parts]
        return [np.concatenate(same, axis=-1) for same in zip(*results)]
    x = np.pad(x, [(0, 0), *padding, (0, 0)])
    y, dx, dW = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(W.shape)
    for q in np.ndindex(W.shape[:-2]):
        along = [slice(d * i, d * i + s * n, s) for i, d, s, n in zip(q, dilation, stride, dy.shape[1:-1])]
        at_q = (slice(None), *along)
        y += x[at_q] @ W[q]
        dx[at_q] += dy @ W[q].T
        dW[q] = x[at_q].reshape(-1, W.shape[-2]).T @ dy.reshape(-1, W.shape[-1])
    inside = [slice(before, n - after) for (before, after), n in zip(padding, dx.shape[1:-1])]
    return y, dx[:, *inside], dW


@pytest.fixture
def plain_convolution():
    return convolution
