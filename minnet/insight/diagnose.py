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
from ..layer import Layer, one_line
from .arrays import is_float_array, norm, rms
from .experiments import STEPS, learn_by_heart, loss_of_equal_scores, wrong_gradient
from .observation import Observation, Watch, first_not_finite
from .table import table

SAMPLES = 32  # that a model should be able to learn by heart
LARGE = 10.0  # a root mean square, or its growth from a layer's input to its output; about 1 is normal
VANISHED = 1e-3  # of the norm of a gradient, from the last layer to the first; it has exploded above 1 / VANISHED
HIGH_LOSS = 1.5  # times the loss of a guess
MANY_DEAD = 0.5  # of the units of a layer
TOO_SMALL, RIGHT, TOO_LARGE = 1e-6, 1e-2, 0.3  # change of a parameter by one step, relative to its size
ADVICE = "he_normal weights, normalize between the layers, or take fewer"  # against a gradient that vanishes


@dataclass(frozen=True)
class LayerDiagnosis:
    """A row of the report; None is for what does not apply.

    mean, spread: of the layer's output; a spread is a standard deviation.
    dead: of a layer such as ReLU, the fraction of units whose output it makes 0 for every sample.
    gradient_mean, gradient_spread: of the gradient with respect to its output.
    updates: lr ‖dW‖ / ‖W‖ of each of its parameters.
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
            numbers = [row.mean, row.spread, row.dead, row.gradient_mean, row.gradient_spread]
            updates = [f"{name} {_rounded(ratio)}" for name, ratio in row.updates.items()]
            rows.append((row.name, *map(_rounded, numbers), "  ".join(updates)))
        facts = [f"the loss is {self.loss:.4g}"]
        if self.chance:
            facts.append(f"{self.chance[0]} would be {self.chance[1]:.4g}")
        if self.overfit:
            facts.append("training on a few samples takes theirs from {:.4g} to {:.4g}".format(*self.overfit))
        findings = [f"- {finding}" for finding in self.findings] or ["No findings."]
        return "\n".join([f"{self.model}: {', '.join(facts)}", *table(rows), *findings])

    __repr__ = __str__


def diagnose(model: Layer, x: ArrayLike, y: ArrayLike, lr: float = 0.01) -> Diagnosis:
    """What stands in the way of training a model, as far as one batch shows it.

    model: called as model(x, y) for the loss, as in fit.  x, y: a batch, of some dozens of samples or more.
    lr: the learning rate, for the size of updates by a plain gradient step.

    It looks for: values that are not finite; samples or targets that are all alike; scores that can't be negative;
    inputs and activations that are too large; an initial loss above that of a guess; units that are 0 for every
    sample; gradients that vanish or explode; a learning rate that is far off; and whether the model can learn up to 32
    of the samples by heart. If it can't, its gradients are compared with differences of the loss; at a kink of the
    loss (ReLU at 0, tied maxima), also a little off it.
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
        observation = Observation(model, x, y)
        loss = observation.forward()
        observation.backward()
        called = observation.called
        rows = [_row(watch, lr) for watch in called if is_float_array(watch.y)]
        equal_scores = loss_of_equal_scores(model, observation)
        chance = _chance(called, y, equal_scores)
        nonfinite, finding = first_not_finite(observation, loss) or (None, "")
        if nonfinite:
            return Diagnosis(one_line(model), loss, chance, None, nonfinite, rows, [finding])
        dead = {row.name: row.dead for row in rows if row.dead is not None and row.dead > MANY_DEAD}
        alike = list(_about_sameness(x))
        findings = [*alike, *_about_targets(called, y), *_about_sizes(called, x, loss, chance)]
        if not alike:  # otherwise the rest would follow from it
            learned = loss < (chance[1] if chance else equal_scores or 0.0) / 2
            findings += [*_about_dead_units(dead), *_about_gradients(called, dead)]
            findings += _about_updates(called, lr, learned)
        overfit, finding = _by_heart(model, x, y, equal_scores, others=bool(findings))
    return Diagnosis(one_line(model), loss, chance, overfit, None, rows, findings + [finding] * bool(finding))


def _row(watch: Watch, lr: float) -> LayerDiagnosis:
    updates = {name: None if ratio is None else lr * ratio for name, ratio in _relative_gradients(watch).items()}
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


def _relative_gradients(watch: Watch) -> dict[str, float | None]:
    """‖dW‖ / ‖W‖ of each parameter, None for one of zeros."""
    return {name: norm(p.grad) / norm(p.data) if p.data.any() else None for name, p in watch.own.items()}


def _chance(called: list[Watch], y: Array, equal_scores: float | None) -> tuple[str, float] | None:
    """The loss of a guess, with a name for it: that of equal scores if it is known, which is often ln C."""
    classifying = [watch for watch in called if watch.layer.count_correct() is not None and is_float_array(watch.x)]
    if classifying:
        classes = classifying[-1].x.shape[-1]
    elif any(watch.layer.is_loss for watch in called) or y.dtype.kind not in "iu" or y.min() < 0:
        return None
    else:
        classes, equal_scores = int(y.max()) + 1, None
    if classes > 1 and (equal_scores is None or not 0 < equal_scores < math.inf):
        equal_scores = math.log(classes)
    for C in (classes, 2):
        if equal_scores and math.isclose(equal_scores, math.log(C), rel_tol=1e-6):
            return f"ln {C}", math.log(C)
    return ("that of equal scores", equal_scores) if equal_scores else None


def _about_sameness(x: Array) -> Iterator[str]:
    """Samples that are all the same."""
    if len(x) > 1 and (x == x[:1]).all():
        values = f", all {x.flat[0]:g}" if x.size and (x == x.flat[0]).all() else ""
        yield (
            f"all {len(x)} samples of x are the same{values}: nothing tells them apart, so one answer for all is what "
            "can be learned; look at how x is loaded and scaled"
        )


def _about_targets(called: list[Watch], y: Array) -> Iterator[str]:
    """Targets that are all the same, and scores that can't be negative."""
    if len(y) > 1 and (y == y[:1]).all():
        yield f"all {len(y)} targets in y are the same: any model learns to give that; look at how y is loaded"
    for before, after in pairwise(called):
        cuts = not before.own and is_float_array(before.x) and np.any(before.x < 0) and np.all(before.y >= 0)
        if cuts and after.layer.takes_scores:
            yield f"{before.title} leaves no score below 0 to {after.title}, so none can become unlikely; leave it out"


def _about_sizes(called: list[Watch], x: Array, loss: float, chance: tuple[str, float] | None) -> Iterator[str]:
    """Inputs, activations and an initial loss that are too large."""
    causes = []
    if is_float_array(x) and rms(x) > LARGE:
        causes.append("x")
        yield f"the size of x is {rms(x):.3g} (root mean square), 1 would be right; scale or standardize it"
    for watch in called:
        before, after = (rms(array) if is_float_array(array) else 1.0 for array in (watch.x, watch.y))
        if after > LARGE * max(before, 1.0):
            causes.append(watch.title)
            yield (
                f"{watch.title} makes values of size {after:.3g} of values of size {before:.3g} (root mean square); "
                + ("scale its initial weights or biases down, or use he_normal" if watch.own else "look at its forward")
            )
    if chance and loss > HIGH_LOSS * chance[1]:
        trained = [watch.title for watch in called if watch.own and is_float_array(watch.y)]
        yield (
            f"the initial loss is {loss:.3g}, {chance[0]} would be {chance[1]:.3g}: the first scores are too large; "
            + (f"see {causes[0]} above" if causes else f"scale down the initial weights of {(trained or ['x'])[-1]}")
        )


def _about_dead_units(dead: dict[str, float]) -> Iterator[str]:
    for name, fraction in dead.items():
        yield (
            f"{name}: {fraction:.0%} of its units are dead, 0 for every sample; look at the sign and size of weights "
            "and biases before it, lower the learning rate if it has been trained, or try LeakyReLU"
        )


def _about_gradients(called: list[Watch], dead: dict[str, float]) -> Iterator[str]:
    """A gradient that vanishes or explodes on its way to the first parameters, unless it is lost in dead units."""
    reached = [watch for watch in called if is_float_array(watch.y) and is_float_array(watch.dy)]
    path = reached[next((i for i, watch in enumerate(reached) if watch.own), len(reached)) :]
    gains = [
        (norm(watch.dx) / norm(watch.dy), watch.title, is_float_array(watch.x) and not watch.x.any())
        for watch in path[1:]
        if is_float_array(watch.dx) and watch.dy.any()
    ]
    if not gains:
        return
    first, last = norm(path[0].dy), norm(path[-1].dy)
    sizes = f"its norm is {last:.2g} at {path[-1].title} and {first:.2g} at {path[0].title}"
    gain, title, zero_input = min(gains)
    if first < VANISHED * last and title not in dead:
        activation = "" if any("ReLU(" in watch.title for watch in called) else "ReLU and "
        yield (
            f"the gradient vanishes on its way back: {sizes}; most is lost in {title}, which passes {gain:.2g} of it; "
            + ("it is given nothing but 0: start from random weights" if zero_input else f"use {activation}{ADVICE}")
        )
    gain, title, _ = max(gains)
    if first > last / VANISHED:
        yield (
            f"the gradient explodes on its way back: {sizes}; most is added in {title}, which passes {gain:.2g} times "
            "as much; scale initial weights down, or set clip_norm"
        )


def _about_updates(called: list[Watch], lr: float, learned: bool) -> Iterator[str]:
    """A learning rate that is far off, judged by parameters with weight decay, and parameters without a gradient."""
    ratios = {}
    for watch in called:
        for name, ratio in _relative_gradients(watch).items():
            if ratio and watch.own[name].decay:
                ratios[f"{name} of {watch.title}"] = ratio
            if ratio == 0 and is_float_array(watch.dy) and watch.dy.any() and np.any(watch.x):
                yield f"{name} of {watch.title} gets no gradient, though the layer does; see its backward"
    if not ratios:
        return
    name = max(ratios, key=lambda name: ratios[name])
    change, better = lr * ratios[name], f"a learning rate of about {RIGHT / ratios[name]:.0e}"
    if change > TOO_LARGE:
        yield f"a step with lr = {lr:g} changes {name} by {change:.2g} of its size, the most of all; try {better}"
    elif change < TOO_SMALL and not learned:
        yield f"a step with lr = {lr:g} changes {name} by only {change:.1g} of its size, the most of all; try {better}"


def _by_heart(
    model: Layer, x: Array, y: Array, equal_scores: float | None, others: bool
) -> tuple[tuple[float, float] | None, str]:
    """The loss of some samples before and after training on them, and a sentence if it stays high."""
    if not model.parameters():
        return None, "the model has no parameters, there is nothing to train"
    rows = np.unique(np.linspace(0, len(x) - 1, SAMPLES).astype(int))
    before, after = learn_by_heart(model, x[rows], y[rows])
    if after <= before / 2 or (equal_scores is not None and after < equal_scores / 10):
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


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
