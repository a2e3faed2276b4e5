"""What diagnose reports: a row of figures for each layer, and the findings in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import is_float_array, norm
from .observation import Watch, is_trained
from .table import table


@dataclass(frozen=True)
class LayerDiagnosis:
    """A row of the report; None is for what does not apply.

    mean, spread: of the layer's output; a spread is a standard deviation.
    dead: of a layer such as ReLU, the fraction of units whose output it makes 0 for every sample.
    gradient_mean, gradient_spread: of the gradient with respect to its output.
    updates: lr ‖dW‖ / ‖W‖ of each of its parameters that are trained.
    """

    name: str
    mean: float | None
    spread: float | None
    dead: float | None
    gradient_mean: float | None
    gradient_spread: float | None
    updates: dict[str, float | None]


@dataclass(frozen=True)
class Diagnosis:
    """What diagnose found. Prints as a table with the findings below it.

    loss: of the model as it is.
    chance: the loss of a guess with a name for it, such as ("ln 10", 2.3026); None where nothing is classified.
    overfit: the loss of up to 32 samples before and after training on these alone; None if not tried.
    nonfinite: where the first value that is not finite appears; None if all are finite.
    layers: in the order in which they are called.
    findings: sentences; none at all is a good sign.
    frozen: how many parameters are frozen, and in which layers; None if none is.
    """

    model: str
    loss: float
    chance: tuple[str, float] | None
    overfit: tuple[float, float] | None
    nonfinite: str | None
    layers: list[LayerDiagnosis]
    findings: list[str]
    frozen: str | None = None

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("layer", "mean", "spread", "dead", "gradient mean", "spread", "update / weight")
        ]
        for row in self.layers:
            numbers = [row.mean, row.spread, row.dead, row.gradient_mean, row.gradient_spread]
            updates = [f"{name} {_rounded(ratio)}" for name, ratio in row.updates.items()]
            rows.append((row.name, *map(_rounded, numbers), "  ".join(updates)))
        facts = [f"the loss is {self.loss:.4g}"]
        if self.chance:
            facts.append(f"{self.chance[0]} would be {self.chance[1]:.4g}")
        if self.overfit:
            facts.append("training on a few samples takes theirs from {:.4g} to {:.4g}".format(*self.overfit))
        if self.frozen:
            facts.append(self.frozen)
        findings = [f"- {finding}" for finding in self.findings] or ["No findings."]
        return "\n".join([f"{self.model}: {', '.join(facts)}", *table(rows), *findings])

    __repr__ = __str__


def layer_diagnosis(watch: Watch, lr: float) -> LayerDiagnosis:
    """The row of a layer, with the updates of a plain gradient step."""
    updates = {name: None if ratio is None else lr * ratio for name, ratio in relative_gradients(watch).items()}
    return LayerDiagnosis(watch.title, *_mean_and_spread(watch.y), _dead(watch), *_mean_and_spread(watch.dy), updates)


def _mean_and_spread(value: Any) -> tuple[float | None, float | None]:
    if not is_float_array(value):
        return None, None
    return float(value.mean(dtype=np.float64)), float(value.std(dtype=np.float64))


def _dead(watch: Watch) -> float | None:
    """The fraction of dead units; None for a layer that makes nothing 0, or has parameters."""
    x, y = watch.x, watch.y
    if watch.own or not is_float_array(x) or x.shape != y.shape or not y.ndim or not ((y == 0) & (x != 0)).any():
        return None
    zero_output, zero_input = ((a == 0).reshape(-1, a.shape[-1]).all(axis=0) for a in (y, x))
    return float((zero_output & ~zero_input).mean())


def relative_gradients(watch: Watch) -> dict[str, float | None]:
    """‖dW‖ / ‖W‖ of each trained parameter, None for one of zeros."""
    return {
        name: norm(p.grad) / norm(p.data) if p.data.any() else None for name, p in watch.own.items() if is_trained(p)
    }


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
