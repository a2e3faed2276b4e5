"""When training goes wrong: the state before the batch that did it, and the layer where it began."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray as Array

from .layer import Buffer, Layer, Parameter
from .observation import Observation

ADVICE = "lower the learning rate, or set clip_norm"


class Guard:
    """Keeps a training from going on with values that are not finite.

    It knows what a forward pass may change in a model, its buffers and generators, as it was before a batch.
    """

    def __init__(self, model: Layer) -> None:
        self.model = model
        self.state = model.walk(Parameter, Buffer)
        self.buffers = [state for state in self.state.values() if isinstance(state, Buffer)]
        self.generators = list(model.walk(np.random.Generator).values())

    def before_batch(self) -> None:
        """Remember the present."""
        self.data = [buffer.data.copy() for buffer in self.buffers]
        self.states = [generator.bit_generator.state for generator in self.generators]

    def bring_back(self) -> None:
        """Return to what was remembered."""
        for buffer, data in zip(self.buffers, self.data):
            buffer.data = data
        for generator, state in zip(self.generators, self.states):
            generator.bit_generator.state = state

    def diverged(self, place: str, loss: float, last: float | None, batch: tuple[Any, ...]) -> FloatingPointError:
        """The error for a batch whose loss, or else its gradient, is not finite; the model is as before it again.

        The layer where that began is told by a copy of the model, which goes through the batch once more.
        last: the last finite loss.
        """
        self.bring_back()
        what = "the gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        try:
            trial = Observation(self.model, *batch)
            loss = trial.forward()
            if math.isfinite(loss):
                trial.backward()
            _, origin = first_not_finite(trial, loss) or (None, "a second time, on a copy, all was finite")
        except Exception as error:
            origin = f"a second time, on a copy, the batch gave {error!r}"
        return FloatingPointError(f"fit: {place}: {what}{_before(last)}; {origin}; {ADVICE}")

    def after_update(self, place: str, last: float | None) -> None:
        """FloatingPointError if a parameter or buffer is not finite any more."""
        for name, state in self.state.items():
            if state.data.dtype.kind == "f" and not np.isfinite(state.data).all():
                raise FloatingPointError(
                    f"fit: {place}: after the update {name} holds {_not_finite(state.data)}{_before(last)}; {ADVICE}"
                )


def without_warnings() -> np.errstate:
    """A context in which NumPy doesn't warn of what is found anyway; where it was told to raise, it still does."""
    return np.errstate(**{kind: "ignore" for kind, action in np.geterr().items() if action == "warn"})  # type: ignore


def first_not_finite(trial: Observation, loss: float) -> tuple[str, str] | None:
    """Where the first value that is not finite appears, and a sentence about it."""
    for name, array in (("x", trial.x), ("y", trial.y)):
        if bad := _not_finite(array):
            return name, f"{name} holds {bad}; clean the data, or leave such samples out"
    for watch in trial.called:
        if _not_finite(watch.y) or any(_not_finite(p.data) for p in watch.own.values()):
            culprits = [f"its {name} holds {bad}" for name, p in watch.own.items() if (bad := _not_finite(p.data))]
            advice = "start from new weights, with a lower learning rate" if culprits else "scale down what it is given"
            place = f"{watch.title}, in forward"
            return place, f"the first values that are not finite appear in {place}: {'; '.join([*culprits, advice])}"
    for watch in trial.returned:
        if _not_finite(watch.dx) or any(_not_finite(p.grad) for p in watch.own.values()):
            place = f"{watch.title}, in backward"
            return place, (
                f"the first values that are not finite appear in {place}, though all are in forward; look there for a "
                "division by zero, a root or a logarithm of 0, or scale down the weights of the layers after it"
            )
    return None if math.isfinite(loss) else ("the loss", "the loss is not finite, though all that its layers give is")


def _not_finite(value: Any) -> str:
    """How many entries are not finite and where the first is; "" for none."""
    array = np.asarray(value) if isinstance(value, (Array, float)) else np.zeros(())
    bad = np.argwhere(~np.isfinite(array)) if array.dtype.kind == "f" else np.zeros((0, 0))
    place = f", the first at {tuple(bad[0].tolist())}" if bad.size else ""
    return f"{len(bad)} of {array.size} values that are not finite{place}" if len(bad) else ""


def _before(last: float | None) -> str:
    return "" if last is None else f", the last finite loss was {last:.6g}"
