"""A step of each optimizer on two million values, in few arrays and in many, in minnet and in PyTorch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from harness import Race
from machine import THREADS
from numpy import ndarray as Array
from worker import Contestant, elapsed

import minnet

VALUES = 2_000_000
KINDS: dict[str, dict[str, float]] = {"SGD": {"momentum": 0.9}, "RMSprop": {}, "Adagrad": {}, "Adam": {}, "AdamW": {}}
ARRAYS = (10, 200)


def optimizer_race(kind: str, arrays: int) -> Race:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(arrays, VALUES // arrays)).astype(np.float32)
    gradients = rng.normal(size=weights.shape).astype(np.float32)
    contestants = {
        "minnet": partial(minnet_step, kind, weights, gradients),
        "PyTorch foreach": partial(torch_step, kind, weights, gradients, foreach=True),
        "PyTorch fused": partial(torch_step, kind, weights, gradients, fused=True),
    }
    if kind == "RMSprop":
        del contestants["PyTorch fused"]  # there is none
    title = f"a step of {kind} on {VALUES:,} values in {arrays} arrays"
    return Race(f"{kind}-{arrays}".lower(), title, contestants, unit="ms", scale=1e-3)


def minnet_step(kind: str, weights: Array, gradients: Array) -> Contestant:
    parameters = [minnet.Parameter(w) for w in weights]
    optimizer = getattr(minnet, kind)(parameters, lr=1e-3, **KINDS[kind])

    def run() -> float:
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad[...] = gradient
        return elapsed(optimizer.step)

    return Contestant(run, lambda: [parameter.data for parameter in parameters], "its step sets the gradients to zero")


def torch_step(kind: str, weights: Array, gradients: Array, **how: bool) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    parameters = [torch.tensor(w, requires_grad=True) for w in weights]
    options: dict[str, Any] = {"weight_decay": 0.01} if kind == "AdamW" else {}
    optimizer = getattr(torch.optim, kind)(parameters, lr=1e-3, **KINDS[kind], **options, **how)

    def step() -> None:
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    def run() -> float:
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = torch.tensor(gradient)
        return elapsed(step)

    return Contestant(run, lambda: [parameter.detach().numpy() for parameter in parameters])


def optimum_race() -> Race:
    """The linear softmax classifier with weight decay, on all digits, to its optimum."""
    contestants = {"minnet LBFGS": minnet_optimum, "scikit-learn LogisticRegression": sklearn_optimum}
    title = "the optimum of softmax regression on the digits, weight decay 1 / 1797"
    return Race("optimum", title, contestants, unit="ms", scale=1e-3)


def minnet_optimum() -> Contestant:
    x, y = minnet.load_digits()
    found: list[float] = []

    def run() -> None:
        model = minnet.Sequential(minnet.Linear(64, 10), minnet.SoftmaxCrossEntropy()).astype(np.float64)
        optimizer = minnet.LBFGS(model.parameters(), max_iter=500, weight_decay=1 / len(x))

        def closure() -> float:
            loss = model(x, y)
            model.backward()
            return loss

        found[:] = [optimizer.step(closure)]

    return Contestant(run, lambda: [np.array(found)])


def sklearn_optimum() -> Contestant:
    from sklearn.linear_model import LogisticRegression

    x, y = minnet.load_digits()
    model = LogisticRegression(max_iter=1000, tol=1e-6)

    def run() -> None:
        model.fit(x.astype(np.float64), y)

    def objective() -> list[Array]:
        p = model.predict_proba(x.astype(np.float64))
        return [np.array([-np.log(p[np.arange(len(y)), y]).mean() + (model.coef_**2).sum() / 2 / len(x)])]

    return Contestant(run, objective)
