"""Norms in training: on a batch of sequences beside PyTorch, and batch norm beside its textbook form in bare NumPy."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from layers import LayerRow, Twin, scaled
from numpy import ndarray as Array
from worker import Contestant

import minnet

SEQUENCES = 64, 64, 256
GROUPS = 8


def torch_norm(kind: str, layer: Any, *arguments: Any) -> Twin:
    import torch

    options = {"eps": layer.eps} if kind == "RMSNorm" else {}  # of which PyTorch's default is another
    module = getattr(torch.nn, kind)(*arguments, len(layer.gamma.data), **options)
    parameters = list(module.parameters())

    def gradients() -> list[Array]:
        statistics = [module.running_mean, module.running_var] if "Batch" in kind else []
        return [array.numpy() for array in (*(parameter.grad for parameter in parameters), *statistics)]

    return module, parameters, gradients


def numpy_batch_norm(layer: Any, x: Array, dy: Array, times: int) -> Contestant:
    gamma, beta = layer.gamma.data, layer.beta.data
    running_mean, running_var = layer.running_mean.data.copy(), layer.running_var.data.copy()
    momentum, eps, n = layer.momentum, layer.eps, len(x)
    results: list[Array] = []

    def run() -> None:
        nonlocal running_mean, running_var
        for _ in range(times):
            mean = x.mean(axis=0)
            xhat = x - mean
            var = (xhat * xhat).mean(axis=0)
            r = 1 / np.sqrt(var + eps)
            xhat *= r
            y = gamma * xhat + beta
            running_mean = (1 - momentum) * running_mean + momentum * mean
            running_var = (1 - momentum) * running_var + momentum * n / (n - 1) * var
            dgamma = (dy * xhat).sum(axis=0)
            dbeta = dy.sum(axis=0)
            dx = gamma * r * (dy - dbeta / n - xhat * (dgamma / n))
            results[:] = [y, dx, dgamma, dbeta]

    return Contestant(run, lambda: scaled([*results, running_mean, running_var]))


def batch_norm(rows: int, features: int, times: int) -> LayerRow:
    return LayerRow(
        f"batch norm of {rows} × {features} in training",
        lambda: minnet.BatchNorm(features),
        (rows, features),
        partial(torch_norm, "BatchNorm1d"),
        times=times,
        milliseconds=False,
        others={"NumPy": numpy_batch_norm},
    )


NORMS = {
    "layer-norm": LayerRow(
        f"layer norm of {' × '.join(map(str, SEQUENCES))}",
        lambda: minnet.LayerNorm(SEQUENCES[-1]),
        SEQUENCES,
        partial(torch_norm, "LayerNorm"),
    ),
    "group-norm": LayerRow(
        f"group norm, {GROUPS} groups, of {' × '.join(map(str, SEQUENCES))}",
        lambda: minnet.GroupNorm(GROUPS, SEQUENCES[-1]),
        SEQUENCES,
        lambda layer: torch_norm("GroupNorm", layer, GROUPS),
        channels_first=True,
    ),
    "rms-norm": LayerRow(
        f"RMS norm of {' × '.join(map(str, SEQUENCES))}",
        lambda: minnet.RMSNorm(SEQUENCES[-1]),
        SEQUENCES,
        partial(torch_norm, "RMSNorm"),
    ),
    "batch-norm-32": batch_norm(32, 64, times=200),
    "batch-norm-128": batch_norm(128, 256, times=40),
    "batch-norm-256": batch_norm(256, 1024, times=5),
    "batch-norm-images": LayerRow(
        "batch norm of 32 channels on 64 images of 28×28",
        lambda: minnet.BatchNorm(32),
        (64, 28, 28, 32),
        partial(torch_norm, "BatchNorm2d"),
        channels_first=True,
    ),
}
