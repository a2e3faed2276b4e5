"""Single layers, forward and backward with the input's gradient, in minnet and in PyTorch with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from harness import Race
from machine import THREADS
from numpy import ndarray as Array
from operations import step_operations
from worker import Contestant

import minnet

Twin = tuple[Any, list[Any], Callable[[], list[Array]]]


@dataclass(frozen=True)
class LayerRow:
    """A layer, the shape of its input, and how others do the same.

    in_torch: a function of the layer that returns a module (or a function of x), its parameters, and what reads their
    gradients, and statistics, in minnet's layout.
    channels_first: whether PyTorch has the channels in front of the positions.
    times: how often in a run.  milliseconds: or microseconds.
    others: contestants made from the layer, x, dy and times.
    """

    title: str
    make: Callable[[], minnet.Layer]
    shape: tuple[int, ...]
    in_torch: Callable[[Any], Twin]
    channels_first: bool = False
    times: int = 4
    milliseconds: bool = True
    others: dict[str, Callable[[Any, Array, Array, int], Contestant]] = field(default_factory=dict)


def channels_first(x: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def channels_last(x: Array) -> Array:
    return np.moveaxis(x, 1, -1)


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


LAYERS = {
    "convolution": LayerRow(
        "3×3 convolution, 32 → 64 channels on 64 images of 28×28",
        lambda: minnet.Conv2d(32, 64, 3, padding=1),
        (64, 28, 28, 32),
        torch_convolution,
        channels_first=True,
    ),
    "lstm": LayerRow(
        "LSTM, batch 32, 32 steps, 64 → 128",
        lambda: minnet.LSTM(64, 128),
        (32, 32, 64),
        partial(torch_recurrent, "LSTM"),
    ),
    "lstm-long": LayerRow(
        "LSTM, one sequence of 2,000 steps, 64 → 128",
        lambda: minnet.LSTM(64, 128),
        (1, 2000, 64),
        partial(torch_recurrent, "LSTM"),
        times=1,
    ),
    "gru": LayerRow(
        "GRU, batch 32, 32 steps, 64 → 128",
        lambda: minnet.GRU(64, 128),
        (32, 32, 64),
        partial(torch_recurrent, "GRU"),
    ),
    "attention": LayerRow(
        "causal attention, batch 16, 64 steps, 64 features, 4 heads",
        lambda: minnet.MultiHeadAttention(64, 4, causal=True),
        (16, 64, 64),
        torch_attention,
    ),
}


def layer_race(name: str, row: LayerRow) -> Race:
    minnet.seed(0)
    layer = row.make()
    rng = np.random.default_rng(0)
    x = rng.normal(size=row.shape).astype(np.float32)
    trial = row.make()  # batch norm's statistics are to be fresh
    dy = rng.normal(size=trial(x).shape).astype(np.float32)
    contestants = {name: partial(make, layer, x, dy, row.times) for name, make in row.others.items()}
    contestants = {"minnet": partial(minnet_layer, layer, x, dy, row.times), **contestants}
    contestants["PyTorch"] = partial(torch_layer, row, layer, x, dy)
    unit, scale = ("ms", 1e-3) if row.milliseconds else ("µs", 1e-6)
    operations = step_operations(trial, x, input_gradient=True)
    return Race(
        name,
        f"{row.title}, forward and backward",
        contestants,
        row.times,
        unit=unit,
        scale=scale,
        operations=dict.fromkeys(contestants, operations) if operations else {},
    )


def minnet_layer(layer: minnet.Layer, x: Array, dy: Array, times: int) -> Contestant:
    """The gradients are set to zero as an optimizer's step does it."""
    parameters, statistics = layer.parameters(), layer.walk(minnet.Buffer).values()
    results: list[Array] = []

    def run() -> None:
        for _ in range(times):
            for parameter in parameters:
                parameter.grad.fill(0)
            y = layer(x)
            results[:] = [y, layer.backward(dy)]

    def outcome() -> list[Array]:
        return scaled([*results, *(p.grad for p in parameters), *(buffer.data for buffer in statistics)])

    return Contestant(run, outcome)


def torch_layer(row: LayerRow, layer: minnet.Layer, x: Array, dy: Array) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    module, parameters, gradients = row.in_torch(layer)
    given, upstream = (tensor(channels_first(array) if row.channels_first else array) for array in (x, dy))
    given.requires_grad_()
    results: list[Any] = []

    def run() -> None:
        for _ in range(row.times):
            for leaf in (given, *parameters):
                leaf.grad = None
            y = module(given)
            results[:] = y if isinstance(y, tuple) else [y]  # a recurrent module returns its last state too
            results[0].backward(upstream)

    def outcome() -> list[Array]:
        both = [t.detach().numpy() for t in (results[0], given.grad)]
        y, dx = map(channels_last, both) if row.channels_first else both
        return scaled([y, dx, *gradients()])

    return Contestant(run, outcome)


def scaled(arrays: list[Array]) -> list[Array]:
    """Relative to the largest entry, since sums over many places are large."""
    return [array / abs(array).max() for array in arrays]
