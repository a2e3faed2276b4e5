"""The loop. Layers differentiate and optimizers update; when, is decided here."""

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
from .checkpoint import resume, write_run
from .divergence import Guard, without_warnings
from .early_stopping import EarlyStopping
from .evaluation import in_mode, loss_of, measure, surely
from .history import History
from .inputs import (
    Data,
    Metrics,
    check_batches,
    check_enough,
    check_metrics,
    check_model,
    check_optimizer,
    check_values,
    checked,
    direction,
)
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
    train, validation: a Batches, or another iterable of (x, y), or of (x, y, sample_weight), that can be walked again.
    epochs: how often train is walked in all, also if a checkpoint is taken up.
    metrics: functions metric(y_true, y_pred) by name, for the validation data; recorded as val_NAME.
    patience: after how many epochs in a row without an improvement of `monitor`, a figure of the history, to stop.
    With it, the parameters and buffers of the best epoch are brought back at the end, whatever ends the training; the
    checkpoint has those of the last epoch, to go on from.
    mode: whether "min" or "max" of the figure is better; known for losses and accuracies.
    on_epoch_end: called with the history after each epoch; if it returns False, the training ends. Taken up from a
    checkpoint after that, it is asked once more. What it prints appears above the bars; layers that it puts into
    evaluation mode train again afterwards.
    checkpoint: a file for all that the rest of the training depends on, written after each epoch, and after every
    `checkpoint_every` batches too. If it's there already, the training goes on where it stopped, and its result is
    that of one that never stopped, to the last bit: of parameters, buffers, optimizer, generators (the package's, and
    each numpy.random.Generator found from model, optimizer and data on: in attributes, lists, tuples, dicts, and what
    functions enclose), order of the batches, history and patience, and numbers of the optimizer that on_epoch_end sets.
    What else changes in a layer belongs in a Buffer; what on_epoch_end keeps for itself is not in the file. Data that
    draw while they are walked need a generator of their own. The file of another model, optimizer, schedule, size of
    data or set of metrics is refused. A schedule is compared by what it gives at a sample of steps and where it jumps;
    one that depends on more than the step is refused. The values of the data, and the seed, are not compared.
    progress: False to show no bars, as where there is no terminal; they show figures of training and validation in
    pairs, loss=0.43/0.52, as many as there is room for.
    history: what to append to, so that it's there after an interruption too; a new History by default.

    Returns the history. All layers train, whatever mode they were in; each is put back into that mode afterwards, and
    no cache or gradient is left behind, also when it ends by an exception, such as KeyboardInterrupt.
    Raises FloatingPointError when a loss or gradient is not finite, before that batch changes anything, with the layer
    where it began; and, at the end of an epoch or before a checkpoint is written, when an update has made a parameter,
    a buffer or a moment of the optimizer so. Raises CheckpointError for a file that is damaged or of another run;
    TypeError and ValueError for arguments and data that don't fit, before anything is changed; and what the model, the
    metrics or on_epoch_end raise.

    Small nets train fastest with one thread for matrix products, on a busy machine by far: set the environment variable
    OPENBLAS_NUM_THREADS=1 before NumPy is imported (MKL_NUM_THREADS, VECLIB_MAXIMUM_THREADS for other libraries).
    """
    history = History() if history is None else history
    metrics = {} if metrics is None else metrics
    _check_arguments(model, optimizer, epochs, on_epoch_end, history)
    stopping = _early_stopping(patience, monitor, mode, validation, metrics)
    path, every = _checkpoint(checkpoint, checkpoint_every)
    seen = _check_data(train, validation, metrics)
    run = Run(model, optimizer, train, epochs, validation, metrics, stopping, on_epoch_end, path, every, history, seen)
    _carry_out(run, flag("fit", "progress", progress))
    return history


def _carry_out(run: Run, progress: bool) -> None:
    """Take up what there is, train the rest, and leave the model in order."""
    with in_mode(run.model, training=True):
        try:
            resume(run)
            run.model.zero_grad()
            monitored = run.stopping.monitor if run.stopping else "loss"
            with Progress(progress, run.epochs, run.position.epoch, monitored, _last_figures(run)) as bars:
                _train(run, bars)
        finally:
            surely(run.leave)


def _train(run: Run, bars: Progress) -> None:
    """All epochs that are still to come."""
    at, guard = run.position, Guard(run.model, run.optimizer)
    if run.stopped:  # it may be another callback now; the history has what it did to it the first time
        with bars.aside(run.on_epoch_end):
            run.stopped = _says_stop(run, copy.deepcopy(run.history))
    while run.goes_on():
        start = time.perf_counter() - at.seconds
        with without_warnings():
            _train_epoch(run, guard, bars, start)
            guard.after_update(f"epoch {at.epoch + 1}", at.last)
            results = at.figures() | _validate(run, bars)
        if run.stopping:
            run.stopping.see(results, run.model)
        at.next_epoch()
        run.seen = True
        run.history.record(**results, seconds=time.perf_counter() - start)
        bars.epoch(results | run.last_lr())
        with bars.aside(run.on_epoch_end):
            run.stopped = _says_stop(run, run.history)
        if run.path:
            write_run(run, run.path)


def _train_epoch(run: Run, guard: Guard, bars: Progress, start: float) -> None:
    """The batches that are to come of the epoch that began at `start`."""
    model, optimizer, at = run.model, run.optimizer, run.position
    batches = bars.walk(run.batches(), run.train, at.batch, lambda: at.figures() | run.last_lr())
    for batch in batches if run.seen else checked("train", batches, at.batch):
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
            raise guard.diverged(_place(run), loss, at.last, batch)
        at.add(loss, correct)
        if run.path and run.every and at.batch % run.every == 0:
            at.seconds = time.perf_counter() - start
            guard.after_update(f"epoch {at.epoch + 1}, batch {at.batch}", at.last)
            write_run(run, run.path)
    if not at.batch:
        raise ValueError("fit: expected train to have at least one batch, got none")


def _validate(run: Run, bars: Progress) -> dict[str, float]:
    """The figures of the validation data, if there are any."""
    if run.validation is None:
        return {}
    data = run.validation if run.seen else checked("validation", run.validation)
    data = bars.walk(data, run.validation, what="validation")
    measured = measure("fit", "validation", run.model, data, run.metrics)
    return {f"val_{name}": value for name, value in measured.items()}


def _last_figures(run: Run) -> dict[str, float]:
    """What the bar showed after the last epoch of a run that is taken up."""
    if not run.position.epoch:
        return {}
    return {name: column[-1] for name, column in run.history.items() if column and name != "seconds"} | run.last_lr()


def _place(run: Run) -> str:
    return f"epoch {run.position.epoch + 1}, batch {run.position.batch + 1}"


def _says_stop(run: Run, history: History) -> bool:
    """Whether the callback, shown this history, ends the training; it may have put layers into evaluation mode."""
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
    """Whether the values in all of it could be looked at."""
    check_metrics("fit", metrics)
    check_batches("fit", "train", train, again=True)
    check_enough(train)
    seen = check_values("train", train)
    if validation is not None:
        check_batches("fit", "validation", validation, again=True)
        return check_values("validation", validation) and seen
    if metrics:
        raise ValueError("fit: expected validation data, which metrics are measured on, got none")
    return seen


def _early_stopping(
    patience: int | None, monitor: str, mode: str | None, validation: Data | None, metrics: Metrics
) -> EarlyStopping | None:
    if patience is None:
        if (monitor, mode) != ("val_loss", None):
            raise ValueError(f"fit: expected patience with monitor={monitor!r} and mode={mode!r}, got none")
        return None
    patience = whole_number("fit", "patience", patience, least=1)
    measured = ["loss", "accuracy"]
    if validation is not None:
        measured += [f"val_{name}" for name in (*measured, *metrics)]
    if monitor not in measured:
        advice = "; give validation data" if validation is None else ""
        raise ValueError(f"fit: expected monitor to be one of {', '.join(measured)}, got {monitor!r}{advice}")
    return EarlyStopping(patience, monitor, direction(monitor, mode))


def _checkpoint(checkpoint: str | os.PathLike[str] | None, every: int | None) -> tuple[Path | None, int | None]:
    if every is not None:
        every = whole_number("fit", "checkpoint_every", every, least=1)
        if checkpoint is None:
            raise ValueError(f"fit: expected a checkpoint to write every {every} batches, got none")
    return None if checkpoint is None else file_path("fit", checkpoint), every
