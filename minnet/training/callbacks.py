"""What a user's functions are told while a model trains, and how they end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import described
from .history import History


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """What on_batch_end is told; the gradients are in the parameters.

    epoch, batch: which one it is, both from 1.  loss: of this batch.  lr: of the step to come; with several optimizers
    that of the first.
    """

    epoch: int
    batch: int
    loss: float
    lr: float


Callback = Callable[[History], Any]
BatchCallback = Callable[[BatchEnd], Any]


class Callbacks:
    """The functions of an argument of fit, each called in turn, with NumPy's settings as they are here.

    Raises TypeError for what is neither a function nor a list or tuple of functions; None is none at all.
    """

    def __init__(self, name: str, functions: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None) -> None:
        several = isinstance(functions, (list, tuple))
        self.name = name
        self.functions: list[Any] = [*functions] if several else [] if functions is None else [functions]  # type: ignore
        self.settings: Any = np.geterr()
        for function in self.functions:
            if not callable(function):
                what = "the history" if name == "on_epoch_end" else "what a batch gave"
                raise TypeError(f"fit: expected {name} to be a function of {what}, got {described(function)}")

    def __len__(self) -> int:
        return len(self.functions)

    def end_training(self, told: Any) -> bool:
        """Call all of them. Returns whether one has answered False."""
        try:
            with np.errstate(**self.settings):
                answers = [function(told) for function in self.functions]
        except Exception as error:
            error.add_note(f"fit: this was in {self.name}")
            raise
        return any(isinstance(answer, (bool, np.bool_)) and not answer for answer in answers)
