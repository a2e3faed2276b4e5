"""The loop: fit, evaluate, predict. Layers differentiate and optimizers update; when, is decided here."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike
from tqdm import tqdm

from .arguments import whole_number
from .layer import Layer, label
from .layers.containers import Sequential
from .optimizer import Optimizer

Data = Iterable[tuple[Array, ...]]


class History(dict[str, list[float]]):
    """What a training run recorded: a dict of plain lists with an entry for each epoch.

    loss: the mean over the epoch's batches, each as it was before its update.
    accuracy: the share, from 0 to 1, that those batches' predictions had right; for a model that classifies.
    val_loss, val_accuracy: the same of the validation data after the epoch; with validation data.
    seconds: how long the epoch took, validation included.
    """

    def record(self, **values: float) -> None:
        """Append the figures of an epoch."""
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
    train, validation: a Batches, or another iterable of (x, y), or of (x, y, sample_weight), that can be walked again.
    epochs: how often train is walked.  progress: False to show no bar.
    history: what to append to, so that it's there after an interruption too; a new History by default.

    Returns the history. All layers train, whatever mode they were in; each is put back into that mode afterwards, and
    no cache or gradient is left behind, also when it ends by an exception, such as KeyboardInterrupt.
    Raises FloatingPointError when the loss of a batch is not finite, before that batch changes a parameter; TypeError
    and ValueError for arguments that don't fit, before anything is changed, and what the model raises on a batch.
    """
    history = History() if history is None else history
    _check_arguments(model, optimizer, train, epochs, validation, history)
    loss = None
    with _mode(model, training=True), tqdm(range(epochs), unit="epoch", disable=None if progress else True) as bar:
        model.zero_grad()
        try:
            for epoch in bar:
                start = time.perf_counter()
                results, loss = _train_epoch(model, optimizer, train, epoch + 1, loss)
                if validation is not None:
                    results |= {f"val_{name}": value for name, value in evaluate(model, validation).items()}
                history.record(**results, seconds=time.perf_counter() - start)
                bar.set_postfix({name: f"{value:.4f}" for name, value in results.items()}, refresh=False)
        finally:
            model.zero_grad()
    return history


def evaluate(model: Layer, data: Data) -> dict[str, float]:
    """The loss of a model on data in evaluation mode, and its accuracy, from 0 to 1, if it classifies.

    data: a Batches, or another iterable of (x, y) or (x, y, sample_weight). Both figures are means over all samples,
    each with its effective weight, however they are parted into batches.
    Returns {"loss": …, "accuracy": …}. Leaves modes as they were, and no cache.
    Raises TypeError for data that are not batches, ValueError for none at all.
    """
    _check_model("evaluate", model)
    _check_batches("evaluate", "data", data)
    total, weight, tally, batches = 0.0, 0.0, _Tally(), 0
    with _mode(model, training=False):
        for x, y, *weights in data:
            loss, batches = _loss(model, x, y, *weights), batches + 1
            share = model.total_weight()
            share = len(x) if share is None else share
            total, weight = total + share * loss, weight + share
            tally.add(model.count_correct())
    if not batches:
        raise ValueError("evaluate: expected data to have at least one batch, got none")
    return {"loss": total / weight if weight else 0.0} | tally.accuracy()


def predict(model: Layer, x: ArrayLike, batch_size: int = 256) -> Array:
    """What a model gives for x in evaluation mode, computed batch by batch.

    Shapes      x (N, ...)   result (N, ...): for a classifier that ends in its loss, the probabilities (N, C)

    batch_size: how many rows of x at a time. Leaves modes as they were, and no cache.
    Raises ValueError for x without a batch axis or a batch_size below 1.
    """
    _check_model("predict", model)
    batch_size = whole_number("predict", "batch_size", batch_size, least=1)
    x = np.asarray(x)
    if x.ndim == 0:
        raise ValueError("predict: expected x of shape (N, ...), got a single number")
    with _mode(model, training=False):
        rows = x[:batch_size]
        y = model(rows)
        if np.shape(y)[:1] != rows.shape[:1]:
            raise ValueError(
                f"predict: expected an output for each of the {len(rows)} rows of x, got shape {np.shape(y)}; "
                "a single sample is a batch of one, x[None]"
            )
        result = np.empty((len(x), *y.shape[1:]), y.dtype)
        result[:batch_size] = y
        for i in range(batch_size, len(x), batch_size):
            result[i : i + batch_size] = model(x[i : i + batch_size])
    return result


class _Tally:
    """How many predictions were right, of how many, over several batches."""

    def __init__(self) -> None:
        self.right = self.counted = 0

    def add(self, batch: tuple[int, int] | None) -> None:
        if batch:
            self.right += batch[0]
            self.counted += batch[1]

    def accuracy(self) -> dict[str, float]:
        return {"accuracy": self.right / self.counted} if self.counted else {}


def _train_epoch(
    model: Layer, optimizer: Optimizer, train: Data, epoch: int, last: float | None
) -> tuple[dict[str, float], float | None]:
    """The mean loss and the accuracy over one walk through train, and the loss of its last batch."""
    total, batches, tally = 0.0, 0, _Tally()
    for x, y, *weights in train:
        batches += 1
        try:
            loss = _loss(model, x, y, *weights)
        except Exception as error:
            error.add_note(f"fit: this was in epoch {epoch}, batch {batches}")
            raise
        if not math.isfinite(loss):
            before = "" if last is None else f", the last finite one was {last:.6g}"
            raise FloatingPointError(
                f"fit: epoch {epoch}, batch {batches}: the loss is {loss}{before}; "
                "look for such values in the data, lower the learning rate, or set clip_norm"
            )
        tally.add(model.count_correct())
        model.backward()
        optimizer.step()
        total, last = total + loss, loss
    if not batches:
        raise ValueError("fit: expected train to have at least one batch, got none")
    return {"loss": total / batches} | tally.accuracy(), last


def _loss(model: Layer, *batch: Array) -> float:
    loss = model(*batch)
    if type(loss) is float:
        return loss
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


def _check_arguments(
    model: Layer, optimizer: Optimizer, train: Data, epochs: int, validation: Data | None, history: History
) -> None:
    """All that fit can refuse before anything changes."""
    _check_model("fit", model)
    _check_optimizer(model, optimizer)
    _check_batches("fit", "train", train, again=True)
    if validation is not None:
        _check_batches("fit", "validation", validation, again=True)
    whole_number("fit", "epochs", epochs, least=0)
    if not isinstance(history, History):
        raise TypeError(f"fit: expected history to be a History, got {history!r}")


def _check_model(owner: str, model: Layer) -> None:
    if not isinstance(model, Layer):
        raise TypeError(f"{owner}: expected model to be a Layer, got {model!r}")
    if owner != "predict" and isinstance(model, Sequential) and not model.is_loss:
        raise ValueError(
            f"{owner}: expected a model that ends in a loss, got {label(model[-1]) if model else None} at the end; "
            "add SoftmaxCrossEntropy(), for example"
        )


def _check_optimizer(model: Layer, optimizer: Optimizer) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: expected optimizer to be an Optimizer, got {optimizer!r}")
    if inspect.signature(optimizer.step).parameters:
        raise TypeError(
            f"fit: expected an optimizer whose step takes nothing, got {optimizer.name}; call its step yourself"
        )
    own = {id(parameter) for parameter in model.parameters()}
    if not own.issuperset(id(parameter) for parameter in optimizer.parameters):
        raise ValueError(
            "fit: expected an optimizer of this model's parameters, got one that holds others; "
            "make it from model.parameters()"
        )


def _check_batches(owner: str, name: str, data: Data, again: bool = False) -> None:
    """That data are batches; and can be walked again, where they must be."""
    expected = f"{owner}: expected {name} to be Batches(x, y, batch_size) or another iterable of (x, y)"
    if isinstance(data, Array) or not isinstance(data, Iterable):
        raise TypeError(f"{expected}, got {type(data).__name__}")
    if isinstance(data, Sequence):
        if not data:
            raise ValueError(f"{expected}, got an empty {type(data).__name__}")
        if not isinstance(data[0], (list, tuple)):
            raise TypeError(f"{expected}, got a {type(data).__name__} of {type(data[0]).__name__}")
    if again and isinstance(data, Iterator):
        raise TypeError(
            f"{expected} that can be walked every epoch, got a {type(data).__name__}, which is used up after one; "
            "make it a list"
        )
