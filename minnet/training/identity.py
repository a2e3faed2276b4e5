"""What tells a training run from another: only the run that a checkpoint is of may resume from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sized
from itertools import zip_longest
from typing import Any

import numpy as np

from ..data.batches import Batches
from ..layer import Buffer, Parameter
from ..optimizers.optimizer import Optimizer, numbers_of
from ..parts import named_parts
from .generators import Generators
from .inputs import Data
from .rates import Rates, are_rates, difference, rates_at, sample
from .run import Run

FORMAT = 1  # increase it when the meaning of something in a checkpoint changes, of an optimizer's moments for example

# Keys of an identity. Files have them, and errors show them. Those of an optimizer are numbered from the second one on.
OPTIMIZER, SCHEDULE, NUMBERS, PARAMETERS = "the optimizer", "its learning rate", "its numbers", "its parameters"
DATA = "train", "validation"
NEWER = {"batches of a step": 1, "batches of an epoch": None}  # what older files do not have, and what it was then

Identity = dict[str, Any]


def numbered(what: str, i: int) -> str:
    """What something of the i-th optimizer is called."""
    return f"optimizer {i}, {what}" if i else what


def identity_of(run: Run, generators: Generators, at: Identity | None = None) -> Identity:
    """What must match for a checkpoint to be of this run: texts, lists of texts, and rates at the steps of `at`."""
    names = {id(p): name for name, p in run.model.named_parameters().items()}
    identity: Identity = {
        "the format": FORMAT,
        "the model": re.sub(" at 0x[0-9a-fA-F]+", "", repr(run.model)).splitlines(),
        "the arrays": [f"{n} {s.data.dtype} {s.data.shape}" for n, s in run.model.walk(Parameter, Buffer).items()],
    }
    for i, optimizer in enumerate(run.updates.optimizers):
        schedule = numbered(SCHEDULE, i)
        identity |= {
            numbered(OPTIMIZER, i): optimizer.name,
            schedule: _rates(optimizer, generators, at and at[schedule]),
            numbered(NUMBERS, i): plain_numbers(optimizer),
            numbered(PARAMETERS, i): [names[id(p)] + ", not decayed" * (not p.decay) for p in optimizer.parameters],
        }
    return identity | {
        **{what: _size(getattr(run, what)) for what in DATA},
        "the metrics": sorted(run.metrics),
        "early stopping": None if run.stopping is None else f"{run.stopping.monitor}, {run.stopping.mode}",
        "the generators": [f"{name} {type(rng.bit_generator).__name__}" for name, rng in generators.by_name.items()],
        "batches of a step": run.updates.accumulate,
        "batches of an epoch": run.steps_per_epoch,
    }


def differences(
    run: Run, generators: Generators, here: Identity, notes: dict[str, Any], new_lr: bool = False
) -> Iterator[str]:
    """Where a run, whose identity is `here`, is not the one that a file's notes are of, in sentences.

    new_lr: whether the learning rate may be another.
    """
    there = notes["belongs to"]
    there = completed(there, here) if isinstance(there, dict) else {}
    ours, theirs = (sum(what.endswith(OPTIMIZER) for what in identity) for identity in (here, there))
    schedules, numbers = ([numbered(what, i) for i in range(ours)] for what in (SCHEDULE, NUMBERS))
    if theirs not in (0, ours):
        yield f"the optimizers: {ours} here, {theirs} in the file"
        return
    if here.keys() != there.keys() or not all(are_rates(there[what]) for what in schedules):
        yield "it was written by another version of minnet"
        return
    here = identity_of(run, generators, there)
    for what, own in here.items():
        other, now = there[what], None
        if what in numbers:
            now = notes.get(numbered("numbers", numbers.index(what)))
            if new_lr:
                own, other, now = (without_lr(each) for each in (own, other, now))
        # What on_epoch_end has set in that run, this one continues with the same optimizer.
        if (what in numbers and own == now) or (what in schedules and new_lr):
            continue
        unlike = _unlike(what, own, other)
        yield from (f"{what}: {a or 'nothing'} here, {b or 'nothing'} in the file" for a, b in unlike)


def changes(run: Run, before: Identity, now: Identity) -> list[str]:
    """What on_epoch_end has changed that a checkpoint could not give back, in words."""
    several = range(len(run.updates.optimizers))
    kept = [numbered(what, i) for i in several for what in (OPTIMIZER, SCHEDULE, PARAMETERS)]
    kept += [what for what in DATA if isinstance(getattr(run, what), Batches)]
    return [f"{what}: {a} became {b}" for what in kept for a, b in _unlike(what, before[what], now[what])]


def completed(there: Identity, here: Identity) -> Identity:
    """The identity in a file. Older files have no rates of the schedule: then ours are taken to be the same."""
    there = NEWER | there
    if SCHEDULE in there:
        return there
    return there | {OPTIMIZER: str(there.get(OPTIMIZER)).partition(", lr=")[0], SCHEDULE: here[SCHEDULE]}


def with_steps_to_come(identity: Identity, run: Run, generators: Generators) -> Identity:
    """The identity with the rates of the steps that the run has left too: a file is compared by these above all."""
    steps = math.ceil((run.length() or 0) / run.updates.accumulate) * run.epochs
    to_come = {}
    for i, optimizer in enumerate(run.updates.optimizers):
        rates = _rates(optimizer, generators, start=optimizer.steps, end=steps)
        to_come[numbered(SCHEDULE, i)] = identity[numbered(SCHEDULE, i)] | rates
    return identity | to_come


def plain_numbers(optimizer: Optimizer) -> dict[str, Any]:
    """The numbers of an optimizer by name, as a file gives them back; a callback may set some."""
    return {name: np.asarray(value).tolist() for name, value in numbers_of(optimizer).items()}


def without_lr(numbers: Any) -> Any:
    """Numbers of an optimizer but for its learning rate."""
    return {name: value for name, value in numbers.items() if name != "lr"} if isinstance(numbers, dict) else numbers


def _rates(
    optimizer: Optimizer, generators: Generators, steps: Iterable[str] | None = None, start: int = 0, end: int = 0
) -> Rates:
    """The rates of a schedule at these steps, or at a sample. Raises ValueError if a second call gives others."""
    schedule, states = optimizer.lr, generators.states()
    if not callable(schedule):
        return {}
    try:
        rates = rates_at(schedule, steps) if steps else sample(schedule, start, end)
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
        dropped = ", drop_last=True" * bool(getattr(data, "drop_last", False))
        shapes = " and ".join(str(part.shape[1:]) for part in named_parts(data.x).values())
        size = f"{data.y.shape[0]} samples of {shapes} in batches of {data.batch_size}"
        return f"{size}, shuffle={data.shuffle}{dropped}"
    return f"{len(data)} batches" if isinstance(data, Sized) else "nothing" if data is None else "batches"


def _unlike(what: str, one: Any, other: Any) -> list[tuple[Any, Any]]:
    """Where two parts of identities differ."""
    return difference(one, other) if what.endswith(SCHEDULE) else [(a, b) for a, b in _pairs(one, other) if a != b]


def _pairs(one: Any, other: Any) -> Iterable[tuple[Any, Any]]:
    """The corresponding entries of two parts of identities; None where one of them has none."""
    if isinstance(one, dict) and isinstance(other, dict):
        texts = ([f"{name}={part[name]}" if name in part else None for name in one | other] for part in (one, other))
        return zip(*texts)
    lists = isinstance(one, list) and isinstance(other, list)
    return zip_longest(one, other) if lists else [(one, other)]
