"""When a model has learned enough, and what it was like at its best."""

from __future__ import annotations

import math

from numpy import ndarray as Array

from ..layer import Layer


class EarlyStopping:
    """Keeps the parameters and buffers of the best epoch, and counts the epochs since then.

    patience: how many epochs in a row may bring nothing better.  monitor: the figure of the history that tells.
    mode: whether "min" or "max" is better; NaN never is.
    """

    def __init__(self, patience: int, monitor: str, mode: str) -> None:
        self.patience, self.monitor, self.mode = patience, monitor, mode
        self.lowest = math.inf  # of the figure, or of its negative where more is better
        self.state: dict[str, Array] = {}
        self.waited = 0

    def see(self, results: dict[str, float], model: Layer) -> None:
        """Take note of the figures of an epoch. Raises ValueError if the one that tells is not among them."""
        if self.monitor not in results:
            raise ValueError(f"fit: expected monitor to be one of {', '.join(results)}, got {self.monitor!r}")
        value = results[self.monitor] if self.mode == "min" else -results[self.monitor]
        if value < self.lowest:
            self.state, self.lowest, self.waited = model.state_dict(), value, 0
        else:
            self.waited += 1

    def exhausted(self) -> bool:
        """Whether there have been as many epochs without an improvement as patience allows."""
        return self.waited >= self.patience

    def restore(self, model: Layer) -> None:
        """Bring the best epoch back, if there was one."""
        if self.state:
            model.load_state_dict(self.state)
