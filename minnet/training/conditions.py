"""A run as the arguments of fit ask for it, once it is known that they fit each other and the data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from ..arguments import described, flag, whole_number
from ..files.archive import file_path
from ..layer import Layer
from ..optimizers.optimizer import Optimizer
from .checkpoint import Checkpoint
from .history import History
from .inputs import (
    Data,
    Metrics,
    batched,
    check_batch_size,
    check_batches,
    check_metrics,
    check_model,
    check_modes,
    check_optimizers,
    check_values,
)
from .progress import LINES
from .run import Run
from .updates import Updates


def new_run(
    model: Layer,
    optimizer: Optimizer | Sequence[Optimizer],
    train: Data,
    epochs: int,
    validation: Data | None,
    metrics: Metrics | None,
    history: History | None,
    accumulate: int,
    steps_per_epoch: int | None,
) -> Run:
    """A run without callbacks and early stopping. Raises TypeError and ValueError for arguments that don't fit."""
    check_model("fit", model)
    optimizers = check_optimizers(model, optimizer)
    accumulate = whole_number("fit", "accumulate", accumulate, least=1)
    if history is not None and not isinstance(history, History):
        raise TypeError(f"fit: expected history to be a History, got {history!r}")
    run = Run(
        model,
        Updates(model, optimizers, accumulate),
        batched("fit", "train", train, model, training=True),
        whole_number("fit", "epochs", epochs, least=0),
        validation=batched("fit", "validation", validation, model),
        metrics={} if metrics is None else metrics,
        history=History() if history is None else history,
    )
    if steps_per_epoch is not None:
        run.steps_per_epoch = whole_number("fit", "steps_per_epoch", steps_per_epoch, least=1)
    run.values_checked = _check_data(run)
    return run


def new_checkpoint(run: Run, path: str | os.PathLike[str] | None, every: int | None, new_lr: bool) -> Checkpoint | None:
    """The checkpoint of a run, if there is a path. Raises TypeError and ValueError for what it can't resume from."""
    new_lr, accumulate = flag("fit", "new_lr", new_lr), run.updates.accumulate
    if every is not None:
        every = whole_number("fit", "checkpoint_every", every, least=1)
        if path is None:
            raise ValueError(f"fit: expected a checkpoint to write every {every} batches, got none")
        if every % accumulate:
            raise ValueError(
                f"fit: expected checkpoint_every to be a multiple of accumulate={accumulate}, since a checkpoint is "
                f"written between steps, got {every}"
            )
    if path is None:
        if new_lr:
            raise ValueError("fit: expected a checkpoint to resume from with new_lr=True, got none")
        return None
    if isinstance(run.train, Iterator):
        raise ValueError(
            "fit: expected train that can be read again, as a run that resumes from a checkpoint does, got a "
            f"{type(run.train).__name__}; give an object whose __iter__ begins anew, or no checkpoint"
        )
    return Checkpoint(run, file_path("fit", path), every, new_lr)


def check_progress(progress: Any) -> bool | str:
    """progress as True, False or "lines". Raises TypeError or ValueError for anything else."""
    if not isinstance(progress, str):
        return flag("fit", "progress", progress)
    if progress != LINES:
        raise ValueError(f'fit: expected progress to be True, False or "{LINES}", got {described(progress)}')
    return progress


def _check_data(run: Run) -> bool:
    """Check data, metrics and modes. Returns whether all values could be checked too."""
    check_metrics("fit", run.metrics)
    check_batches("fit", "train", run.train, again=run.steps_per_epoch is None)
    check_batch_size(run.train)
    if run.validation is not None:
        check_batches("fit", "validation", run.validation, again=True)
    elif run.metrics:
        raise ValueError("fit: expected validation data, which metrics are measured on, got none")
    check_modes(run.model)
    checked = check_values("train", run.train)
    return checked if run.validation is None else check_values("validation", run.validation) and checked
