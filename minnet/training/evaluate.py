"""How good a model is: its loss on data, its accuracy, and metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..layer import Layer
from ..layers.containers import Sequential
from ..naming import one_line
from .inputs import Data, Metrics, batched, check_batch, check_batches, check_metrics, check_model, prediction
from .modes import in_mode
from .tally import Judge, Tally


def evaluate(model: Layer, data: Data, metrics: Metrics | None = None) -> dict[str, float]:
    """The loss of a model on data in evaluation mode, its accuracy, from 0 to 1, if it classifies, and metrics.

    data: a Batches, another iterable of (x, y) or (x, y, sample_weight), or a tuple of such arrays; x may be a tuple of
    arrays. Loss and accuracy are means over all samples, however they are parted into batches: the loss by its
    effective weights, the accuracy by the sample weights of targets that are not ignored; class weights don't count in
    it, as in scikit-learn. A model of your own is weighed by the one loss in it, which it calls once a batch; by rows
    if there is none or several, unless it has total_weight() and count_correct() of its own, as Loss describes them.
    metrics: functions metric(y_true, y_pred) by name; each is given all targets and all predictions at once, and all
    sample weights as sample_weight if it takes one and the data have them. They see the padding of sequences too, which
    the loss and the accuracy of Padded leave out, unless these weights are 0 there.
    Returns {"loss": …, "accuracy": …, …}. Leaves modes as they were, and no cache: no other thread may train the
    model meanwhile.
    Raises TypeError for data that are not batches or metrics that give no number, ValueError for no data at all.
    """
    check_model("evaluate", model)
    data = batched("evaluate", "data", data, model)
    check_batches("evaluate", "data", data)
    check_metrics("evaluate", metrics := metrics or {})
    return measure("evaluate", "data", model, data, metrics)


def measure(owner: str, name: str, model: Layer, data: Data, metrics: Metrics) -> dict[str, float]:
    """The work of evaluate, and of the validation in fit; errors name the caller `owner` and the data `name`."""
    total, weight, batches, tally, judge = 0.0, 0.0, 0, Tally(), Judge(model)
    run = _both(owner, model) if metrics else None
    kept: list[tuple[Array, Array, Array | None]] = []
    with in_mode(model, training=False):
        for batches, batch in enumerate(data, 1):
            check_batch(f"{owner}: batch {batches} of {name}", batch)
            judge.before_batch()
            if run is None:
                loss = loss_of(model, *batch)
            else:
                predicted, loss = run(*batch)
                kept.append((np.array(batch[1]), predicted, np.array(batch[2]) if len(batch) > 2 else None))
            share = judge.weight(len(batch[1]))
            total, weight = total + share * loss, weight + share
            tally.add(judge.correct())
        if not batches:
            raise ValueError(f"{owner}: expected {name} to have at least one batch, got none")
    results = {"loss": total / weight if weight else 0.0} | tally.accuracy()
    return results | (_metric_values(owner, metrics, kept) if metrics else {})


# A Sequential runs its layers once: what they give is the input of the loss and of the prediction. A model of one's own
# is called twice, since only it knows what it makes of a call without a target. The loss comes last, since it is asked
# afterwards what it was divided by. All is copied: data and models may write each batch into the same array.
def _both(owner: str, model: Layer) -> Callable[..., tuple[Array, float]]:
    """A function of a batch that gives the prediction and its loss."""
    if type(model) is not Sequential or "forward" in vars(model):
        return lambda x, *targets: (np.array(prediction(owner, model, model(x))), loss_of(model, x, *targets))
    body, last = model[:-1], model[-1]

    def run(x: Any, *targets: Any) -> tuple[Array, float]:
        scores = body(x)
        return np.array(prediction(owner, last, last(scores))), loss_of(last, scores, *targets)

    return run


def loss_of(model: Layer, *batch: Any) -> float:
    """model(x, y) as a float. Raises TypeError if it is none."""
    return float_of(model, model(*batch))


def float_of(model: Layer, loss: Any) -> float:
    """The loss that a model gave, as a float. Raises TypeError if it is none."""
    if type(loss) is float:
        return loss
    if not isinstance(loss, (float, np.floating)):
        raise TypeError(f"{one_line(model)}: expected model(x, y) to be the loss, a float, got {type(loss).__name__}")
    return float(loss)


def _metric_values(owner: str, metrics: Metrics, kept: list[tuple[Array, Array, Array | None]]) -> dict[str, float]:
    """Each metric of all targets and predictions, and of the sample weights if it takes them."""
    targets, predictions, weights = zip(*kept)
    y_true, y_pred = _concatenated(owner, "targets", targets), _concatenated(owner, "predictions", predictions)
    weighted = any(weight is not None for weight in weights)
    filled = [np.ones(len(y)) if weight is None else weight for y, weight in zip(targets, weights)]
    sample_weight = _concatenated(owner, "sample weights", filled) if weighted else None
    return {name: _metric_value(owner, name, metric, y_true, y_pred, sample_weight) for name, metric in metrics.items()}


def _concatenated(owner: str, what: str, arrays: Sequence[Array]) -> Array:
    """The arrays of all batches in one."""
    for array in arrays:
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{owner}: expected {what} of one shape in all batches, to measure metrics on, got {arrays[0].shape} "
                f"and {array.shape}"
            )
    return np.concatenate(arrays)


def _metric_value(
    owner: str, name: str, metric: Callable[..., Any], y_true: Array, y_pred: Array, sample_weight: Array | None
) -> float:
    """The value of a metric as a float. Raises TypeError if it is not a number."""
    weights = {} if sample_weight is None or not _takes_weights(metric) else {"sample_weight": sample_weight}
    try:
        value = metric(y_true, y_pred, **weights)
    except Exception as error:
        error.add_note(f"{owner}: this was in the metric {name}")
        raise
    if isinstance(value, (str, bytes)) or np.ndim(value) or not hasattr(value, "__float__"):
        raise TypeError(f"{owner}: expected the metric {name} to give a number, got {type(value).__name__}")
    return float(value)


def _takes_weights(metric: Callable[..., Any]) -> bool:
    """Whether a metric has an argument sample_weight, as those of scikit-learn have."""
    if "sample_weight" in getattr(metric, "keywords", {}):  # a partial that has weights of its own
        return False
    try:
        return "sample_weight" in inspect.signature(metric).parameters
    except ValueError:  # of some functions that are written in C
        return False
