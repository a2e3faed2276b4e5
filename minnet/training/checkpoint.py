"""The checkpoint of a training run: written so that the run resumes to the last bit, and refused for any other run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, real_array
from ..errors import CheckpointError
from ..files.archive import read, write
from ..layer import Buffer, Parameter
from ..optimizers.optimizer import Optimizer, numbers_of
from ..random import generator
from .generators import Generators, States
from .history import History
from .identity import (
    NUMBERS,
    SCHEDULE,
    Identity,
    changes,
    completed,
    differences,
    identity_of,
    numbered,
    plain_numbers,
    with_steps_to_come,
    without_lr,
)
from .run import Position, Run
from .tally import Tally

SHOWN = 4  # differences in an error
STOPPING = "lowest", "to_beat", "waited"  # what a file has of early stopping, beside the arrays of the best epoch


class Checkpoint:
    """The file of a run.

    path: where it is.  every: after how many batches it is written within an epoch, if at all; a multiple of those of a
    step, so that no gradient waits then.  new_lr: whether the run keeps its learning rates when it resumes.
    Raises TypeError for a generator whose state can't be saved; ValueError for a schedule that depends on more than the
    step.
    """

    def __init__(self, run: Run, path: Path, every: int | None = None, new_lr: bool = False) -> None:
        self.run, self.path, self.every, self.new_lr = run, path, every, new_lr
        self.generators = Generators(
            package=generator(),
            model=run.model,
            **{f"optimizer{i or ''}": optimizer for i, optimizer in enumerate(run.updates.optimizers)},
            train=run.train,
            validation=run.validation,
        )
        self.identity = identity_of(run, self.generators)
        self.walk_began: States = {}  # the states of the generators at the start of the present walk through train

    def is_due(self) -> bool:
        """Whether to write it after the present batch, within an epoch."""
        return self.every is not None and self.run.position.batch % self.every == 0

    # To resume within a walk, the generators are set to their states at its start, so that the same order is drawn, the
    # batches that were done are skipped, and then the generators are set to the states that they had after those.
    def batches(self, done: int) -> Iterable[Any]:
        """A walk through the data, from behind the batches that are done. Raises ValueError if there are fewer."""
        now = self.generators.states()
        if not done:
            self.walk_began = now
            return self.run.train
        self.generators.set_states(self.walk_began)
        walk = iter(self.run.train)
        found = sum(1 for _ in islice(walk, done))
        self.generators.set_states(now)
        if found < done:
            raise ValueError(f"fit: expected train to have the {done} batches that the checkpoint counts, got {found}")
        return walk

    def write(self) -> None:
        """Write the run as it is now, in place of what was there.

        Raises ValueError if on_epoch_end has changed what the rest of the run depends on and a file can't give back.
        """
        now = identity_of(self.run, self.generators, self.identity)
        if changed := changes(self.run, self.identity, now):
            raise ValueError(
                f"fit: expected on_epoch_end to leave alone what a checkpoint can't give back, got {'; '.join(changed)}"
            )
        write(self.path, *_content(self))

    def resume(self) -> None:
        """Set the run to the state in the file, if there is one.

        Raises CheckpointError for a file that isn't whole, and for one of another run, naming the differences; nothing
        has been changed then.
        """
        if not self.path.exists():
            return
        arrays, notes = read(self.path)
        _check_same(self, notes)
        roll_back = _roll_back(self)
        try:
            try:
                _restore(self, arrays, notes)
            except BaseException:
                roll_back()
                raise
        except KeyboardInterrupt:
            roll_back()  # again, since Ctrl-C may have come in the middle of it
            raise
        except Exception as error:
            raise CheckpointError(f"fit: can't resume from {self.path}: {error}") from error


def _content(checkpoint: Checkpoint) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and notes of a run."""
    run = checkpoint.run
    arrays = {name: state.data for name, state in run.model.walk(Parameter, Buffer).items()}
    notes = {
        "belongs to": with_steps_to_come(checkpoint.identity, run, checkpoint.generators),
        "position": asdict(run.position),
        "generators": checkpoint.generators.states(),
        "walk began": checkpoint.walk_began,
        "history": {name: [_recorded(name, value) for value in column] for name, column in run.history.items()},
        "stopped": run.stopped,
    }
    for i, optimizer in enumerate(run.updates.optimizers):
        arrays |= {f"{_part(i)}/{name}": np.asarray(value) for name, value in optimizer.state_dict().items()}
        notes[numbered("numbers", i)] = plain_numbers(optimizer)
    if run.stopping:
        arrays |= {f"best/{name}": array for name, array in run.stopping.state.items()}
        notes["stopping"] = {name: getattr(run.stopping, name) for name in STOPPING}
    return arrays, notes


def _part(i: int) -> str:
    """The part of a file that has the arrays of the i-th optimizer."""
    return f"optimizer{i or ''}"


def _recorded(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"fit: expected numbers in the history, which a checkpoint can hold, got {described(value)} in {name}"
        ) from None


def _check_same(checkpoint: Checkpoint, notes: Any) -> None:
    """Raise CheckpointError unless a file's notes are of this run."""
    path = checkpoint.path
    if not isinstance(notes, dict) or "belongs to" not in notes:
        raise CheckpointError(f"fit: {path} is no checkpoint of a training run; give another path")
    run = checkpoint.run
    found = list(differences(run, checkpoint.generators, checkpoint.identity, notes, checkpoint.new_lr))
    if found:
        more = [f"and {len(found) - SHOWN} more differences"] * (len(found) > SHOWN)
        raise CheckpointError(
            f"fit: {path} is the checkpoint of another run: {'; '.join(found[:SHOWN] + more)}; "
            f"{''.join(_advice(run, found))}give another path, or remove the file to begin anew"
        )


def _advice(run: Run, found: list[str]) -> Iterator[str]:
    """What may be done about these differences."""
    numbers = [text for text in found if NUMBERS in text]
    if numbers and run.on_epoch_end:
        yield "set back what on_epoch_end has changed, or "
    if any(SCHEDULE in text for text in found) or any("lr=" in text for text in numbers):
        yield "give the learning rate that is in the file, or new_lr=True to go on with another; or "


def _roll_back(checkpoint: Checkpoint) -> Callable[[], None]:
    """What undoes all that _restore changes of what the user has: the model, the optimizer, history and generators."""
    run, generators, states = checkpoint.run, checkpoint.generators, checkpoint.generators.states()
    model, history = run.model.state_dict(), {name: [*column] for name, column in run.history.items()}
    optimizers = [(each, each.state_dict(), numbers_of(each)) for each in run.updates.optimizers]

    def roll_back() -> None:
        for optimizer, _, numbers in optimizers:
            vars(optimizer).update(numbers)
        run.history.clear()
        run.history.update(history)
        run.model.load_state_dict(model)
        for optimizer, state, _ in optimizers:
            optimizer.load_state_dict(state)
        generators.set_states(states)

    return roll_back


def _restore(checkpoint: Checkpoint, arrays: dict[str, Array], notes: dict[str, Any]) -> None:
    """Set a run to what a file holds. Raises all kinds of errors for what no run has written."""
    run, optimizers = checkpoint.run, checkpoint.run.updates.optimizers
    position, walk_began, stopped = _position(notes["position"]), notes["walk began"], bool(notes["stopped"])
    if (begun := position.epoch + (position.batch > 0)) > run.epochs:
        raise ValueError(f"expected epochs to be at least {begun}, as many as it has begun, got {run.epochs}")
    history = History({name: [float(value) for value in column] for name, column in notes["history"].items()})
    if not run.history.agrees_with(history):
        raise ValueError("expected a history that is empty or agrees with the one in the file; leave it out")
    numbers = [notes[numbered("numbers", i)] for i in range(len(optimizers))]
    numbers = [_checked_numbers(optimizer, n, checkpoint.new_lr) for optimizer, n in zip(optimizers, numbers)]
    parts = _parts(arrays, len(optimizers))
    stopping = _stopping(notes["stopping"], parts["best"]) if run.stopping else {}
    if parts["best"]:
        run.model.load_state_dict(parts["best"])  # to see that it fits
    run.model.load_state_dict(parts[""])
    for i, optimizer in enumerate(optimizers):
        optimizer.load_state_dict(parts[_part(i)])
    checkpoint.generators.set_states(walk_began)
    checkpoint.generators.set_states(notes["generators"])
    checkpoint.identity = _continued(checkpoint, notes["belongs to"])
    run.position, checkpoint.walk_began, run.stopped = position, walk_began, stopped
    for optimizer, of_the_file in zip(optimizers, numbers):
        vars(optimizer).update(of_the_file)
    if run.stopping:
        vars(run.stopping).update(stopping)
    _replace(run.history, history)


def _continued(checkpoint: Checkpoint, there: Identity) -> Identity:
    """The identity of a run that goes on: that in the file, but for the rates of its schedules, or a new number."""
    own, identity = checkpoint.identity, completed(there, checkpoint.identity)
    for i in range(len(checkpoint.run.updates.optimizers)):
        schedule, numbers = numbered(SCHEDULE, i), numbered(NUMBERS, i)
        identity[schedule] = own[schedule]
        if checkpoint.new_lr:
            identity[numbers] = own[numbers] | without_lr(identity[numbers])
    return identity


def _replace(history: History, by: History) -> None:
    history.update(by)
    for name in history.keys() - by.keys():
        del history[name]


def _stopping(notes: dict[str, Any], best: dict[str, Array]) -> dict[str, Any]:
    """The attributes of early stopping. Raises ValueError for a best epoch without arrays, or the reverse."""
    lowest, waited = float(notes["lowest"]), int(notes["waited"])
    if (lowest < math.inf) != bool(best):
        raise ValueError("expected arrays of the best epoch exactly if there was one")
    to_beat = float(notes.get("to_beat", lowest))  # older files have none
    return {"lowest": lowest, "to_beat": to_beat, "waited": waited, "state": best}


def _checked_numbers(optimizer: Optimizer, numbers: dict[str, Any], new_lr: bool) -> dict[str, Any]:
    """The numbers of an optimizer in a file as its attributes. Raises ValueError if names or shapes are others.

    new_lr: whether the learning rate of the file is left out.
    """
    own = plain_numbers(optimizer)
    if new_lr:
        own, numbers = without_lr(own), without_lr(numbers)
    shapes = {name: np.shape(value) for name, value in numbers.items()}
    if shapes != {name: np.shape(value) for name, value in own.items()}:
        raise ValueError(f"expected the numbers of {optimizer.name}, {', '.join(own)}, got {numbers}")
    real_array("its numbers", np.hstack([*numbers.values()]))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in numbers.items()}


def _position(notes: dict[str, Any]) -> Position:
    """The position in a file. Raises ValueError if no run can have come there."""
    at = Position(**notes | {"tally": Tally(**notes["tally"])})
    counts, weights = (at.epoch, at.batch, at.walked), (at.tally.right, at.tally.counted)
    sums = (at.loss, at.seconds, at.last or 0.0)
    if (
        not all(type(n) is int and 0 <= n < 2**63 for n in counts)
        or not all(type(w) in (int, float) and 0 <= w < 2**63 for w in weights)
        or not all(type(s) is float for s in sums)
    ):
        raise ValueError(f"expected the counts and sums of a run, got {at}")
    return at


def _parts(arrays: dict[str, Array], optimizers: int) -> dict[str, dict[str, Array]]:
    """The arrays of the model, those of each optimizer, and those of the best epoch."""
    parts: dict[str, dict[str, Array]] = {name: {} for name in ("", *map(_part, range(optimizers)), "best")}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        if rest and part in parts:
            parts[part][rest] = array
        else:
            parts[""][name] = array
    return parts
