"""What a wrong gradient is in place of the right one, where that shows: a multiple of it, its transpose, a part."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..errors import LayerCheckError
from .differences import Differences
from .trial import Trial

CLOSE = 1e-4  # relative to the largest entry; differences are exact to 1e-6 or so


@dataclass(frozen=True)
class Wrong:
    """A wrong gradient: that by backward, and that by differences, NaN in entries that were not sampled."""

    name: str
    array: Array
    gradient: Array
    numeric: Array

    def is_like(self, gradient: Array) -> bool:
        """Whether another gradient is the right one, as far as differences show it."""
        sampled = np.isfinite(self.numeric)
        return gradient.shape == self.numeric.shape and _close(gradient[sampled], self.numeric[sampled])


def explanation(trial: Trial, wrong: Wrong, others: list[Wrong], f: Callable[[], Any]) -> str:
    """How a gradient differs from the right one, as a phrase; "" if in no way that is known.

    others: all that are wrong.  f: the forward that the differences were taken of, of the layer that holds the array.
    """
    explanations = (
        _as_a_multiple(trial, wrong),
        _as_a_transpose(wrong),
        _as_another(wrong, others),
        _as_a_part(trial, wrong, f),
        _as_of_a_transpose(trial, wrong),
    )
    return next(filter(None, (phrase for found in explanations for phrase in found)), "")


def _as_a_multiple(trial: Trial, wrong: Wrong) -> Iterator[str]:
    """0, the negative, or another multiple, with the sizes that it may come from."""
    sampled = np.isfinite(wrong.numeric)
    right, got = wrong.numeric[sampled], wrong.gradient[sampled]
    if not right.any():
        return
    factor = float((got * right).sum() / (right * right).sum())
    if not got.any():
        yield "it is 0 everywhere: is it left out?"
    elif _close(got, -right):
        yield "its sign is wrong everywhere"
    elif _close(got, factor * right, 1e-2 * min(abs(factor - 1), 1)):
        times = max(abs(factor), 1 / abs(factor))
        digits = f"{times:#.3g}" if times > 1.01 else f"{times:.9g}"
        amount = f"{'-' * (factor < 0)}{digits} times too {'large' if abs(factor) > 1 else 'small'} everywhere"
        if cause := _cause_of(trial, times, factor):
            yield f"{amount}: {cause}?"
        elif len(right) > 1:
            yield amount


def _cause_of(trial: Trial, times: float, factor: float) -> str:
    """What may have been left out of a gradient, or been applied too often, as a question; "" if no number fits."""
    x, y = trial.given[0][1], trial.y
    if not y.ndim and _close(np.array(factor * trial.dy), np.array(1.0)):
        return "is dloss left out"
    sizes = [("N", x.shape[0]), ("the features of x", x.shape[-1])] if x.ndim else []
    sizes += [("the rows of x", x[..., 0].size)] if x.ndim > 2 else []
    sizes += [("the features of y", y.shape[-1]), ("the entries of y", y.size)] if y.ndim else []
    names = [name for name, size in sizes if _close(np.array(times), np.array(float(size)))]
    return f"is it divided by {' or by '.join(names[:2])}{'' if abs(factor) > 1 else ' too often'}" if names else ""


def _as_a_transpose(wrong: Wrong) -> Iterator[str]:
    if wrong.gradient.ndim == 2 and wrong.is_like(wrong.gradient.T):
        yield "it is the transpose of the right one"


def _as_another(wrong: Wrong, others: list[Wrong]) -> Iterator[str]:
    for other in others:
        if other is not wrong and wrong.is_like(other.gradient) and other.is_like(wrong.gradient):
            yield f"it is swapped with that of {other.name}"


def _as_a_part(trial: Trial, wrong: Wrong, f: Callable[[], Any]) -> Iterator[str]:
    """That of a part of y alone, of its first row for example."""
    if wrong.name in trial.differentiated or not wrong.gradient.any():
        return
    for axis in range(trial.y.ndim - 1):
        for place in (0, -1):
            part: tuple[Any, ...] = (*[slice(None)] * axis, place)
            dy = np.zeros_like(trial.y)
            dy[part] = trial.dy[part]
            rng = copy.deepcopy(trial.rng)
            if not Differences(f, dy, rng).compare(wrong.array, wrong.gradient).complaint:
                yield f"it is that of y[{', '.join([':'] * axis + [str(place)])}] alone: is a sum missing?"


def _as_of_a_transpose(trial: Trial, wrong: Wrong) -> Iterator[str]:
    """The right one if backward is given the transpose of a square parameter."""
    for name, parameter in trial.layer.named_parameters().items():
        if parameter.data.ndim == 2 and parameter.data.shape[0] == parameter.data.shape[1]:
            layer = trial.copy()
            layer(*trial.inputs)
            parameter = layer.named_parameters()[name]
            parameter.data[...] = parameter.data.T.copy()
            with contextlib.suppress(LayerCheckError):
                gradients = trial.backward(layer, copy.deepcopy(trial.dy))
                if wrong.is_like(gradients[wrong.name]):
                    yield f"it would be right with the transpose of {name}"


def _close(got: Array, right: Array, tolerance: float = CLOSE) -> bool:
    return bool((abs(got - right) <= tolerance * np.max(abs(right), initial=0)).all())
