"""What tells a training run from another: only the run that a checkpoint is of may resume from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sized
from itertools import zip_longest
from typing import Any

import numpy as np

from ..data.batches import Batches
from ..layer import Buffer, Parameter
from ..optimizers.optimizer import Optimizer, numbers_of
from .generators import Generators
from .inputs import Data
from .rates import Rates, are_rates, difference, rates_at, sample
from .run import Run

FORMAT = 1  # increase it when the meaning of something in a checkpoint changes, of an optimizer's moments for example

# Keys of an identity. Files have them, and errors show them.
OPTIMIZER, SCHEDULE, NUMBERS, PARAMETERS = "the optimizer", "its learning rate", "its numbers", "its parameters"
DATA = "train", "validation"

Identity = dict[str, Any]


def identity_of(run: Run, generators: Generators, steps: Iterable[str] | None = None) -> Identity:
    """What must match for a checkpoint to be of this run: texts, lists of texts, and the rates at `steps`."""
    optimizer, names = run.optimizer, {id(p): name for name, p in run.model.named_parameters().items()}
    return {
        "the format": FORMAT,
        "the model": re.sub(" at 0x[0-9a-fA-F]+", "", repr(run.model)).splitlines(),
        "the arrays": [f"{n} {s.data.dtype} {s.data.shape}" for n, s in run.model.walk(Parameter, Buffer).items()],
        OPTIMIZER: optimizer.name,
        SCHEDULE: _rates(optimizer, generators, steps),
        NUMBERS: plain_numbers(optimizer),
        PARAMETERS: [names[id(p)] + ", not decayed" * (not p.decay) for p in optimizer.parameters],
        **{what: _size(getattr(run, what)) for what in DATA},
        "the metrics": sorted(run.metrics),
        "early stopping": None if run.stopping is None else f"{run.stopping.monitor}, {run.stopping.mode}",
        "the generators": [f"{name} {type(rng.bit_generator).__name__}" for name, rng in generators.by_name.items()],
    }


def differences(run: Run, generators: Generators, here: Identity, notes: dict[str, Any]) -> Iterator[str]:
    """Where a run, whose identity is `here`, is not the one that a file's notes are of, in sentences."""
    there = notes["belongs to"]
    there = with_schedule(there, here) if isinstance(there, dict) else {}
    if here.keys() != there.keys() or not are_rates(there[SCHEDULE]):
        yield "it was written by another version of minnet"
        return
    here = here | {SCHEDULE: _rates(run.optimizer, generators, there[SCHEDULE])}
    for what, own in here.items():
        if what == NUMBERS and own == notes.get("numbers"):
            continue  # set by on_epoch_end in that run, which this one continues with the same optimizer
        unlike = _unlike(what, own, there[what])
        yield from (f"{what}: {a or 'nothing'} here, {b or 'nothing'} in the file" for a, b in unlike)


def changes(run: Run, before: Identity, now: Identity) -> list[str]:
    """What on_epoch_end has changed that a checkpoint could not give back, in words."""
    kept = [OPTIMIZER, SCHEDULE, PARAMETERS, *(what for what in DATA if isinstance(getattr(run, what), Batches))]
    return [f"{what}: {a} became {b}" for what in kept for a, b in _unlike(what, before[what], now[what])]


def with_schedule(there: Identity, here: Identity) -> Identity:
    """The identity in a file. Older files have no rates of the schedule: then ours are taken to be the same."""
    if SCHEDULE in there:
        return there
    return there | {OPTIMIZER: str(there.get(OPTIMIZER)).partition(", lr=")[0], SCHEDULE: here[SCHEDULE]}


def plain_numbers(optimizer: Optimizer) -> dict[str, Any]:
    """The numbers of an optimizer by name, as a file gives them back; a callback may set some."""
    return {name: np.asarray(value).tolist() for name, value in numbers_of(optimizer).items()}


def _rates(optimizer: Optimizer, generators: Generators, steps: Iterable[str] | None) -> Rates:
    """The rates of a schedule at these steps, or at a sample. Raises ValueError if a second call gives others."""
    schedule, states = optimizer.lr, generators.states()
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
        generators.set_states(states)  # it may have drawn


def _size(data: Data | None) -> str:
    """How much there is, as far as it can be told without reading it."""
    if isinstance(data, Batches):
        return f"{len(data.x)} samples of {data.x.shape[1:]} in batches of {data.batch_size}, shuffle={data.shuffle}"
    return f"{len(data)} batches" if isinstance(data, Sized) else "nothing" if data is None else "batches"


def _unlike(what: str, one: Any, other: Any) -> list[tuple[Any, Any]]:
    """Where two parts of identities differ."""
    return difference(one, other) if what == SCHEDULE else [(a, b) for a, b in _pairs(one, other) if a != b]


def _pairs(one: Any, other: Any) -> Iterable[tuple[Any, Any]]:
    """The corresponding entries of two parts of identities; None where one of them has none."""
    if isinstance(one, dict) and isinstance(other, dict):
        texts = ([f"{name}={part[name]}" if name in part else None for name in one | other] for part in (one, other))
        return zip(*texts)
    lists = isinstance(one, list) and isinstance(other, list)
    return zip_longest(one, other) if lists else [(one, other)]
