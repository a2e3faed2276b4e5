"""The transformer of examples/transformer.py, with its sizes and its optimizer at a constant rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from training import Net, Twin, with_weights

import minnet
from examples.transformer import BATCH, BLOCKS, CHARACTERS, CLIP, CONTEXT, FEATURES, HEADS, LR, MOMENTUM, block


def transformer() -> minnet.Sequential:
    return minnet.Sequential(
        minnet.Embedding(len(CHARACTERS), FEATURES),
        minnet.PositionalEmbedding(CONTEXT, FEATURES),
        *(layer for _ in range(BLOCKS) for layer in block(FEATURES)),
        minnet.LayerNorm(FEATURES),
        minnet.Linear(FEATURES, len(CHARACTERS)),
        minnet.SoftmaxCrossEntropy(),
    )


def torch_transformer(weights: list[Array]) -> Twin:
    """With the attention that PyTorch has in one piece, as its users write it."""
    import torch
    from torch import nn

    class Position(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(CONTEXT, FEATURES))

        def forward(self, x: Any) -> Any:
            return x + self.weight

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(FEATURES, 3 * FEATURES), nn.Linear(FEATURES, FEATURES)

        def forward(self, x: Any) -> Any:
            n, t, d = x.shape
            q, k, v = (part.view(n, t, HEADS, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
            o = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(o.transpose(1, 2).reshape(n, t, d))

    class Residual(nn.Sequential):
        def forward(self, x: Any) -> Any:
            return x + super().forward(x)

    layers: list[Any] = [nn.Embedding(len(CHARACTERS), FEATURES), Position()]
    for _ in range(BLOCKS):
        wide = nn.Linear(FEATURES, 4 * FEATURES), nn.GELU("tanh"), nn.Linear(4 * FEATURES, FEATURES)
        layers += [Residual(nn.LayerNorm(FEATURES), Attention()), Residual(nn.LayerNorm(FEATURES), *wide)]
    layers += [nn.LayerNorm(FEATURES), nn.Linear(FEATURES, len(CHARACTERS)), nn.Flatten(0, 1)]
    return with_weights(nn.Sequential(*layers), weights)


def characters(rng: np.random.Generator) -> tuple[Array, Array]:
    ids = rng.integers(0, len(CHARACTERS), (BATCH, CONTEXT + 1))
    return ids[:, :-1], ids[:, 1:]


TRANSFORMER = Net(
    f"transformer of examples/transformer.py, batch {BATCH} of {CONTEXT} steps, SGD",
    transformer,
    characters,
    torch_transformer,
    "SGD",
    {"lr": LR, "momentum": MOMENTUM},
    steps=20,
    clip_norm=CLIP,
)
