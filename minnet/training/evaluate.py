"""How good a model is: its loss on data, its accuracy, and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer, one_line
from .inputs import Data, Metrics, check_batch, check_batches, check_metrics, check_model
from .modes import in_mode


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
    """The work of evaluate, and of the validation in fit; errors name the caller `owner` and the data `name`."""
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
        y_true, y_pred = _concatenated(owner, "targets", targets), _concatenated(owner, "predictions", predictions)
        results |= {name: _metric_value(owner, name, metric, y_true, y_pred) for name, metric in metrics.items()}
    return results


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
    """model(x, y) as a float. Raises TypeError if it is none."""
    loss = model(*batch)
    if type(loss) is float:
        return loss
    if not isinstance(loss, (float, np.floating)):
        raise TypeError(f"{one_line(model)}: expected model(x, y) to be the loss, a float, got {type(loss).__name__}")
    return float(loss)


def _concatenated(owner: str, what: str, arrays: list[Array]) -> Array:
    """The arrays of all batches in one."""
    for array in arrays:
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{owner}: expected {what} of one shape in all batches, to measure metrics on, got {arrays[0].shape} "
                f"and {array.shape}"
            )
    return np.concatenate(arrays)


def _metric_value(owner: str, name: str, metric: Callable[[Array, Array], Any], y_true: Array, y_pred: Array) -> float:
    """The value of a metric as a float. Raises TypeError if it is not a number."""
    try:
        value = metric(y_true, y_pred)
    except Exception as error:
        error.add_note(f"{owner}: this was in the metric {name}")
        raise
    if isinstance(value, (str, bytes)) or np.ndim(value) or not hasattr(value, "__float__"):
        raise TypeError(f"{owner}: expected the metric {name} to give a number, got {type(value).__name__}")
    return float(value)
