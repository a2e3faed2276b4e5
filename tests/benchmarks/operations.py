"""What the matrix products of a training step take at least, in operations: two for each multiply-add."""

from __future__ import annotations

from typing import Any

from numpy import ndarray as Array

import minnet


def step_operations(model: minnet.Layer, x: Array, input_gradient: bool = False) -> float:
    """Of forward, dW and dx, which take the same each. dx of the first layer is only wanted with input_gradient."""
    each = forward_operations(model, x)[1]
    return 3 * sum(each) - (0 if input_gradient else each[0])


def forward_operations(model: minnet.Layer, x: Any) -> tuple[Any, list[float]]:
    """y, and the operations of every layer in order."""
    if isinstance(model, minnet.Residual):
        y, each = forward_operations(model.layers, x)
        return x + y, each
    if isinstance(model, minnet.Sequential):
        each = []
        for layer in model:
            x, more = forward_operations(layer, x)
            each += more
        return x, each
    y = model(x)
    return y, [layer_operations(model, y)]


def layer_operations(layer: minnet.Layer, y: Any) -> float:
    """Each entry of a matrix is multiplied once for each row of y: a sample, a step or a place of an image."""
    if isinstance(layer, (minnet.Embedding, minnet.PositionalEmbedding)):
        return 0
    rows = y.size // y.shape[-1]
    operations = 2.0 * rows * sum(p.data.size for p in layer.parameters() if p.data.ndim > 1)
    if isinstance(layer, minnet.MultiHeadAttention):
        N, T, D = y.shape
        pairs = T * (T + 1) // 2 if layer.causal else T * T
        operations += 2 * 2 * N * pairs * D  # q kᵀ and p v
    return operations
