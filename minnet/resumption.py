"""A training run on the disk: written so that it can be taken up again to the last bit, and told from others."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sized
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from .admission import Data
from .archive import CheckpointError, read, write
from .arguments import number
from .data import Batches
from .evaluation import Tally
from .history import History
from .layer import Buffer, Parameter
from .optimizer import Optimizer
from .run import Position, Run

SHOWN = 4  # differences in an error


def write_run(run: Run, path: Path) -> None:
    """Put a run into a file, in place of what was there."""
    arrays = {name: state.data for name, state in run.model.walk(Parameter, Buffer).items()}
    arrays |= {f"optimizer/{name}": np.asarray(value) for name, value in run.optimizer.state_dict().items()}
    notes = {
        "belongs to": run.identity,
        "position": asdict(run.position),
        "generators": run.states(),
        "walk began": run.walk_began,
        "history": {name: [float(value) for value in column] for name, column in run.history.items()},
        "lr": None if callable(run.optimizer.lr) else run.optimizer.lr,  # which a callback may have set
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
    if not isinstance(notes, dict) or "belongs to" not in notes:
        raise CheckpointError(f"fit: {path} is no checkpoint of a training run; give another path")
    if differences := list(_differences(run.identity, notes["belongs to"])):
        more = [f"and {len(differences) - SHOWN} more differences"] * (len(differences) > SHOWN)
        raise CheckpointError(
            f"fit: {path} is the checkpoint of another run: {'; '.join(differences[:SHOWN] + more)}; "
            "give another path, or remove the file to begin anew"
        )
    model, optimizer, states = run.model.state_dict(), run.optimizer.state_dict(), run.states()
    try:
        _adopt(run, arrays, notes)
    except Exception as error:
        run.model.load_state_dict(model)
        run.optimizer.load_state_dict(optimizer)
        run.set_states(states)
        raise CheckpointError(f"fit: {path} can't be taken up: {error}") from error


def _adopt(run: Run, arrays: dict[str, Array], notes: dict[str, Any]) -> None:
    """Set all of a run to what a file holds; last, what the caller can't bring back."""
    run.position = at = _position(notes["position"])
    if (begun := at.epoch + (at.batch > 0)) > run.epochs:
        raise ValueError(f"expected epochs to be at least {begun}, as many as it has begun, got {run.epochs}")
    history = History({name: [float(value) for value in column] for name, column in notes["history"].items()})
    if not run.history.agrees_with(history):
        raise ValueError("expected a history that is empty or agrees with the one in the file; leave it out")
    own, optimizer, best = _parts(arrays)
    if best:
        run.model.load_state_dict(best)  # to see that it fits
    run.model.load_state_dict(own)
    run.optimizer.load_state_dict(optimizer)
    run.set_states(notes["walk began"])
    run.set_states(notes["generators"])
    run.walk_began, run.stopped = notes["walk began"], bool(notes["stopped"])
    if notes["lr"] is not None:
        run.optimizer.lr = number("fit", "lr", notes["lr"])
    if run.stopping:
        lowest, waited = float(notes["stopping"]["lowest"]), int(notes["stopping"]["waited"])
        if (lowest < math.inf) != bool(best):
            raise ValueError("expected the arrays of the best epoch, got none, or of none")
        run.stopping.lowest, run.stopping.waited, run.stopping.state = lowest, waited, best
    run.history.clear()
    run.history.update(history)


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


def _identity(run: Run) -> dict[str, Any]:
    """What must be the same for a run to be the same, in texts and lists of texts."""
    names = {id(p): name for name, p in run.model.named_parameters().items()}
    return {
        "the model": re.sub(" at 0x[0-9a-fA-F]+", "", repr(run.model)).splitlines(),
        "the arrays": [f"{n} {s.data.dtype} {s.data.shape}" for n, s in run.model.walk(Parameter, Buffer).items()],
        "the optimizer": _optimizer(run.optimizer),
        "its parameters": [names[id(p)] for p in run.optimizer.parameters],
        "train": _size(run.train),
        "validation": _size(run.validation),
        "the metrics": sorted(run.metrics),
        "early stopping": None if run.stopping is None else f"{run.stopping.monitor}, {run.stopping.mode}",
        "the generators": [f"{name} {type(g.bit_generator).__name__}" for name, g in run.generators.items()],
    }


def _optimizer(optimizer: Optimizer) -> str:
    """Its kind and its numbers."""
    numbers = {name: value for name, value in vars(optimizer).items() if isinstance(value, (bool, int, float, tuple))}
    del numbers["steps"]
    shown = [f"{name}={value}" for name, value in numbers.items()] + ["lr=a function"] * callable(optimizer.lr)
    return f"{optimizer.name}({', '.join(shown)})"


def _size(data: Data | None) -> str:
    """How much there is, as far as it can be told without walking it."""
    if isinstance(data, Batches):
        return f"{len(data.x)} samples of {data.x.shape[1:]} in batches of {data.batch_size}, shuffle={data.shuffle}"
    return f"{len(data)} batches" if isinstance(data, Sized) else "nothing" if data is None else "batches"


def _differences(here: Any, there: Any) -> Iterator[str]:
    """Where two identities differ, in sentences."""
    if not isinstance(there, dict) or here.keys() != there.keys():
        yield "it was written by another version of minnet"
        return
    for what, own in here.items():
        if own != there[what]:
            lists = isinstance(own, list) and isinstance(there[what], list)
            pairs = zip_longest(own, there[what]) if lists else [(own, there[what])]
            yield from (f"{what}: {a or 'nothing'} here, {b or 'nothing'} in the file" for a, b in pairs if a != b)
