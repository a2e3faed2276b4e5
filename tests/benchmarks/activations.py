"""Activations on two million values, in minnet and in PyTorch."""

from __future__ import annotations

from functools import partial
from typing import Any

from layers import LayerRow, Twin

import minnet

SHAPE = 2048, 1024


def torch_activation(kind: str, options: dict[str, Any], layer: object) -> Twin:
    import torch

    return getattr(torch.nn, kind)(**options), [], lambda: []


def activation(kind: str, title: str = "", **options: Any) -> LayerRow:
    """Names and options are the same in both."""
    make, in_torch = partial(getattr(minnet, kind), **options), partial(torch_activation, kind, options)
    return LayerRow(f"{title or kind} of {SHAPE[0]} × {SHAPE[1]}", make, SHAPE, in_torch)


ACTIVATIONS = {
    "gelu": activation("GELU", "exact GELU"),
    "gelu-tanh": activation("GELU", "tanh GELU", approximate="tanh"),
    "leaky-relu": activation("LeakyReLU"),
    "elu": activation("ELU"),
    "silu": activation("SiLU"),
    "softplus": activation("Softplus"),
}
