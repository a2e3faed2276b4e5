"""The loop: fit, evaluate, predict. Layers differentiate and optimizers update; when, is decided here."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike
from tqdm import tqdm

from .layer import Layer, label
from .optimizers import Optimizer

Data = Iterable[tuple[Array, Array]]


class History(dict[str, list[float]]):
    """What a training run recorded: a dict of plain lists with an entry for each epoch.

    loss: the mean over the epoch's batches, each as it was before its update.
    accuracy: the share, from 0 to 1, that those batches' predictions had right; for a model that classifies.
    val_loss, val_accuracy: the same of the validation data after the epoch; with validation data.
    seconds: how long the epoch took, validation included.
    """

    def record(self, **values: float) -> None:
        for name, value in values.items():
            self.setdefault(name, []).append(value)


def fit(
    model: Layer,
    optimizer: Optimizer,
    train: Data,
    epochs: int,
    validation: Data | None = None,
    *,
    progress: bool = True,
    history: History | None = None,
) -> History:
    """Train a model, and show a bar with loss and accuracy where there is a terminal.

    model: called as model(x, y) for the loss, a float; a Sequential that ends in a loss, or a layer of your own.
    optimizer: of the model's parameters.
    train, validation: a Batches, or another iterable of (x, y) that can be walked again.
    epochs: how often train is walked.  progress: False to show no bar.
    history: what to append to, so that it's there after an interruption too; a new History by default.

    Returns the history. Puts every layer back into the mode it found and leaves no cache or gradient behind, also when
    it ends by an exception, such as KeyboardInterrupt.
    Raises FloatingPointError when the loss of a batch is not finite, before that batch changes a parameter; TypeError
    and ValueError for arguments that don't fit, before anything is changed.
    """
    _check_arguments(model, optimizer, train, epochs, validation)
    history = History() if history is None else history
    loss = math.nan
    with _mode(model, training=True), tqdm(range(epochs), unit="epoch", disable=None if progress else True) as bar:
        model.zero_grad()
        try:
            for epoch in bar:
                start = time.perf_counter()
                results, loss = _train_epoch(model, optimizer, train, epoch + 1, loss)
                if validation is not None:
                    results |= {f"val_{name}": value for name, value in evaluate(model, validation).items()}
                history.record(**results, seconds=time.perf_counter() - start)
                bar.set_postfix({name: f"{value:.4f}" for name, value in results.items()})
        finally:
            model.zero_grad()
    return history


def evaluate(model: Layer, data: Data) -> dict[str, float]:
    """The loss of a model on data in evaluation mode, and its accuracy, from 0 to 1, if it classifies.

    data: a Batches, or another iterable of (x, y). Both figures are means over the samples, whatever the batches.
    Returns {"loss": …, "accuracy": …}. Leaves modes as they were, and no cache.
    Raises TypeError for data that are not batches, ValueError for none at all.
    """
    _check_data("evaluate", "data", data)
    total, rows, tally = 0.0, 0, _Tally()
    with _mode(model, training=False):
        for x, y in data:
            total += _loss(model, x, y) * len(x)
            rows += len(x)
            tally.add(model)
    if not rows:
        raise ValueError("evaluate: expected data with at least one sample, got none")
    return {"loss": total / rows} | tally.accuracy()


def predict(model: Layer, x: ArrayLike, batch_size: int = 256) -> Array:
    """What a model gives for x in evaluation mode, computed batch by batch.

    Shapes      x (N, ...)   result (N, ...): for a classifier that ends in its loss, the probabilities (N, C)

    batch_size: how many rows of x at a time. Leaves modes as they were, and no cache.
    Raises ValueError for x without a batch axis or a batch_size below 1.
    """
    x = np.asarray(x)
    if x.ndim == 0:
        raise ValueError("predict: expected x of shape (N, ...), got a single number")
    if batch_size < 1:
        raise ValueError(f"predict: expected batch_size to be at least 1, got {batch_size}")
    with _mode(model, training=False):
        y = model(x[:batch_size])
        result = np.empty((len(x), *y.shape[1:]), y.dtype)
        result[:batch_size] = y
        for i in range(batch_size, len(x), batch_size):
            result[i : i + batch_size] = model(x[i : i + batch_size])
    return result


class _Tally:
    """How many predictions were right, of how many, over several batches."""

    def __init__(self) -> None:
        self.right = self.counted = 0

    def add(self, model: Layer) -> None:
        if batch := model.count_correct():
            self.right += batch[0]
            self.counted += batch[1]

    def accuracy(self) -> dict[str, float]:
        return {"accuracy": self.right / self.counted} if self.counted else {}


def _train_epoch(
    model: Layer, optimizer: Optimizer, train: Data, epoch: int, last: float
) -> tuple[dict[str, float], float]:
    """The mean loss and the accuracy over one walk through train, and the loss of its last batch."""
    total, batches, tally = 0.0, 0, _Tally()
    for x, y in train:
        batches += 1
        loss = _loss(model, x, y)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"fit: epoch {epoch}, batch {batches}: the loss is {loss}, the last finite one was {last:.6g}; "
                "look for such values in the data, lower the learning rate, or set clip_norm"
            )
        tally.add(model)
        model.backward()
        optimizer.step()
        total, last = total + loss, loss
    if not batches:
        raise ValueError("fit: expected train to have at least one batch, got none")
    return {"loss": total / batches} | tally.accuracy(), last


def _loss(model: Layer, x: Array, y: Array) -> float:
    loss = model(x, y)
    if not isinstance(loss, (float, np.floating)):
        raise TypeError(f"{label(model)}: expected model(x, y) to be the loss, a float, got {type(loss).__name__}")
    return float(loss)


@contextmanager
def _mode(model: Layer, training: bool) -> Iterator[None]:
    """All layers in one mode; afterwards each in the mode it had, without a cache."""
    found = [(layer, layer.training) for layer in model.walk(Layer).values()]
    model.train(training)
    try:
        yield
    finally:
        for layer, mode in found:
            layer.training = mode
        model.clear_cache()


def _check_arguments(model: Layer, optimizer: Optimizer, train: Data, epochs: int, validation: Data | None) -> None:
    if not isinstance(model, Layer):
        raise TypeError(f"fit: expected model to be a Layer, got {model!r}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: expected optimizer to be an Optimizer, got {optimizer!r}")
    own = {id(parameter) for parameter in model.parameters()}
    if not own.issuperset(id(parameter) for parameter in optimizer.parameters):
        raise ValueError(
            "fit: expected an optimizer of this model's parameters, got one that holds others; "
            "make it from model.parameters()"
        )
    for name, data in (("train", train), ("validation", validation or [])):
        _check_data("fit", name, data)
        if isinstance(data, Iterator):
            raise TypeError(
                f"fit: expected {name} to be walked every epoch, got a {type(data).__name__}, which is used up "
                "after one; make it a list"
            )
    if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)):
        raise TypeError(f"fit: expected epochs to be an int, got {epochs!r}")
    if epochs < 0:
        raise ValueError(f"fit: expected epochs to be at least 0, got {epochs}")


def _check_data(owner: str, name: str, data: Data) -> None:
    arrays = isinstance(data, Array) or (isinstance(data, tuple) and any(isinstance(part, Array) for part in data))
    if arrays or not isinstance(data, Iterable):
        raise TypeError(
            f"{owner}: expected {name} to be Batches(x, y, batch_size) or another iterable of (x, y), "
            f"got {type(data).__name__}"
        )
