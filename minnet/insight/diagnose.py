"""diagnose: what a good teacher looks at first when a model doesn't learn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import described, number
from ..layer import Layer, label
from .observation import (
    STEPS,
    Observation,
    Watch,
    first_not_finite,
    is_real,
    learn_by_heart,
    loss_of_equal_scores,
    norm,
    rms,
    wrong_gradient,
)

SAMPLES = 32  # that a model should be able to learn by heart
LARGE = 10.0  # for activations, and for a layer to enlarge them by; where a model learns they are about 1
LOST = 1e-3  # of a gradient on its way from the last layer to the first
MISSED, MANY_DEAD = 1.5, 0.5  # times the loss of a guess; of the units of a layer
TOO_LITTLE, RIGHT, TOO_MUCH = 1e-6, 1e-2, 0.3  # for a step to change a weight by, relative to its size
ADVICE = "he_normal weights, normalize between the layers, or take fewer"  # against a gradient that vanishes


@dataclass(frozen=True)
class LayerDiagnosis:
    """A row of the report; None stands for what there is not.

    mean, spread: of what the layer gives; a spread is a standard deviation.
    dead: of a layer such as ReLU, the share of units, from 0 to 1, whose output it makes 0 for every sample.
    gradient_mean, gradient_spread: of the gradient that reaches it.  updates: lr ‖dW‖ / ‖W‖ of each of its parameters.
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

    loss: of the model as it is.  chance: what that of a guess would be, as ("ln 10", 2.3026); None where nothing is
    classified.  overfit: the loss of up to 32 samples before and after training on these alone; None if not tried.
    nonfinite: where the first value appears that is not finite; None for nowhere.
    layers: in the order in which they are called.  findings: sentences; none at all is a good sign.
    """

    model: str
    loss: float
    chance: tuple[str, float] | None
    overfit: tuple[float, float] | None
    nonfinite: str | None
    layers: list[LayerDiagnosis]
    findings: list[str]

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [
            ("layer", "mean", "spread", "dead", "gradient mean", "spread", "update / weight")
        ]
        for row in self.layers:
            figures = [row.mean, row.spread, row.dead, row.gradient_mean, row.gradient_spread]
            updates = [f"{name} {_shown(ratio)}" for name, ratio in row.updates.items()]
            rows.append((row.name, *map(_shown, figures), "  ".join(updates)))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        facts = [f"the loss is {self.loss:.4g}"]
        if self.chance:
            facts.append(f"{self.chance[0]} would be {self.chance[1]:.4g}")
        if self.overfit:
            facts.append("training on a few samples takes theirs from {:.4g} to {:.4g}".format(*self.overfit))
        findings = [f"- {finding}" for finding in self.findings] or ["No findings."]
        return "\n".join([f"{self.model}: {', '.join(facts)}", *lines, *findings])

    __repr__ = __str__


def diagnose(model: Layer, x: ArrayLike, y: ArrayLike, lr: float = 0.01) -> Diagnosis:
    """What stands in the way of training a model, as far as one batch shows it.

    model: called as model(x, y) for the loss, as in fit.  x, y: a batch, of some dozens of samples or more.
    lr: the learning rate of a plain gradient step, by which updates are reckoned.

    It looks for: values that are not finite; samples or targets that are all alike; scores that can't be negative;
    inputs and activations that are too large; an initial loss above that of a guess; units that are silent for every
    sample; gradients that vanish or explode; a learning rate that is far off; and whether the model can learn up to 32
    of the samples by heart. If it can't, its gradients are held against differences of the loss; where these have a
    kink (ReLU at 0, tied maxima), beside it.
    Everything runs on copies, in training mode, from one random state: neither the model nor a generator changes, and
    the report is always the same.
    Returns a report that prints as a table. Raises TypeError and ValueError for arguments that don't fit.
    """
    if not isinstance(model, Layer):
        raise TypeError(f"diagnose: expected model to be a Layer, got {described(model)}")
    x, y, lr = np.array(x), np.array(y), number("diagnose", "lr", lr)
    if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
        raise ValueError(
            f"diagnose: expected x and y with one row for each of some samples, got shapes {x.shape} and {y.shape}"
        )
    with np.errstate(all="ignore"):
        trial = Observation(model, x, y)
        loss = trial.forward()
        trial.backward()
        rows = [_row(watch, lr) for watch in trial.called if is_real(watch.y)]
        zero = loss_of_equal_scores(model, trial)
        chance = _chance(trial.called, y, zero)
        nonfinite, finding = first_not_finite(trial, loss) or (None, "")
        if nonfinite:
            return Diagnosis(label(model), loss, chance, None, nonfinite, rows, [finding])
        dead = {row.name: row.dead for row in rows if row.dead is not None and row.dead > MANY_DEAD}
        alike = list(_about_sameness(x))
        findings = [*alike, *_about_targets(trial.called, y), *_about_sizes(trial, loss, chance)]
        if not alike:  # of which the rest would follow
            findings += [*_about_dead_units(dead), *_about_gradients(trial.called, dead)]
            findings += _about_updates(trial.called, lr, learned=loss < (chance[1] if chance else zero or 0.0) / 2)
        overfit, finding = _by_heart(model, x, y, zero, others=bool(findings))
    return Diagnosis(label(model), loss, chance, overfit, None, rows, findings + [finding] * bool(finding))


def _row(watch: Watch, lr: float) -> LayerDiagnosis:
    updates = {name: None if ratio is None else lr * ratio for name, ratio in _relative_gradients(watch).items()}
    return LayerDiagnosis(watch.title, *_mean_and_spread(watch.y), _dead(watch), *_mean_and_spread(watch.dy), updates)


def _mean_and_spread(value: Any) -> tuple[float | None, float | None]:
    if not is_real(value):
        return None, None
    return float(value.mean(dtype=np.float64)), float(value.std(dtype=np.float64))


def _dead(watch: Watch) -> float | None:
    """The share of dead units; None for a layer that makes nothing 0, or has parameters."""
    x, y = watch.x, watch.y
    if watch.own or not is_real(x) or x.shape != y.shape or not y.ndim or not ((y == 0) & (x != 0)).any():
        return None
    silent, idle = ((a == 0).reshape(-1, a.shape[-1]).all(axis=0) for a in (y, x))
    return float((silent & ~idle).mean())


def _relative_gradients(watch: Watch) -> dict[str, float | None]:
    """‖dW‖ / ‖W‖ of each parameter, None for one of zeros."""
    return {name: norm(p.grad) / norm(p.data) if p.data.any() else None for name, p in watch.own.items()}


def _chance(called: list[Watch], y: Array, zero: float | None) -> tuple[str, float] | None:
    """The loss of a guess, with a name for it: ln C, or where equal scores give something else, that."""
    counting = [watch for watch in called if watch.layer.count_correct() is not None and is_real(watch.x)]
    if counting:
        classes = counting[-1].x.shape[-1]
    elif any(watch.layer.is_loss for watch in called) or y.dtype.kind not in "iu" or y.min() < 0:
        return None
    else:
        classes, zero = int(y.max()) + 1, None
    if classes > 1 and (zero is None or not 0 < zero < math.inf):
        zero = math.log(classes)
    for C in (classes, 2):
        if zero and math.isclose(zero, math.log(C), rel_tol=1e-6):
            return f"ln {C}", math.log(C)
    return ("that of equal scores", zero) if zero else None


def _about_sameness(x: Array) -> Iterator[str]:
    """Samples that are all alike."""
    if len(x) > 1 and (x == x[:1]).all():
        values = f", all {x.flat[0]:g}" if x.size and (x == x.flat[0]).all() else ""
        yield (
            f"all {len(x)} samples of x are the same{values}: nothing tells them apart, so one answer for all is what "
            "can be learned; look at how x is loaded and scaled"
        )


def _about_targets(called: list[Watch], y: Array) -> Iterator[str]:
    """Targets that are all alike, and scores that can't come to tell them apart."""
    if len(y) > 1 and (y == y[:1]).all():
        yield f"all {len(y)} targets in y are the same: any model learns to give that; look at how y is loaded"
    for before, after in pairwise(called):
        cuts = not before.own and is_real(before.x) and np.any(before.x < 0) and np.all(before.y >= 0)
        if cuts and after.layer.takes_scores:
            yield f"{before.title} leaves no score below 0 to {after.title}, so none can become unlikely; leave it out"


def _about_sizes(trial: Observation, loss: float, chance: tuple[str, float] | None) -> Iterator[str]:
    """Inputs and activations that are too large, and an initial loss that is."""
    causes = []
    if is_real(trial.x) and rms(trial.x) > LARGE:
        causes.append("x")
        yield f"the size of x is {rms(trial.x):.3g} (root mean square), 1 would be right; scale or standardize it"
    for watch in trial.called:
        before, after = (rms(array) if is_real(array) else 1.0 for array in (watch.x, watch.y))
        if after > LARGE * max(before, 1.0):
            causes.append(watch.title)
            yield (
                f"{watch.title} makes values of size {after:.3g} of values of size {before:.3g} (root mean square); "
                + ("scale its initial weights or biases down, or use he_normal" if watch.own else "look at its forward")
            )
    if chance and loss > MISSED * chance[1]:
        trained = [watch.title for watch in trial.called if watch.own and is_real(watch.y)]
        yield (
            f"the initial loss is {loss:.3g}, {chance[0]} would be {chance[1]:.3g}: the first scores are too large; "
            + (f"see {causes[0]} above" if causes else f"scale down the initial weights of {(trained or ['x'])[-1]}")
        )


def _about_dead_units(dead: dict[str, float]) -> Iterator[str]:
    for name, share in dead.items():
        yield (
            f"{name}: {share:.0%} of its units are dead, 0 for every sample; look at the sign and size of weights and "
            "biases before it, lower the learning rate if it has been trained, or try LeakyReLU"
        )


def _about_gradients(called: list[Watch], dead: dict[str, float]) -> Iterator[str]:
    """A gradient that vanishes or explodes on its way to the first parameters; unless dead units have been blamed."""
    reached = [watch for watch in called if is_real(watch.y) and is_real(watch.dy)]
    path = reached[next((i for i, watch in enumerate(reached) if watch.own), len(reached)) :]
    gains = [
        (norm(watch.dx) / norm(watch.dy), watch.title, is_real(watch.x) and not watch.x.any())
        for watch in path[1:]
        if is_real(watch.dx) and watch.dy.any()
    ]
    if not gains:
        return
    first, last = norm(path[0].dy), norm(path[-1].dy)
    sizes = f"its norm is {last:.2g} at {path[-1].title} and {first:.2g} at {path[0].title}"
    gain, title, idle = min(gains)
    if first < LOST * last and title not in dead:
        activation = "" if any("ReLU(" in watch.title for watch in called) else "ReLU and "
        yield (
            f"the gradient vanishes on its way back: {sizes}; most is lost in {title}, which passes {gain:.2g} of it; "
            + ("it is given nothing but 0: start from random weights" if idle else f"use {activation}{ADVICE}")
        )
    gain, title, _ = max(gains)
    if first > last / LOST:
        yield (
            f"the gradient explodes on its way back: {sizes}; most is added in {title}, which passes {gain:.2g} times "
            "as much; scale initial weights down, or set clip_norm"
        )


def _about_updates(called: list[Watch], lr: float, learned: bool) -> Iterator[str]:
    """A learning rate that is far off, as the weights that decay show it, and gradients that are not there."""
    ratios = {}
    for watch in called:
        for name, ratio in _relative_gradients(watch).items():
            if ratio and watch.own[name].decay:
                ratios[f"{name} of {watch.title}"] = ratio
            if ratio == 0 and is_real(watch.dy) and watch.dy.any() and np.any(watch.x):
                yield f"{name} of {watch.title} gets no gradient, though the layer does; see its backward"
    if not ratios:
        return
    name = max(ratios, key=lambda name: ratios[name])
    change, better = lr * ratios[name], f"a learning rate of about {RIGHT / ratios[name]:.0e}"
    if change > TOO_MUCH:
        yield f"a step with lr = {lr:g} changes {name} by {change:.2g} of its size, the most of all; try {better}"
    elif change < TOO_LITTLE and not learned:
        yield f"a step with lr = {lr:g} changes {name} by only {change:.1g} of its size, the most of all; try {better}"


def _by_heart(
    model: Layer, x: Array, y: Array, zero: float | None, others: bool
) -> tuple[tuple[float, float] | None, str]:
    """The loss of some samples before and after training on them, and a sentence if it stays."""
    if not model.parameters():
        return None, "the model has no parameters, there is nothing to train"
    rows = np.unique(np.linspace(0, len(x) - 1, SAMPLES).astype(int))
    before, after = learn_by_heart(model, x[rows], y[rows])
    if after <= before / 2 or (zero is not None and after < zero / 10):
        return (before, after), ""
    wrong = wrong_gradient(model, x[rows], y[rows])
    reason = (
        f"{wrong} is wrong, as differences of the loss show; check_layer says more of a layer"
        if wrong
        else f"its gradients fit the loss, so {'see above' if others else 'it may be too small; try more units'}"
    )
    return (before, after), (
        f"the model can't learn {len(rows)} samples by heart, {STEPS} steps took their loss from {before:.3g} to "
        f"{after:.3g}: {reason}"
    )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
