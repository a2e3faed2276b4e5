"""Single layers, forward and backward with the gradient of the input, in minnet and in PyTorch with the same weights.

A row is a layer, the shape of its input, and how PyTorch does the same: a function of the layer that returns a module
(or a function of x), its parameters, and how to bring their gradients into minnet's layout.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from harness import Race
from machine import THREADS
from numpy import ndarray as Array
from worker import Contestant

import minnet

Twin = tuple[Any, list[Any], Callable[[], list[Array]]]
TIMES = 4  # in a run


def images_first(x: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim == 4 else x


def images_last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def tensor(array: Array) -> Any:
    import torch

    return torch.tensor(np.ascontiguousarray(array))


def torch_convolution(layer: Any) -> Twin:
    import torch

    height, width, c, out = layer.W.data.shape
    module = torch.nn.Conv2d(c, out, (height, width), padding=(height // 2, width // 2))
    module.weight.data, module.bias.data = tensor(layer.W.data.transpose(3, 2, 0, 1)), tensor(layer.b.data)
    parameters = [module.weight, module.bias]
    return module, parameters, lambda: [module.weight.grad.numpy().transpose(2, 3, 1, 0), module.bias.grad.numpy()]


def torch_batch_norm(layer: Any) -> Twin:
    import torch

    module = torch.nn.BatchNorm2d(len(layer.gamma.data))
    parameters = [module.weight, module.bias]
    return module, parameters, lambda: [parameter.grad.numpy() for parameter in parameters]


def torch_recurrent(kind: str, layer: Any) -> Twin:
    import torch

    module = getattr(torch.nn, kind)(len(layer.W.data), len(layer.U.data), batch_first=True)
    module.weight_ih_l0.data, module.weight_hh_l0.data = tensor(layer.W.data.T), tensor(layer.U.data.T)
    for bias in (module.bias_ih_l0, module.bias_hh_l0):
        bias.data.zero_()
    parameters = list(module.parameters())

    def gradients() -> list[Array]:
        W, U, b, c = (parameter.grad.numpy().T for parameter in parameters)
        return [W, U, b, c[-len(U) :]] if kind == "GRU" else [W, U, b]

    return module, parameters, gradients


def torch_attention(layer: Any) -> Twin:
    """From the pieces that the fastest path of PyTorch is made of."""
    from torch.nn import functional

    arrays = (layer.W_qkv.data.T, layer.b_qkv.data, layer.W_o.data.T, layer.b_o.data)
    weights = [tensor(array).requires_grad_() for array in arrays]

    def attend(x: Any) -> Any:
        n, t, d = x.shape
        q, k, v = (
            part.view(n, t, layer.heads, -1).transpose(1, 2)
            for part in functional.linear(x, *weights[:2]).chunk(3, dim=-1)
        )
        o = functional.scaled_dot_product_attention(q, k, v, is_causal=layer.causal)
        return functional.linear(o.transpose(1, 2).reshape(n, t, d), *weights[2:])

    return attend, weights, lambda: [w.grad.numpy().T for w in weights]


ROWS: dict[str, tuple[str, Callable[[], minnet.Layer], tuple[int, ...], Callable[[Any], Twin]]] = {
    "convolution": (
        "3×3 convolution, 32 → 64 channels on 64 images of 28×28",
        lambda: minnet.Conv2d(32, 64, 3, padding=1),
        (64, 28, 28, 32),
        torch_convolution,
    ),
    "batch-norm": (
        "batch norm of 32 channels on 64 images of 28×28",
        lambda: minnet.BatchNorm(32),
        (64, 28, 28, 32),
        torch_batch_norm,
    ),
    "lstm": (
        "LSTM, batch 32, 32 steps, 64 → 128",
        lambda: minnet.LSTM(64, 128),
        (32, 32, 64),
        partial(torch_recurrent, "LSTM"),
    ),
    "gru": (
        "GRU, batch 32, 32 steps, 64 → 128",
        lambda: minnet.GRU(64, 128),
        (32, 32, 64),
        partial(torch_recurrent, "GRU"),
    ),
    "attention": (
        "causal attention, batch 16, 64 steps, 64 features, 4 heads",
        lambda: minnet.MultiHeadAttention(64, 4, causal=True),
        (16, 64, 64),
        torch_attention,
    ),
}


def layer_race(row: str) -> Race:
    title, make, shape, in_torch = ROWS[row]
    minnet.seed(0)
    layer = make()
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(np.float32)
    dy = rng.normal(size=layer(x).shape).astype(np.float32)
    contestants = {
        "minnet": partial(minnet_layer, layer, x, dy),
        "PyTorch": partial(torch_layer, in_torch, layer, x, dy),
    }
    return Race(row, f"{title}, forward and backward", contestants, TIMES, unit="ms", scale=1e-3)


def minnet_layer(layer: minnet.Layer, x: Array, dy: Array) -> Contestant:
    results: list[Array] = []

    def run() -> None:
        for _ in range(TIMES):
            layer.zero_grad()
            y = layer(x)
            results[:] = [y, layer.backward(dy), *(p.grad for p in layer.parameters())]

    return Contestant(run, lambda: scaled(results))


def torch_layer(in_torch: Callable[[Any], Any], layer: minnet.Layer, x: Array, dy: Array) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    module, parameters, gradients = in_torch(layer)
    given, upstream = tensor(images_first(x)).requires_grad_(), tensor(images_first(dy))
    results: list[Any] = []

    def run() -> None:
        for _ in range(TIMES):
            for leaf in (given, *parameters):
                leaf.grad = None
            y = module(given)
            results[:] = y if isinstance(y, tuple) else [y]  # a recurrent module returns its last state too
            results[0].backward(upstream)

    def outcome() -> list[Array]:
        y, dx = (images_last(t.detach().numpy()) for t in (results[0], given.grad))
        return scaled([y, dx, *gradients()])

    return Contestant(run, outcome)


def scaled(arrays: list[Array]) -> list[Array]:
    """Relative to the largest entry, since sums over many places are large."""
    return [array / abs(array).max() for array in arrays]
