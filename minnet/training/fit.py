"""The training loop. Layers differentiate, optimizers update, and fit decides when."""

from __future__ import annotations

import copy
import math
import os
import time
from pathlib import Path

import numpy as np

from ..arguments import flag, whole_number
from ..files.archive import file_path
from ..layer import Layer
from ..optimizers.optimizer import Optimizer
from .checkpoint import Checkpoint
from .divergence import Guard, without_warnings
from .early_stopping import early_stopping
from .evaluate import loss_of, measure
from .history import History
from .inputs import (
    Data,
    Metrics,
    check_batch_size,
    check_batches,
    check_metrics,
    check_model,
    check_optimizer,
    check_values,
    checked,
)
from .modes import in_mode
from .progress import Progress
from .run import Callback, Run


def fit(
    model: Layer,
    optimizer: Optimizer,
    train: Data,
    epochs: int,
    validation: Data | None = None,
    *,
    metrics: Metrics | None = None,
    patience: int | None = None,
    monitor: str = "val_loss",
    mode: str | None = None,
    on_epoch_end: Callback | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    progress: bool = True,
    history: History | None = None,
) -> History:
    """Train a model.

    model: called as model(x, y) for the loss, a float; a Sequential that ends in a loss, or a layer of your own.
    optimizer: of the model's parameters.
    train, validation: a Batches, or another iterable of (x, y), or of (x, y, sample_weight), for every epoch again.
    epochs: the total number of passes over train, with those of a run that is resumed.
    metrics: functions metric(y_true, y_pred) by name, for the validation data; recorded as val_NAME.
    patience: stop after this many epochs in a row in which `monitor`, a column of the history, has not improved. The
    parameters and buffers of the best epoch are then restored, however training ends; the checkpoint has those of the
    last epoch, to resume from.
    mode: "min" or "max", which of them is better; for losses min and for accuracies max by default.
    on_epoch_end: called with the history after each epoch; if it returns False, training ends. When a run that it has
    ended is resumed, it is called once more at first. What it prints appears above the bars; layers that it puts into
    evaluation mode train again afterwards.
    checkpoint: a file of all that the rest of the training depends on, written after each epoch, and after every
    `checkpoint_every` batches too. If it is there already, training resumes from it, and its result is bit for bit that
    of a run that was never interrupted. It has the parameters and buffers, the optimizer with the numbers that
    on_epoch_end has set, the order of the batches, history and patience, and the states of generators: the package's,
    and each numpy.random.Generator that is reachable from model, optimizer and data through attributes, lists, tuples,
    dicts, and functions there (their closures and defaults, and generators of the script that they name themselves).
    Other state of a layer belongs in a Buffer; state of on_epoch_end is not saved. Data that draw while they are read
    need a generator of their own. The file of another model, optimizer, schedule, size of data or set of metrics is
    refused. A schedule is compared by its rates at a sample of steps and where it jumps; one that depends on more than
    the step is refused. The values of the data, and the seed, are not compared.
    progress: False to show no bars, as where there is no terminal; they show figures of training and validation in
    pairs, loss=0.43/0.52, as many as there is room for.
    history: what to append to, so that it is there after an interruption too; a new History by default.

    Returns the history. All layers train, whatever mode they were in; each is put back into that mode afterwards, and
    no cache or gradient is left behind, also when it ends by an exception, such as KeyboardInterrupt.
    Raises FloatingPointError when a loss or gradient is not finite, before that batch changes anything, with the layer
    where it began; and, at the end of an epoch or before a checkpoint is written, when an update has made a parameter,
    a buffer or a moment of the optimizer not finite. Raises CheckpointError for a file that is damaged or of another
    run; TypeError and ValueError for arguments and data that don't fit, before anything is changed; and what the model,
    the metrics or on_epoch_end raise.

    Small nets train fastest with one thread for matrix products, on a busy machine by far: set the environment variable
    OPENBLAS_NUM_THREADS=1 before NumPy is imported (MKL_NUM_THREADS, VECLIB_MAXIMUM_THREADS for other libraries).
    """
    history = History() if history is None else history
    metrics = {} if metrics is None else metrics
    _check_arguments(model, optimizer, epochs, on_epoch_end, history)
    run = Run(model, optimizer, train, epochs, validation=validation, metrics=metrics, history=history)
    run.on_epoch_end = on_epoch_end
    run.stopping = early_stopping(patience, monitor, mode, metrics, validation is not None)
    path, every = _check_checkpoint(checkpoint, checkpoint_every)
    run.values_checked = _check_data(train, validation, metrics)
    progress = flag("fit", "progress", progress)
    _carry_out(run, Checkpoint(run, path, every) if path else None, progress)
    return history


def _carry_out(run: Run, checkpoint: Checkpoint | None, progress: bool) -> None:
    """Resume if there is a checkpoint, train for the remaining epochs, and put the model in order."""
    try:
        try:
            with in_mode(run.model, training=True):
                if checkpoint:
                    checkpoint.resume()
                run.model.zero_grad()
                monitored = run.stopping.monitor if run.stopping else "loss"
                with Progress(progress, run.epochs, run.position.epoch, monitored, _last_figures(run)) as bars:
                    _train(run, checkpoint, bars)
        finally:
            run.finish()
    except KeyboardInterrupt:
        run.finish()  # again, since Ctrl-C may have come in the middle of it
        raise


def _train(run: Run, checkpoint: Checkpoint | None, bars: Progress) -> None:
    """Train for the remaining epochs."""
    position, guard = run.position, Guard(run.model, run.optimizer)
    if run.stopped:  # The callback may be another one now. It gets a copy: the history has what it changed before.
        with bars.hidden(run.on_epoch_end):
            run.stopped = _ends_training(run, copy.deepcopy(run.history))
    while run.has_next_epoch():
        start = time.perf_counter() - position.seconds
        with without_warnings():
            _train_epoch(run, checkpoint, guard, bars, start)
            guard.after_update(f"epoch {position.epoch + 1}", position.last)
            results = position.figures() | _validate(run, bars)
        if run.stopping:
            run.stopping.update(results, run.model)
        position.next_epoch()
        run.values_checked = True
        run.history.record(**results, seconds=time.perf_counter() - start)
        bars.epoch(results | run.last_lr())
        with bars.hidden(run.on_epoch_end):
            run.stopped = _ends_training(run, run.history)
        if checkpoint:
            checkpoint.write()


def _train_epoch(run: Run, checkpoint: Checkpoint | None, guard: Guard, bars: Progress, start: float) -> None:
    """Train on the remaining batches of the epoch that began at `start`."""
    model, optimizer, position = run.model, run.optimizer, run.position
    batches = checkpoint.batches() if checkpoint else run.train
    batches = bars.walk(batches, run.train, position.batch, lambda: position.figures() | run.last_lr())
    for batch in batches if run.values_checked else checked("train", batches, position.batch):
        guard.before_batch()
        try:
            loss = loss_of(model, *batch)
            correct = model.count_correct()
            if math.isfinite(loss):
                model.backward()
            if finite := math.isfinite(loss) and optimizer.gradient_is_finite():
                optimizer.step()
        except Exception as error:
            error.add_note(f"fit: this was in {_place(run)}")
            raise
        if not finite:
            raise guard.diverged(_place(run), loss, position.last, batch)
        position.add(loss, correct)
        if checkpoint and checkpoint.is_due():
            position.seconds = time.perf_counter() - start
            guard.after_update(f"epoch {position.epoch + 1}, batch {position.batch}", position.last)
            checkpoint.write()
    if not position.batch:
        raise ValueError("fit: expected train to have at least one batch, got none")


def _validate(run: Run, bars: Progress) -> dict[str, float]:
    """The figures of the validation data, if there are any."""
    if run.validation is None:
        return {}
    data = run.validation if run.values_checked else checked("validation", run.validation)
    data = bars.walk(data, run.validation, what="validation")
    measured = measure("fit", "validation", run.model, data, run.metrics)
    return {f"val_{name}": value for name, value in measured.items()}


def _last_figures(run: Run) -> dict[str, float]:
    """What the bar showed after the last epoch of a run that is resumed."""
    if not run.position.epoch:
        return {}
    return {name: column[-1] for name, column in run.history.items() if column and name != "seconds"} | run.last_lr()


def _place(run: Run) -> str:
    return f"epoch {run.position.epoch + 1}, batch {run.position.batch + 1}"


def _ends_training(run: Run, history: History) -> bool:
    """Call on_epoch_end with this history, and switch back to training mode; whether it ends the training."""
    if run.on_epoch_end is None:
        return False
    answer = run.on_epoch_end(history)
    run.model.train()
    return isinstance(answer, (bool, np.bool_)) and not answer


def _check_arguments(
    model: Layer, optimizer: Optimizer, epochs: int, on_epoch_end: Callback | None, history: History
) -> None:
    check_model("fit", model)
    check_optimizer(model, optimizer)
    whole_number("fit", "epochs", epochs, least=0)
    if not isinstance(history, History):
        raise TypeError(f"fit: expected history to be a History, got {history!r}")
    if on_epoch_end is not None and not callable(on_epoch_end):
        raise TypeError(f"fit: expected on_epoch_end to be a function of the history, got {on_epoch_end!r}")


def _check_data(train: Data, validation: Data | None, metrics: Metrics) -> bool:
    """Check data and metrics. Returns whether all values could be checked too."""
    check_metrics("fit", metrics)
    check_batches("fit", "train", train, again=True)
    check_batch_size(train)
    values_checked = check_values("train", train)
    if validation is not None:
        check_batches("fit", "validation", validation, again=True)
        return check_values("validation", validation) and values_checked
    if metrics:
        raise ValueError("fit: expected validation data, which metrics are measured on, got none")
    return values_checked


def _check_checkpoint(path: str | os.PathLike[str] | None, every: int | None) -> tuple[Path | None, int | None]:
    if every is not None:
        every = whole_number("fit", "checkpoint_every", every, least=1)
        if path is None:
            raise ValueError(f"fit: expected a checkpoint to write every {every} batches, got none")
    return None if path is None else file_path("fit", path), every
