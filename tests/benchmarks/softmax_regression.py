"""Softmax regression with plain SGD: the same arithmetic in minnet, bare NumPy, PyTorch and JAX, from weights of zero.

A contestant is a function of a Problem. Its `run` starts from zero again, walks the epochs, and takes the mean loss
of every batch as a float, as a loop that shows it would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from harness import Race
from machine import THREADS
from numpy import ndarray as Array
from worker import Contestant

import minnet

LR = 0.1


@dataclass(frozen=True)
class Problem:
    x: Array
    y: Array
    batch_size: int
    epochs: int = 1
    shuffle: bool = False
    classes: int = 10

    def walk(self, rng: np.random.Generator, x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
        """One epoch over x and y, arrays or tensors, in slices of one gather: what a careful author would write."""
        if self.shuffle:
            order = rng.permutation(len(x))
            x, y = x[order], y[order]
        for i in range(0, len(x), self.batch_size):
            yield x[i : i + self.batch_size], y[i : i + self.batch_size]

    def zeros(self) -> tuple[Array, Array]:
        return np.zeros((self.x.shape[1], self.classes), np.float32), np.zeros(self.classes, np.float32)


def minnet_loop(problem: Problem, fit: bool = False) -> Contestant:
    model = minnet.Sequential(minnet.Linear(problem.x.shape[1], problem.classes), minnet.SoftmaxCrossEntropy())
    optimizer = minnet.SGD(model.parameters(), lr=LR)
    batches = minnet.Batches(problem.x, problem.y, problem.batch_size, shuffle=problem.shuffle, rng=0)

    def run() -> None:
        for parameter in model.parameters():
            parameter.data.fill(0)
        if fit:
            minnet.fit(model, optimizer, batches, problem.epochs, progress=False)
            return
        for _ in range(problem.epochs):
            for x, y in batches:
                model(x, y)
                model.backward()
                optimizer.step()

    return Contestant(run, lambda: [parameter.data for parameter in model.parameters()])


def softmax_gradient(z: Array, y: Array) -> float:
    """The mean cross-entropy of scores z, in whose place its gradient stands afterwards."""
    rows = np.arange(len(y))
    z -= z.max(axis=1, keepdims=True)
    right = z[rows, y]
    np.exp(z, out=z)
    total = z.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - right).mean())
    z /= total
    z[rows, y] -= 1
    z /= len(y)
    return loss


def numpy_loop(problem: Problem) -> Contestant:
    W, b = problem.zeros()
    rng = np.random.default_rng(0)

    def step(x: Array, y: Array) -> float:
        z = x @ W
        z += b
        loss = softmax_gradient(z, y)
        np.subtract(W, LR * (x.T @ z), out=W)
        np.subtract(b, LR * z.sum(axis=0), out=b)
        return loss

    return _numpy_contestant(problem, step, [W, b], rng)


def numpy_squeezed(problem: Problem) -> Contestant:
    """As fast as it was possible to write it: reductions as products, flat indices, everything known in advance."""
    W, b = problem.zeros()
    rng = np.random.default_rng(0)
    ones, column = np.ones(problem.classes, np.float32), np.ones(problem.batch_size, np.float32)
    starts = np.arange(0, problem.batch_size * problem.classes, problem.classes)

    def step(x: Array, y: Array) -> float:
        n = len(y)
        z = x.dot(W)
        z += b
        flat = z.reshape(-1)
        best = z.argmax(axis=1)
        best += starts[:n]
        z -= flat[best][:, None]
        at = y + starts[:n]
        right = flat[at]
        np.exp(z, out=z)
        total = z.dot(ones)
        loss = float(column[:n].dot(np.log(total) - right)) / n
        z *= (LR / n / total)[:, None]
        flat[at] -= LR / n
        np.subtract(W, x.T.dot(z), out=W)
        np.subtract(b, column[:n].dot(z), out=b)
        return loss

    remark = "the fastest that we could write; the distance to it is what the framework costs"
    return _numpy_contestant(problem, step, [W, b], rng, remark)


def _numpy_contestant(problem: Problem, step: Any, weights: list[Array], rng: Any, remark: str = "") -> Contestant:
    def run() -> None:
        for array in weights:
            array.fill(0)
        for _ in range(problem.epochs):
            for x, y in problem.walk(rng, problem.x, problem.y):
                step(x, y)

    return Contestant(run, lambda: weights, remark)


def torch_loop(problem: Problem, loader: bool = False) -> Contestant:
    import torch

    torch.set_num_threads(THREADS)
    data = torch.from_numpy(problem.x), torch.from_numpy(problem.y)
    model = torch.nn.Linear(problem.x.shape[1], problem.classes)
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=LR), torch.nn.CrossEntropyLoss()
    rng = np.random.default_rng(0)

    class Order:
        def __iter__(self) -> Iterator[int]:
            return iter(rng.permutation(len(problem.x)).tolist())

        def __len__(self) -> int:
            return len(problem.x)

    def walk() -> Any:
        return problem.walk(rng, *data)

    if loader:
        dataset = torch.utils.data.TensorDataset(*data)
        batches = torch.utils.data.DataLoader(dataset, problem.batch_size, sampler=Order())

        def walk() -> Any:
            return batches

    def run() -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        for _ in range(problem.epochs):
            for x, y in walk():
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                loss.item()

    return Contestant(run, lambda: [model.weight.detach().numpy().T, model.bias.detach().numpy()])


def jax_loop(problem: Problem) -> Contestant:
    import jax

    def loss_of(weights: Any, x: Any, y: Any) -> Any:
        log_p = jax.nn.log_softmax(x @ weights[0] + weights[1])
        return -log_p[jax.numpy.arange(len(y)), y].mean()

    @jax.jit
    def step(weights: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(weights, x, y)
        return loss, [w - LR * g for w, g in zip(weights, gradients)]

    rng, labels = np.random.default_rng(0), problem.y.astype(np.int32)
    state: dict[str, Any] = {}

    def run() -> None:
        weights = list(problem.zeros())
        for _ in range(problem.epochs):
            for x, y in problem.walk(rng, problem.x, labels):
                loss, weights = step(weights, x, y)
                float(loss)
        state["weights"] = jax.block_until_ready(weights)

    return Contestant(run, lambda: [np.asarray(w) for w in state["weights"]])


def sklearn_sgd(problem: Problem) -> Contestant:
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(loss="log_loss", max_iter=problem.epochs, tol=None, learning_rate="constant", eta0=0.01)
    return Contestant(
        lambda: _fitted(model, problem), remark="one class against the rest, batches of one row, compiled"
    )


def sklearn_logistic(problem: Problem) -> Contestant:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000)
    return Contestant(lambda: _fitted(model, problem), remark="L-BFGS on all rows until it converges")


def _fitted(model: Any, problem: Problem) -> None:
    model.fit(problem.x, problem.y)


LOOPS = {
    "minnet": minnet_loop,
    "NumPy": numpy_loop,
    "NumPy squeezed": numpy_squeezed,
    "PyTorch": torch_loop,
    "JAX jit": jax_loop,
}

DIGITS = {
    "minnet fit": partial(minnet_loop, fit=True),
    **LOOPS,
    "PyTorch DataLoader": partial(torch_loop, loader=True),
    "scikit-learn SGD": sklearn_sgd,
    "scikit-learn L-BFGS": sklearn_logistic,
}


def step_race(name: str, batch_size: int, features: int, steps: int, products: bool = False) -> Race:
    """One training step of (batch_size, features) → 10, over so many batches that the costs of an epoch are spread.

    products: whether its time is mostly that of matrix products, so that their rate is told.
    """
    rng = np.random.default_rng(0)
    x = rng.random((steps * batch_size, features), np.float32)
    problem = Problem(x, rng.integers(0, 10, len(x)), batch_size)
    contestants = {name: partial(loop, problem) for name, loop in LOOPS.items()}
    operations = dict.fromkeys(contestants, 2 * 2 * batch_size * features * 10) if products else {}  # forward and dW
    title = f"softmax regression, batch {batch_size} of {features} → 10, SGD"
    return Race(name, title, contestants, steps, operations=operations)


def digits_race() -> Race:
    """The bundled digits, shuffled: the batches, and so the losses, are the same for all who draw from NumPy."""
    x, y = minnet.load_digits()
    problem = Problem(x, y, batch_size=32, epochs=30, shuffle=True)
    contestants = {name: partial(loop, problem) for name, loop in DIGITS.items()}
    title = "softmax regression through `fit`, 30 epochs of the digits, batch 32"
    return Race("digits", title, contestants, unit="ms", scale=1e-3, warm_up=False)
