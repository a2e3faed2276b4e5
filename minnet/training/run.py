"""A training run: what it consists of, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..layer import Layer
from ..optimizers.optimizer import Optimizer
from ..random import generator
from .early_stopping import EarlyStopping
from .evaluation import Tally
from .generators import generators
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
        """Another batch is done."""
        self.batch += 1
        self.loss += loss
        self.last = loss
        self.tally.add(correct)

    def figures(self) -> dict[str, float]:
        """The mean loss of the batches so far, and the accuracy."""
        return {"loss": self.loss / self.batch} | self.tally.accuracy() if self.batch else {}

    def next_epoch(self) -> None:
        """The epoch is complete."""
        self.epoch, self.batch, self.loss, self.tally, self.seconds = self.epoch + 1, 0, 0.0, Tally(), 0.0


@dataclass
class Run:
    """All that a training run consists of.

    epochs: how many it shall have in all.  path, every: the checkpoint, and after how many batches it's written too.
    seen: whether all data have been looked at for values that are not finite.
    stopped: whether on_epoch_end has ended it.
    generators: with a checkpoint, all that it draws from: the package's, and those found from the model, the optimizer
    and the data.
    identity: what tells it from other runs.
    walk_began: the states of those when the walk through the data began that is under way.
    """

    model: Layer
    optimizer: Optimizer
    train: Data
    epochs: int
    validation: Data | None
    metrics: Metrics
    stopping: EarlyStopping | None
    on_epoch_end: Callback | None
    path: Path | None
    every: int | None
    history: History
    seen: bool
    position: Position = field(default_factory=Position)
    stopped: bool = False
    generators: dict[str, np.random.Generator] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)
    walk_began: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path:
            named = [("package", generator())]
            for name in ("model", "optimizer", "train", "validation"):
                named += generators(getattr(self, name), name)
            first = {id(drawn): name for name, drawn in reversed(named)}
            self.generators = {name: drawn for name, drawn in named if first[id(drawn)] == name}

    def goes_on(self) -> bool:
        """Whether there is an epoch to come."""
        exhausted = self.stopping is not None and self.stopping.exhausted()
        return self.position.epoch < self.epochs and not exhausted and not self.stopped

    def last_lr(self) -> dict[str, float]:
        """The learning rate of the last step, by its name."""
        steps = self.optimizer.steps
        return {"lr": self.optimizer.lr_at(steps - 1)} if steps else {}

    def leave(self) -> None:
        """Forget the gradients, and bring the model of the best epoch back, where early stopping keeps it."""
        self.model.zero_grad()
        if self.stopping:
            self.stopping.restore(self.model)

    # When a run is taken up within an epoch, the generators go back to where its walk began, so that its order is
    # drawn as it was, and once the batches that are done have passed, on to where they had come.
    def batches(self) -> Iterable[tuple[Any, ...]]:
        """The batches of the present epoch that are to come. Raises ValueError if train has fewer than are done."""
        done, now = self.position.batch, self.states()
        if not done:
            self.walk_began = now
            return self.train
        self.set_states(self.walk_began)
        walk = iter(self.train)
        passed = sum(1 for _ in islice(walk, done))
        self.set_states(now)
        if passed < done:
            raise ValueError(f"fit: expected train to have the {done} batches that the checkpoint counts, got {passed}")
        return walk

    def states(self) -> dict[str, Any]:
        """The states of all generators, in numbers, texts, lists and dicts."""
        return {name: _plain(drawn.bit_generator.state) for name, drawn in self.generators.items()}

    def set_states(self, states: dict[str, Any]) -> None:
        """Set all generators. Raises KeyError, TypeError or ValueError for states that are none of theirs."""
        for name, drawn in self.generators.items():
            drawn.bit_generator.state = states[name]


def _plain(state: Any) -> Any:
    """A generator's state without arrays."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
