"""Where an epoch's batches come from: a walk through the data of its own, or one that goes on from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from .run import Run

Begin = Callable[[int], Iterable[Any]]  # a walk through the data, from behind so many batches


class Walk:
    """The batches of a run, epoch by epoch.

    begin: begins a walk through the data. With steps_per_epoch an epoch goes on where the last one has ended, and at
    the end of the data from their beginning, unless they are an iterator.
    """

    def __init__(self, run: Run, begin: Begin) -> None:
        self.run, self.begin = run, begin
        self.present: Iterator[Any] | None = None

    def epoch(self) -> Iterable[Any]:
        """The batches of the present epoch that are to come."""
        return self.begin(self.run.position.batch) if self.run.steps_per_epoch is None else self._steps()

    def _steps(self) -> Iterator[Any]:
        position, steps = self.run.position, self.run.steps_per_epoch or 0
        done = position.batch
        while done < steps:
            if self.present is None:
                self.present = iter(self.begin(position.walked))
            for batch in islice(self.present, steps - done):
                position.walked, done = position.walked + 1, done + 1
                yield batch
            if done < steps:
                self._end(done)

    def _end(self, done: int) -> None:
        """End the present walk, so that another begins. Raises ValueError if there can be none."""
        position, steps = self.run.position, self.run.steps_per_epoch
        if not position.walked or isinstance(self.run.train, Iterator):
            raise ValueError(
                f"fit: expected train to have steps_per_epoch={steps} batches for each epoch, got {done} for epoch "
                f"{position.epoch + 1}"
            )
        self.present, position.walked = None, 0
