"""A training run: what it consists of, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from ..layer import Layer
from ..optimizers.optimizer import Optimizer
from .early_stopping import EarlyStopping
from .evaluate import Tally
from .history import History
from .inputs import Data, Metrics

Callback = Callable[[History], Any]


@dataclass
class Position:
    """How far a run has come.

    epoch: how many epochs are complete.  batch: how many batches of the next one.  loss, tally: of these, summed.
    seconds: what they took.  last: the last loss of all.
    """

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    last: float | None = None

    def add(self, loss: float, correct: tuple[int, int] | None) -> None:
        """Count another batch."""
        self.batch += 1
        self.loss += loss
        self.last = loss
        self.tally.add(correct)

    def figures(self) -> dict[str, float]:
        """The mean loss of the batches so far, and the accuracy."""
        return {"loss": self.loss / self.batch} | self.tally.accuracy() if self.batch else {}

    def next_epoch(self) -> None:
        """Count the epoch as complete."""
        self.epoch, self.batch, self.loss, self.tally, self.seconds = self.epoch + 1, 0, 0.0, Tally(), 0.0


@dataclass
class Run:
    """All that a training run consists of, but for its checkpoint: what fit was given, and the state of the run.

    stopping: early stopping, if there is patience.
    values_checked: whether all data are known to be finite.
    stopped: whether the callback has ended the run.
    """

    model: Layer
    optimizer: Optimizer
    train: Data
    epochs: int
    _: KW_ONLY
    validation: Data | None = None
    metrics: Metrics = field(default_factory=dict)
    stopping: EarlyStopping | None = None
    on_epoch_end: Callback | None = None
    history: History = field(default_factory=History)
    values_checked: bool = False
    position: Position = field(default_factory=Position)
    stopped: bool = False

    def has_next_epoch(self) -> bool:
        """Whether another epoch is to be trained."""
        exhausted = self.stopping is not None and self.stopping.exhausted()
        return self.position.epoch < self.epochs and not exhausted and not self.stopped

    def last_lr(self) -> dict[str, float]:
        """The learning rate of the last step, by its name."""
        steps = self.optimizer.steps
        return {"lr": self.optimizer.lr_at(steps - 1)} if steps else {}

    def finish(self) -> None:
        """Zero the gradients and, with early stopping, restore the best epoch."""
        self.model.zero_grad()
        if self.stopping:
            self.stopping.restore(self.model)
