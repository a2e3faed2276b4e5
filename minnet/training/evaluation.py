"""A trained model at work: evaluate and predict."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import plain_array, whole_number
from ..layer import Layer, label
from .inputs import Data, Metrics, check_batch, check_batches, check_metrics, check_model


def evaluate(model: Layer, data: Data, metrics: Metrics | None = None) -> dict[str, float]:
    """The loss of a model on data in evaluation mode, its accuracy, from 0 to 1, if it classifies, and metrics.

    data: a Batches, or another iterable of (x, y) or (x, y, sample_weight). Loss and accuracy are means over all
    samples, each with its effective weight, however they are parted into batches.
    metrics: functions metric(y_true, y_pred) by name; each is given all targets and all predictions at once.
    Returns {"loss": …, "accuracy": …, …}. Leaves modes as they were, and no cache.
    Raises TypeError for data that are not batches or metrics that give no number, ValueError for no data at all.
    """
    check_model("evaluate", model)
    check_batches("evaluate", "data", data)
    check_metrics("evaluate", metrics := metrics or {})
    return measure("evaluate", "data", model, data, metrics)


def measure(owner: str, name: str, model: Layer, data: Data, metrics: Metrics) -> dict[str, float]:
    """What evaluate returns, in the name of its caller."""
    total, weight, batches, tally = 0.0, 0.0, 0, Tally()
    targets, predictions = [], []
    with in_mode(model, training=False):
        for batches, batch in enumerate(data, 1):
            check_batch(f"{owner}: batch {batches} of {name}", batch)
            loss = loss_of(model, *batch)
            share = model.total_weight()
            share = len(batch[0]) if share is None else share
            total, weight = total + share * loss, weight + share
            tally.add(model.count_correct())
            if metrics:
                targets.append(np.asarray(batch[1]))
                predictions.append(np.asarray(model(batch[0])))
        if not batches:
            raise ValueError(f"{owner}: expected {name} to have at least one batch, got none")
    results = {"loss": total / weight if weight else 0.0} | tally.accuracy()
    if metrics:
        y_true, y_pred = _together(owner, "targets", targets), _together(owner, "predictions", predictions)
        results |= {name: _value(owner, name, metric, y_true, y_pred) for name, metric in metrics.items()}
    return results


def predict(model: Layer, x: ArrayLike, batch_size: int = 256) -> Array:
    """What a model gives for x in evaluation mode, computed batch by batch.

    Shapes      x (N, ...)   result (N, ...): for a classifier that ends in its loss, the probabilities (N, C)

    batch_size: how many rows of x at a time, which bounds the memory that it takes.
    It works on layers of its own with the model's parameters and buffers: the model's modes and caches are not touched,
    and several threads may predict with one model at once, unless a layer's forward writes into an array that it keeps.
    Raises ValueError for x without a batch axis or a batch_size below 1.
    """
    check_model("predict", model, is_loss=False)
    batch_size = whole_number("predict", "batch_size", batch_size, least=1)
    x = plain_array("predict", "x", x)
    if x.ndim == 0:
        raise ValueError("predict: expected x of shape (N, ...), got a single number")
    model.walk(Layer)  # which refuses layers where they can't be found
    model = _double(model, {})
    for i in range(0, max(1, len(x)), batch_size):
        rows = x[i : i + batch_size]
        y = np.asarray(model(rows))
        if i == 0:
            result = np.empty((len(x), *y.shape[1:]), y.dtype)
        if y.shape != (len(rows), *result.shape[1:]):
            raise ValueError(
                f"predict: expected an output for each of the {len(rows)} rows of x, got shape {y.shape}; "
                "a single sample is a batch of one, x[None]"
            )
        result[i : i + batch_size] = y
    return result


@dataclass
class Tally:
    """How many predictions were right, of how many, over several batches."""

    right: int = 0
    counted: int = 0

    def add(self, batch: tuple[int, int] | None) -> None:
        """Count another batch, None where nothing is classified."""
        if batch:
            self.right += batch[0]
            self.counted += batch[1]

    def accuracy(self) -> dict[str, float]:
        """The share that was right, by its name; nothing if nothing was classified."""
        return {"accuracy": float(self.right / self.counted)} if self.counted else {}


def loss_of(model: Layer, *batch: Any) -> float:
    """model(x, y), once it is known to be a float."""
    loss = model(*batch)
    if type(loss) is float:
        return loss
    if not isinstance(loss, (float, np.floating)):
        raise TypeError(f"{label(model)}: expected model(x, y) to be the loss, a float, got {type(loss).__name__}")
    return float(loss)


@contextmanager
def in_mode(model: Layer, training: bool) -> Iterator[None]:
    """All layers in one mode; afterwards each in the mode it had, without a cache."""
    found = [(layer, layer.training) for layer in model.walk(Layer).values()]

    def leave() -> None:
        for layer, before in found:
            layer.training = before
        model.clear_cache()

    try:
        model.train(training)
        yield
    finally:
        surely(leave)


def surely(tidy: Callable[[], None]) -> None:
    """Do what may be done twice: from the start again if Ctrl-C comes in between."""
    try:
        tidy()
    except KeyboardInterrupt:
        tidy()
        raise


def _together(owner: str, what: str, arrays: list[Array]) -> Array:
    """Those of all batches in one array."""
    for array in arrays:
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{owner}: expected {what} of one shape in all batches, to measure metrics on, got {arrays[0].shape} "
                f"and {array.shape}"
            )
    return np.concatenate(arrays)


def _value(owner: str, name: str, metric: Callable[[Array, Array], Any], y_true: Array, y_pred: Array) -> float:
    """What a metric gives, once it is known to be a number."""
    try:
        value = metric(y_true, y_pred)
    except Exception as error:
        error.add_note(f"{owner}: this was in the metric {name}")
        raise
    if isinstance(value, (str, bytes)) or np.ndim(value) or not hasattr(value, "__float__"):
        raise TypeError(f"{owner}: expected the metric {name} to give a number, got {type(value).__name__}")
    return float(value)


def _double(value: Any, made: dict[int, Any]) -> Any:
    """A model's layers anew, in evaluation mode and without caches; what is no layer, and holds none, is shared."""
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, Layer):
        made[id(value)] = layer = copy.copy(value)
        attributes = [(name, held) for name, held in vars(layer).items() if name != "_arguments"]
        vars(layer).update({name: _double(held, made) for name, held in attributes}, training=False)
        return layer
    if isinstance(value, MethodType) and isinstance(value.__self__, Layer):
        return MethodType(value.__func__, _double(value.__self__, made))
    if not isinstance(value, (list, tuple, dict)):
        return value
    items = dict(value if isinstance(value, dict) else enumerate(value))
    changed = {key: new for key, held in items.items() if (new := _double(held, made)) is not held}
    if not changed:
        return value
    if isinstance(value, tuple):
        parts = (items | changed).values()
        return type(value)._make(parts) if hasattr(value, "_make") else type(value)(parts)
    holder = copy.copy(value)
    for key, new in changed.items():
        holder[key] = new
    return holder
