"""Training steps of a large table of vectors, of which a batch needs few rows, in minnet and in PyTorch."""

from __future__ import annotations

from functools import partial

import numpy as np
from harness import Race
from machine import THREADS
from numpy import ndarray as Array
from worker import Contestant

import minnet

NUM, FEATURES = 200_000, 64
BATCH = 512, 32
STEPS = 5
RATES = {"SGD": 0.1, "Adam": 0.01}
IN_TORCH = {"SGD": "SGD", "Adam": "SparseAdam"}


def embedding_race(kind: str) -> Race:
    """The gradient of the loss is given, so that it is the embedding and its update alone that are timed."""
    rng = np.random.default_rng(0)
    W = rng.normal(scale=0.02, size=(NUM, FEATURES)).astype(np.float32)
    ids = rng.integers(0, NUM, (STEPS, *BATCH))
    dy = rng.normal(size=(*BATCH, FEATURES)).astype(np.float32)
    contestants = {
        "minnet": partial(minnet_embedding, kind, W, ids, dy),
        "PyTorch": partial(torch_embedding, kind, W, ids, dy),
    }
    title = f"embedding of {NUM:,} × {FEATURES} with {BATCH[0]} × {BATCH[1]} ids, sparse, {kind}"
    return Race(f"embedding-{kind}".lower(), title, contestants, STEPS, unit="ms", scale=1e-3)


def minnet_embedding(kind: str, W: Array, ids: Array, dy: Array) -> Contestant:
    layer = minnet.Embedding(NUM, FEATURES, sparse=True)
    layer.W.data[...] = W
    optimizer = getattr(minnet, kind)(layer.parameters(), lr=RATES[kind])

    def run() -> None:
        for some in ids:
            layer(some)
            layer.backward(dy)
            optimizer.step()

    return Contestant(run, lambda: seen(layer.W.data, ids))


def torch_embedding(kind: str, W: Array, ids: Array, dy: Array) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    layer = torch.nn.Embedding(NUM, FEATURES, sparse=True)
    layer.weight.data = torch.tensor(W)
    optimizer = getattr(torch.optim, IN_TORCH[kind])(layer.parameters(), lr=RATES[kind])
    tensors, upstream = torch.tensor(ids), torch.tensor(dy)

    def run() -> None:
        for some in tensors:
            optimizer.zero_grad()
            layer(some).backward(upstream)
            optimizer.step()

    return Contestant(run, lambda: seen(layer.weight.detach().numpy(), ids))


def seen(W: Array, ids: Array) -> list[Array]:
    """The rows that are trained, and the others."""
    trained = np.isin(np.arange(NUM), ids)
    return [W[trained], W[~trained]]
