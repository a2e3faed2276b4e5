"""The probabilities of one sample, again and again, from a small net that has been trained elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from harness import Race
from layers import tensor
from machine import THREADS
from nets import perceptron, torch_perceptron
from numpy import ndarray as Array
from worker import Contestant

import minnet

SIZES = 64, 64, 10
TIMES = 500


def inference_race() -> Race:
    minnet.seed(0)
    model = perceptron(*SIZES).eval()
    weights = [parameter.data for parameter in model.parameters()]
    x = np.random.default_rng(0).random((1, SIZES[0]), np.float32)
    contestants = {
        "minnet": partial(repeated, model, x),
        "minnet predict": partial(repeated, partial(minnet.predict, model), x),
        "NumPy": partial(repeated, partial(numpy_probabilities, weights), x),
        "PyTorch inference_mode": partial(torch_probabilities, weights, x, "inference_mode"),
        "PyTorch no_grad": partial(torch_probabilities, weights, x, "no_grad"),
    }
    return Race("inference", "inference of one sample through 64-64-10", contestants, TIMES)


def repeated(predict: Callable[[Any], Any], x: Any) -> Contestant:
    found: list[Any] = []

    def run() -> None:
        for _ in range(TIMES):
            p = predict(x)
        found[:] = [p]

    return Contestant(run, lambda: [np.asarray(p) for p in found])


def numpy_probabilities(weights: list[Array], x: Array) -> Array:
    W, b, U, c = weights
    h = x.dot(W)
    h += b
    np.maximum(h, 0, out=h)
    z = h.dot(U)
    z += c
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z


def torch_probabilities(weights: list[Array], x: Array, mode: str) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    module = torch_perceptron(SIZES, weights)[0].eval()

    def predict(given: Any) -> Any:
        with getattr(torch, mode)():
            return torch.softmax(module(given), -1)

    return repeated(predict, tensor(x))
