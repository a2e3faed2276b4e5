"""The checkpoint of a training run: written so that the run resumes to the last bit, and refused for any other run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
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
from .evaluate import Tally
from .generators import Generators, States
from .history import History
from .identity import NUMBERS, SCHEDULE, changes, differences, identity_of, plain_numbers, with_schedule
from .run import Position, Run

SHOWN = 4  # differences in an error


class Checkpoint:
    """The file of a run.

    path: where it is.  every: after how many batches it is written within an epoch, if at all.
    Raises TypeError for a generator whose state can't be saved; ValueError for a schedule that depends on more than the
    step.
    """

    def __init__(self, run: Run, path: Path, every: int | None = None) -> None:
        self.run, self.path, self.every = run, path, every
        self.generators = Generators(
            package=generator(),
            model=run.model,
            optimizer=run.optimizer,
            train=run.train,
            validation=run.validation,
        )
        self.identity = identity_of(run, self.generators)
        self.walk_began: States = {}  # the states of the generators at the start of the present walk through train

    def is_due(self) -> bool:
        """Whether to write it after the present batch, within an epoch."""
        return self.every is not None and self.run.position.batch % self.every == 0

    # To resume within an epoch, the generators are set to their states at its start, so that the same order is drawn,
    # the batches that were done are skipped, and then the generators are set to the states that they had after those.
    def batches(self) -> Iterable[tuple[Any, ...]]:
        """The batches of the present epoch that are to come. Raises ValueError if train has fewer than are done."""
        done, now = self.run.position.batch, self.generators.states()
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
        now = identity_of(self.run, self.generators, self.identity[SCHEDULE])
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
    arrays |= {f"optimizer/{name}": np.asarray(value) for name, value in run.optimizer.state_dict().items()}
    notes = {
        "belongs to": checkpoint.identity,
        "position": asdict(run.position),
        "generators": checkpoint.generators.states(),
        "walk began": checkpoint.walk_began,
        "history": {name: [_recorded(name, value) for value in column] for name, column in run.history.items()},
        "numbers": plain_numbers(run.optimizer),
        "stopped": run.stopped,
    }
    if run.stopping:
        arrays |= {f"best/{name}": array for name, array in run.stopping.state.items()}
        notes["stopping"] = {"lowest": run.stopping.lowest, "waited": run.stopping.waited}
    return arrays, notes


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
    if found := list(differences(checkpoint.run, checkpoint.generators, checkpoint.identity, notes)):
        more = [f"and {len(found) - SHOWN} more differences"] * (len(found) > SHOWN)
        set_back = any(text.startswith(NUMBERS) for text in found)
        advice = "set back what on_epoch_end has changed, or " if set_back else ""
        raise CheckpointError(
            f"fit: {path} is the checkpoint of another run: {'; '.join(found[:SHOWN] + more)}; "
            f"{advice}give another path, or remove the file to begin anew"
        )


def _roll_back(checkpoint: Checkpoint) -> Callable[[], None]:
    """What undoes all that _restore changes of what the user has: the model, the optimizer, history and generators."""
    run, generators, states = checkpoint.run, checkpoint.generators, checkpoint.generators.states()
    model, optimizer, numbers = run.model.state_dict(), run.optimizer.state_dict(), numbers_of(run.optimizer)
    history = {name: [*column] for name, column in run.history.items()}

    def roll_back() -> None:
        vars(run.optimizer).update(numbers)
        run.history.clear()
        run.history.update(history)
        run.model.load_state_dict(model)
        run.optimizer.load_state_dict(optimizer)
        generators.set_states(states)

    return roll_back


def _restore(checkpoint: Checkpoint, arrays: dict[str, Array], notes: dict[str, Any]) -> None:
    """Set a run to what a file holds. Raises all kinds of errors for what no run has written."""
    run, own_identity = checkpoint.run, checkpoint.identity
    position, walk_began, stopped = _position(notes["position"]), notes["walk began"], bool(notes["stopped"])
    if (begun := position.epoch + (position.batch > 0)) > run.epochs:
        raise ValueError(f"expected epochs to be at least {begun}, as many as it has begun, got {run.epochs}")
    history = History({name: [float(value) for value in column] for name, column in notes["history"].items()})
    if not run.history.agrees_with(history):
        raise ValueError("expected a history that is empty or agrees with the one in the file; leave it out")
    numbers = _checked_numbers(run.optimizer, notes["numbers"])
    own, optimizer, best = _parts(arrays)
    stopping = _stopping(notes["stopping"], best) if run.stopping else {}
    if best:
        run.model.load_state_dict(best)  # to see that it fits
    run.model.load_state_dict(own)
    run.optimizer.load_state_dict(optimizer)
    checkpoint.generators.set_states(walk_began)
    checkpoint.generators.set_states(notes["generators"])
    checkpoint.identity = with_schedule(notes["belongs to"], own_identity) | {SCHEDULE: own_identity[SCHEDULE]}
    run.position, checkpoint.walk_began, run.stopped = position, walk_began, stopped
    vars(run.optimizer).update(numbers)
    if run.stopping:
        vars(run.stopping).update(stopping)
    run.history.update(history)
    for name in run.history.keys() - history.keys():
        del run.history[name]


def _stopping(notes: dict[str, Any], best: dict[str, Array]) -> dict[str, Any]:
    """The attributes of early stopping. Raises ValueError for a best epoch without arrays, or the reverse."""
    lowest, waited = float(notes["lowest"]), int(notes["waited"])
    if (lowest < math.inf) != bool(best):
        raise ValueError("expected arrays of the best epoch exactly if there was one")
    return {"lowest": lowest, "waited": waited, "state": best}


def _checked_numbers(optimizer: Optimizer, numbers: dict[str, Any]) -> dict[str, Any]:
    """The numbers of an optimizer in a file as its attributes. Raises ValueError if names or shapes are others."""
    own, shapes = plain_numbers(optimizer), {name: np.shape(value) for name, value in numbers.items()}
    if shapes != {name: np.shape(value) for name, value in own.items()}:
        raise ValueError(f"expected the numbers of {optimizer.name}, {', '.join(own)}, got {numbers}")
    real_array("its numbers", np.hstack([*numbers.values()]))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in numbers.items()}


def _position(notes: dict[str, Any]) -> Position:
    """The position in a file. Raises ValueError if no run can have come there."""
    at = Position(**notes | {"tally": Tally(**notes["tally"])})
    counts, sums = (at.epoch, at.batch, at.tally.right, at.tally.counted), (at.loss, at.seconds, at.last or 0.0)
    if not all(type(n) is int and 0 <= n < 2**63 for n in counts) or not all(type(s) is float for s in sums):
        raise ValueError(f"expected the counts and sums of a run, got {at}")
    return at


def _parts(arrays: dict[str, Array]) -> list[dict[str, Array]]:
    """The arrays of the model, those of the optimizer, and those of the best epoch."""
    parts: dict[str, dict[str, Array]] = {"": {}, "optimizer": {}, "best": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        if rest and part in parts:
            parts[part][rest] = array
        else:
            parts[""][name] = array
    return list(parts.values())
