"""A training run: what it consists of, and how far it has come."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import KW_ONLY, dataclass, field

from ..layer import Layer
from .callbacks import Callbacks
from .early_stopping import EarlyStopping
from .history import History
from .inputs import Data, Metrics
from .tally import Correct, Judge, Tally
from .updates import Updates


@dataclass
class Position:
    """How far a run has come.

    epoch: how many epochs are complete.  batch: how many batches of the next one.  loss, tally: of these, summed.
    seconds: what they took.  last: the last loss of all.  walked: how many batches of the present walk through the data
    are done, where one walk may go on for several epochs.
    """

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    last: float | None = None
    walked: int = 0

    def add(self, loss: float, correct: Correct) -> None:
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

    steps_per_epoch: how many batches an epoch has, if not those of one walk through the data.
    stopping: early stopping, if there is patience.
    values_checked: whether all data are known to be finite.
    stopped: whether on_epoch_end has ended the run.
    """

    model: Layer
    updates: Updates
    train: Data
    epochs: int
    _: KW_ONLY
    validation: Data | None = None
    metrics: Metrics = field(default_factory=dict)
    steps_per_epoch: int | None = None
    stopping: EarlyStopping | None = None
    on_epoch_end: Callbacks = field(default_factory=lambda: Callbacks("on_epoch_end", None))
    on_batch_end: Callbacks = field(default_factory=lambda: Callbacks("on_batch_end", None))
    history: History = field(default_factory=History)
    values_checked: bool = False
    position: Position = field(default_factory=Position)
    stopped: bool = False

    def __post_init__(self) -> None:
        self.judge = Judge(self.model)

    def has_next_epoch(self) -> bool:
        """Whether another epoch is to be trained."""
        exhausted = self.stopping is not None and self.stopping.exhausted()
        return self.position.epoch < self.epochs and not exhausted and not self.stopped

    def length(self) -> int | None:
        """The number of batches in an epoch, if it is known."""
        return self.steps_per_epoch or (len(self.train) if isinstance(self.train, Sized) else None)

    def place(self) -> str:
        """The batch that is trained on now, in words."""
        return f"epoch {self.position.epoch + 1}, batch {self.position.batch + 1}"

    def finish(self) -> None:
        """Zero the gradients and, with early stopping, restore the best epoch."""
        self.model.zero_grad()
        if self.stopping:
            self.stopping.restore(self.model)
