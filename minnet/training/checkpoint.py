"""A training run on the disk: written so that it can be taken up again to the last bit, and told from others."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sized
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import real_array
from ..data.batches import Batches
from ..errors import CheckpointError
from ..files.archive import read, write
from ..layer import Buffer, Parameter
from ..optimizers.optimizer import Optimizer
from .evaluation import Tally, surely
from .history import History
from .inputs import Data
from .rates import Rates, are_rates, difference, rates_at, sample
from .run import Position, Run

FORMAT = 1  # goes up when something in a checkpoint comes to mean something else, the moments of an optimizer say
OPTIMIZER, SCHEDULE, NUMBERS = "the optimizer", "its learning rate", "its numbers"
DATA = "train", "validation"
SHOWN = 4  # differences in an error


def write_run(run: Run, path: Path) -> None:
    """Put a run into a file, in place of what was there.

    Raises ValueError if something has changed that the rest of the run depends on, and the file could not give back.
    """
    before = run.identity
    now = _identity(run, before[SCHEDULE])
    kept = [OPTIMIZER, SCHEDULE, "its parameters", *(what for what in DATA if isinstance(getattr(run, what), Batches))]
    if changed := [f"{what}: {a} became {b}" for what in kept for a, b in _unlike(what, before[what], now[what])]:
        raise ValueError(
            f"fit: expected on_epoch_end to leave alone what a checkpoint can't give back, got {'; '.join(changed)}"
        )
    arrays = {name: state.data for name, state in run.model.walk(Parameter, Buffer).items()}
    arrays |= {f"optimizer/{name}": np.asarray(value) for name, value in run.optimizer.state_dict().items()}
    notes = {
        "belongs to": run.identity,
        "position": asdict(run.position),
        "generators": run.states(),
        "walk began": run.walk_began,
        "history": {name: [float(value) for value in column] for name, column in run.history.items()},
        "numbers": _numbers(run.optimizer),
        "stopped": run.stopped,
    }
    if run.stopping:
        arrays |= {f"best/{name}": array for name, array in run.stopping.state.items()}
        notes["stopping"] = {"lowest": run.stopping.lowest, "waited": run.stopping.waited}
    write(path, arrays, notes)


def resume(run: Run) -> None:
    """Take up a run where the one in its checkpoint stopped; without one, it begins.

    Raises CheckpointError for a file that isn't whole, and for one of another run, naming the differences; nothing
    has been changed then.
    """
    path = run.path
    if path is None:
        return
    run.identity = _identity(run)
    if not path.exists():
        return
    arrays, notes = read(path)
    _check_same(run, path, notes)
    model, optimizer, states = run.model.state_dict(), run.optimizer.state_dict(), run.states()
    numbers, history = _attributes(run.optimizer), {name: [*column] for name, column in run.history.items()}

    def bring_back() -> None:
        vars(run.optimizer).update(numbers)
        run.history.clear()
        run.history.update(history)
        run.model.load_state_dict(model)
        run.optimizer.load_state_dict(optimizer)
        run.set_states(states)

    try:
        _adopt(run, arrays, notes)
    except BaseException as error:
        surely(bring_back)
        if not isinstance(error, Exception):
            raise
        raise CheckpointError(f"fit: {path} can't be taken up: {error}") from error


def _check_same(run: Run, path: Path, notes: Any) -> None:
    """That a file's notes are of this run."""
    if not isinstance(notes, dict) or "belongs to" not in notes:
        raise CheckpointError(f"fit: {path} is no checkpoint of a training run; give another path")
    if differences := list(_differences(run, notes)):
        more = [f"and {len(differences) - SHOWN} more differences"] * (len(differences) > SHOWN)
        set_back = any(text.startswith(NUMBERS) for text in differences)
        advice = "set back what on_epoch_end has changed, or " if set_back else ""
        raise CheckpointError(
            f"fit: {path} is the checkpoint of another run: {'; '.join(differences[:SHOWN] + more)}; "
            f"{advice}give another path, or remove the file to begin anew"
        )


def _adopt(run: Run, arrays: dict[str, Array], notes: dict[str, Any]) -> None:
    """Set all of a run to what a file holds. What it changes outside of the run, resume can bring back."""
    at, walk_began, stopped = _position(notes["position"]), notes["walk began"], bool(notes["stopped"])
    if (begun := at.epoch + (at.batch > 0)) > run.epochs:
        raise ValueError(f"expected epochs to be at least {begun}, as many as it has begun, got {run.epochs}")
    history = History({name: [float(value) for value in column] for name, column in notes["history"].items()})
    if not run.history.agrees_with(history):
        raise ValueError("expected a history that is empty or agrees with the one in the file; leave it out")
    numbers = _same_numbers(run.optimizer, notes["numbers"])
    own, optimizer, best = _parts(arrays)
    kept = _kept(notes["stopping"], best) if run.stopping else {}
    if best:
        run.model.load_state_dict(best)  # to see that it fits
    run.model.load_state_dict(own)
    run.optimizer.load_state_dict(optimizer)
    run.set_states(walk_began)
    run.set_states(notes["generators"])
    run.identity = _with_schedule(notes["belongs to"], run.identity) | {SCHEDULE: run.identity[SCHEDULE]}
    run.position, run.walk_began, run.stopped = at, walk_began, stopped
    vars(run.optimizer).update(numbers)
    if run.stopping:
        vars(run.stopping).update(kept)
    run.history.update(history)
    for name in run.history.keys() - history.keys():
        del run.history[name]


def _kept(notes: dict[str, Any], best: dict[str, Array]) -> dict[str, Any]:
    """What early stopping remembers, by the names of its attributes."""
    lowest, waited = float(notes["lowest"]), int(notes["waited"])
    if (lowest < math.inf) != bool(best):
        raise ValueError("expected the arrays of the best epoch, got none, or of none")
    return {"lowest": lowest, "waited": waited, "state": best}


def _same_numbers(optimizer: Optimizer, numbers: dict[str, Any]) -> dict[str, Any]:
    """The numbers of an optimizer in a file as its attributes, once it is sure that they are the same ones."""
    own, shapes = _numbers(optimizer), {name: np.shape(value) for name, value in numbers.items()}
    if shapes != {name: np.shape(value) for name, value in own.items()}:
        raise ValueError(f"expected the numbers of {optimizer.name}, {', '.join(own)}, got {numbers}")
    real_array("its numbers", np.hstack([*numbers.values()]))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in numbers.items()}


def _position(notes: dict[str, Any]) -> Position:
    """A position, once it is sure that a run can have come so far."""
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


def _identity(run: Run, steps: Iterable[str] | None = None) -> dict[str, Any]:
    """What must be the same for a run to be the same: in texts and lists of texts, and the rates at these steps."""
    optimizer, names = run.optimizer, {id(p): name for name, p in run.model.named_parameters().items()}
    return {
        "the format": FORMAT,
        "the model": re.sub(" at 0x[0-9a-fA-F]+", "", repr(run.model)).splitlines(),
        "the arrays": [f"{n} {s.data.dtype} {s.data.shape}" for n, s in run.model.walk(Parameter, Buffer).items()],
        OPTIMIZER: optimizer.name,
        SCHEDULE: _rates(run, steps),
        NUMBERS: _numbers(optimizer),
        "its parameters": [names[id(p)] + ", not decayed" * (not p.decay) for p in optimizer.parameters],
        **{what: _size(getattr(run, what)) for what in DATA},
        "the metrics": sorted(run.metrics),
        "early stopping": None if run.stopping is None else f"{run.stopping.monitor}, {run.stopping.mode}",
        "the generators": [f"{name} {type(g.bit_generator).__name__}" for name, g in run.generators.items()],
    }


def _numbers(optimizer: Optimizer) -> dict[str, Any]:
    """Its numbers by name, as a file gives them back; a callback may set some."""
    return {name: np.asarray(value).tolist() for name, value in _attributes(optimizer).items()}


def _attributes(optimizer: Optimizer) -> dict[str, Any]:
    """Those of its attributes that are numbers, or tuples of numbers."""
    return {name: value for name, value in vars(optimizer).items() if name != "steps" and _is_numbers(value)}


def _is_numbers(value: Any) -> bool:
    kinds = (bool, int, float, np.bool_, np.integer, np.floating)
    return isinstance(value, kinds) or (isinstance(value, tuple) and all(isinstance(v, kinds) for v in value))


def _rates(run: Run, steps: Iterable[str] | None = None) -> Rates:
    """What a schedule gives at these steps, or at a sample. Raises ValueError if it gives something else at once."""
    schedule, states = run.optimizer.lr, run.states()
    if not callable(schedule):
        return {}
    try:
        rates = rates_at(schedule, steps) if steps else sample(schedule)
        if not steps and (unlike := difference(rates_at(schedule, rates), rates)):
            raise ValueError(
                "fit: expected a schedule that depends on the step alone, as a checkpoint needs it, got one that gives "
                f"{unlike[0][1]} and then {unlike[0][0]}"
            )
        return rates
    finally:
        run.set_states(states)  # it may have drawn


def _size(data: Data | None) -> str:
    """How much there is, as far as it can be told without walking it."""
    if isinstance(data, Batches):
        return f"{len(data.x)} samples of {data.x.shape[1:]} in batches of {data.batch_size}, shuffle={data.shuffle}"
    return f"{len(data)} batches" if isinstance(data, Sized) else "nothing" if data is None else "batches"


def _differences(run: Run, notes: dict[str, Any]) -> Iterator[str]:
    """Where a run is not the one that a file's notes tell of, in sentences."""
    here, there = run.identity, notes["belongs to"]
    there = _with_schedule(there, here) if isinstance(there, dict) else {}
    if here.keys() != there.keys() or not are_rates(there[SCHEDULE]):
        yield "it was written by another version of minnet"
        return
    here = here | {SCHEDULE: _rates(run, there[SCHEDULE])}
    for what, own in here.items():
        if what == NUMBERS and own == notes.get("numbers"):
            continue  # a callback of that run has set them, and it goes on in the same process
        unlike = _unlike(what, own, there[what])
        yield from (f"{what}: {a or 'nothing'} here, {b or 'nothing'} in the file" for a, b in unlike)


def _with_schedule(there: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    """What a file belongs to. One that tells its schedule by its code says nothing of its rates: they count as ours."""
    if SCHEDULE in there:
        return there
    return there | {OPTIMIZER: str(there.get(OPTIMIZER)).partition(", lr=")[0], SCHEDULE: here[SCHEDULE]}


def _unlike(what: str, one: Any, other: Any) -> list[tuple[Any, Any]]:
    """Where two parts of identities differ."""
    return difference(one, other) if what == SCHEDULE else [(a, b) for a, b in _pairs(one, other) if a != b]


def _pairs(one: Any, other: Any) -> Iterable[tuple[Any, Any]]:
    """What two parts of identities have in each other's place."""
    if isinstance(one, dict) and isinstance(other, dict):
        texts = ([f"{name}={part[name]}" if name in part else None for name in one | other] for part in (one, other))
        return zip(*texts)
    lists = isinstance(one, list) and isinstance(other, list)
    return zip_longest(one, other) if lists else [(one, other)]
