"""When training goes wrong: the state before the batch that did it, and the layer where it began."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..insight.arrays import not_finite
from ..insight.observation import Observation, first_not_finite
from ..layer import Buffer, Layer, Parameter
from ..optimizers.optimizer import Optimizer

ADVICE = "lower the learning rate, or set clip_norm"


class Guard:
    """Keeps a training from going on with values that are not finite.

    It keeps what a forward pass may change in a model, buffers and the states of generators, from before each batch.

    prepares: whether there are any.
    """

    def __init__(self, model: Layer, optimizers: Sequence[Optimizer]) -> None:
        self.model, self.optimizers = model, optimizers
        self.state = model.walk(Parameter, Buffer)
        self.buffers = [state for state in self.state.values() if isinstance(state, Buffer)]
        self.generators = list(model.walk(np.random.Generator).values())
        self.prepares = bool(self.buffers or self.generators)
        self.buffers_before: list[Array] = []
        self.generators_before: list[Any] = []

    def before_batch(self) -> None:
        """Save buffers and the states of generators."""
        self.buffers_before = [buffer.data.copy() for buffer in self.buffers]
        self.generators_before = [generator.bit_generator.state for generator in self.generators]

    def restore(self) -> None:
        """Restore what was saved."""
        for buffer, data in zip(self.buffers, self.buffers_before):
            buffer.data = data
        for generator, state in zip(self.generators, self.generators_before):
            generator.bit_generator.state = state

    def diverged(self, place: str, loss: float, last: float | None, batch: tuple[Any, ...]) -> FloatingPointError:
        """Restore the model to before a batch whose loss or gradient is not finite, and return the error to raise.

        To find the layer where that began, a copy of the model runs the batch again.
        last: the last finite loss.
        """
        self.restore()
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
        """FloatingPointError if a parameter, a buffer or a moment of an optimizer is not finite any more."""
        arrays = [(name, state.data) for name, state in self.state.items()]
        arrays += [(f"{name} of {o.name}", moment) for o in self.optimizers for name, moment in o.moments.items()]
        for name, array in arrays:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise FloatingPointError(
                    f"fit: {place}: after the update {name} holds {not_finite(array)}{_before(last)}; {ADVICE}"
                )


def without_warnings() -> np.errstate:
    """A context in which NumPy doesn't warn of what fit checks by itself; where it was told to raise, it still does."""
    return np.errstate(**{kind: "ignore" for kind, action in np.geterr().items() if action == "warn"})  # type: ignore


def _before(last: float | None) -> str:
    return "" if last is None else f", the last finite loss was {last:.6g}"
