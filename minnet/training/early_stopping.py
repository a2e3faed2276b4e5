"""When a model has learned enough, and what it was like at its best."""

from __future__ import annotations

import math
from collections.abc import Iterable

from numpy import ndarray as Array

from ..arguments import number, whole_number
from ..layer import Layer

BETTER = {"loss": "min", "val_loss": "min", "accuracy": "max", "val_accuracy": "max"}


class EarlyStopping:
    """Keeps the parameters and buffers of the best epoch, and counts the epochs since then.

    patience: how many epochs in a row without an improvement end the training.
    monitor: the column of the history that is watched.  mode: whether "min" or "max" of it is better; NaN never is.
    min_delta: by more than how much an epoch must be better to be an improvement; the best one is kept in any case.
    """

    def __init__(self, patience: int, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        self.patience, self.monitor, self.mode, self.min_delta = patience, monitor, mode, min_delta
        self.lowest = math.inf  # the best value so far, negated where more is better
        self.to_beat = math.inf  # the value of the last improvement, likewise
        self.state: dict[str, Array] = {}
        self.waited = 0

    def update(self, results: dict[str, float], model: Layer) -> None:
        """Take the results of an epoch into account. Raises ValueError if the monitored one is not among them."""
        if self.monitor not in results:
            raise ValueError(f"fit: expected monitor to be one of {', '.join(results)}, got {self.monitor!r}")
        value = results[self.monitor] if self.mode == "min" else -results[self.monitor]
        self.waited += 1
        if value < self.lowest:
            self.state, self.lowest = model.state_dict(), value
        if value < self.to_beat - self.min_delta:
            self.to_beat, self.waited = value, 0

    def exhausted(self) -> bool:
        """Whether there have been as many epochs without an improvement as patience allows."""
        return self.waited >= self.patience

    def restore(self, model: Layer) -> None:
        """Set the model to its best epoch, if there was one."""
        if self.state:
            model.load_state_dict(self.state)


def early_stopping(
    patience: int | None, min_delta: float, monitor: str, mode: str | None, metrics: Iterable[str], validation: bool
) -> EarlyStopping | None:
    """Early stopping as fit's arguments ask for it; None without patience.

    metrics: the names of those that are measured.  validation: whether there are validation data.
    Raises TypeError and ValueError for arguments that don't fit.
    """
    if patience is None:
        if (monitor, mode, min_delta) != ("val_loss", None, 0):
            given = f"min_delta={min_delta!r}, monitor={monitor!r} and mode={mode!r}"
            raise ValueError(f"fit: expected patience with {given}, got none")
        return None
    patience, min_delta = whole_number("fit", "patience", patience, least=1), number("fit", "min_delta", min_delta)
    measured = ["loss", "accuracy"]
    if validation:
        measured += [f"val_{name}" for name in (*measured, *metrics)]
    if monitor not in measured:
        advice = "" if validation else "; give validation data"
        raise ValueError(f"fit: expected monitor to be one of {', '.join(measured)}, got {monitor!r}{advice}")
    if mode not in (None, "min", "max"):
        raise ValueError(f'fit: expected mode to be "min" or "max", got {mode!r}')
    if mode is None and monitor not in BETTER:
        raise ValueError(f'fit: expected mode="min" or mode="max" for monitor={monitor!r}, got none')
    return EarlyStopping(patience, monitor, mode or BETTER[monitor], min_delta)
