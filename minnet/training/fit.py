"""The training loop. Layers differentiate, optimizers update, and fit decides when."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterable, Sequence, Sized
from typing import Any

from ..layer import Layer
from ..optimizers.optimizer import Optimizer
from .callbacks import BatchCallback, BatchEnd, Callback, Callbacks
from .checkpoint import Checkpoint
from .conditions import check_progress, new_checkpoint, new_run
from .divergence import Guard, without_warnings
from .early_stopping import early_stopping
from .evaluate import float_of, measure
from .history import History
from .inputs import Data, Metrics, check_optimizers, checked, unshuffled
from .modes import in_mode
from .progress import Progress
from .run import Run
from .walk import Walk


def fit(
    model: Layer,
    optimizer: Optimizer | Sequence[Optimizer],
    train: Data,
    epochs: int,
    validation: Data | None = None,
    *,
    metrics: Metrics | None = None,
    accumulate: int = 1,
    steps_per_epoch: int | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    monitor: str = "val_loss",
    mode: str | None = None,
    on_epoch_end: Callback | Sequence[Callback] | None = None,
    on_batch_end: BatchCallback | Sequence[BatchCallback] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    new_lr: bool = False,
    progress: bool | str = True,
    history: History | None = None,
) -> History:
    """Train a model.

    What is trained, and on what:
    model: called as model(x, y), or model(x, y, sample_weight), for the loss, a float. A Sequential that ends in a
    loss, or a layer of your own with forward(x, y=None, sample_weight=None), where without y the prediction is
    wanted, and backward(), as in examples/siamese.py.
    optimizer: of the model's parameters; or a list of several, of different ones, which step together.
    train, validation: a Batches, or another iterable of (x, y), or of (x, y, sample_weight), for every epoch again; x
    may be a tuple of arrays, with a row for each sample in each of them, if the model takes one. Or
    the arrays themselves, as a tuple (x, y) or (x, y, sample_weight): train is then Batches of 32 rows, in which
    integers stay integers where x is integer. A tuple of tuples or lists of arrays has batches in it. Batches are not
    shuffled for validation.
    metrics: functions metric(y_true, y_pred) by name, for the validation data; recorded as val_NAME.

    How it steps:
    epochs: how many in all, with those of a run that is resumed; each is a pass over train.
    steps_per_epoch: how many batches make an epoch instead, for data that are very long or without an end, such as an
    iterator. The next epoch goes on where the last one has ended.
    accumulate: how many batches there are to a step, which takes the mean of their gradients; at the end of an epoch
    that of those that are left.

    When it stops early:
    patience, min_delta: stop after so many epochs in a row in which `monitor`, a column of the history, has not
    improved by more than min_delta since it last did. The parameters and buffers of the best epoch, by however little,
    are then restored, however training ends; the checkpoint has those of the last epoch, to resume from.
    mode: "min" or "max", which of them is better; for losses min and for accuracies max by default.

    What can be watched:
    on_epoch_end: a function, or a list of them, called with the history after each epoch; if one returns False,
    training ends. When a run that it has ended is resumed, it is called once more at first. What it prints appears
    above the bars; layers that it puts into evaluation mode train again afterwards.
    on_batch_end: likewise, called after each backward and before the step, with an object that has epoch, batch, loss
    and lr, the rate of that step; the gradients are in the parameters, with accumulate their sum since the last step.
    If one returns False, training ends at once: that batch is not applied, its epoch not recorded, no checkpoint
    written.
    progress: False to show no bars, as where there is no terminal; "lines" for a line an epoch in their place, on
    stderr, for logs. Both show figures of training and validation in pairs, loss=0.43/0.52.
    history: what to append to, so that it is there after an interruption too; a new History by default.

    What is resumed:
    checkpoint: a file of all that the rest of the training depends on, written after each epoch, and after every
    `checkpoint_every` batches too, a multiple of accumulate. If it is there already, training resumes from it, and its
    result is bit for bit that of a run that was never interrupted: for the same seed on the same machine, with the same
    number of threads for matrix products. It has the parameters and buffers, the optimizer with the numbers that
    on_epoch_end has set, the order of the batches, history and patience, and the states of generators: the package's,
    and each numpy.random.Generator that is reachable from model, optimizer and data through attributes, lists, tuples,
    dicts, and functions there (their closures and defaults, and generators of the script that they name themselves).
    Other state of a layer belongs in a Buffer; state of callbacks is not saved. Data that draw while they are read
    need a generator of their own; an iterator can't be read again, and is refused. To find its place, data with
    steps_per_epoch are read again from where their walk began.
    The file of another model, optimizer, schedule, size of data or set of metrics is refused. A schedule is compared by
    its rates at a sample of steps, of those to come above all, and where it jumps; one that depends on more than the
    step is refused. The values of the data, and the seed, are not compared. From an older file, which has no learning
    rates in its history, those of its epochs are NaN.
    new_lr: True to go on with the learning rate or schedule that the optimizer has now, whatever the file has, as for
    more epochs than a schedule was made for. A schedule is asked for the steps from that in the file on.

    Returns the history. All layers train but for frozen ones, whatever mode they were in together; each is put back
    into it afterwards, and no cache or gradient is left behind, also when training ends by an exception, such as
    KeyboardInterrupt. Parameters that no optimizer holds keep no gradient from one batch to the next either.
    Raises FloatingPointError when a loss or gradient is not finite, before that batch changes anything, with the layer
    where it began; and, at the end of an epoch or before a checkpoint is written, when an update has made a parameter,
    a buffer or a moment of an optimizer not finite. Raises CheckpointError for a file that is damaged or of another
    run; TypeError and ValueError for arguments and data that don't fit, and for a model with some layers in evaluation
    mode that are not frozen, before anything is changed; and what the model, metrics or callbacks raise.

    Small nets train fastest with one thread for matrix products, on a busy machine by far: set the environment variable
    OPENBLAS_NUM_THREADS=1 before NumPy is imported (MKL_NUM_THREADS, VECLIB_MAXIMUM_THREADS for other libraries).
    """
    run = new_run(model, optimizer, train, epochs, validation, metrics, history, accumulate, steps_per_epoch)
    run.on_epoch_end = Callbacks("on_epoch_end", on_epoch_end)
    run.on_batch_end = Callbacks("on_batch_end", on_batch_end)
    run.stopping = early_stopping(patience, min_delta, monitor, mode, run.metrics, run.validation is not None)
    file = new_checkpoint(run, checkpoint, checkpoint_every, new_lr)
    _carry_out(run, file, check_progress(progress))
    return run.history


def _carry_out(run: Run, checkpoint: Checkpoint | None, progress: bool | str) -> None:
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
    position, guard = run.position, Guard(run.model, run.updates.optimizers)
    walk = Walk(run, checkpoint.batches if checkpoint else lambda done: run.train)
    if run.stopped:  # The callback may be another one now. It gets a copy: the history has what it changed before.
        with bars.hidden(run.on_epoch_end):
            run.stopped = _ends_training(run, copy.deepcopy(run.history))
    while run.has_next_epoch():
        start = time.perf_counter() - position.seconds
        with without_warnings():
            if not _train_epoch(run, walk, checkpoint, guard, bars, start):
                return
            guard.after_update(f"epoch {position.epoch + 1}", position.last)
            results = position.figures() | _validate(run, bars)
        if run.stopping:
            run.stopping.update(results, run.model)
        position.next_epoch()
        run.values_checked = True
        results |= run.updates.last_lr()
        run.history.record(**results, seconds=time.perf_counter() - start)
        bars.epoch(results, run.history["seconds"][-1])
        with bars.hidden(run.on_epoch_end):
            run.stopped = _ends_training(run, run.history)
        if checkpoint:
            checkpoint.write()


def _train_epoch(
    run: Run, walk: Walk, checkpoint: Checkpoint | None, guard: Guard, bars: Progress, start: float
) -> bool:
    """Train on the remaining batches of the epoch that began at `start`. Returns False if on_batch_end ends it."""
    model, judge, updates, position, watched = run.model, run.judge, run.updates, run.position, bool(run.on_batch_end)
    before_batch = [part.before_batch for part in (guard, judge) if part.prepares]
    for batch in _batches(run, walk, bars):
        for prepare in before_batch:
            prepare()
        try:
            loss = float_of(model, model(*batch))
            correct = judge.correct()
            if finite := math.isfinite(loss):
                model.backward()
                finite = updates.gradient_is_finite()
            if finite:
                if watched and _ends_at_batch(run, loss):
                    return False
                updates.add_batch()
        except Exception as error:
            error.add_note(f"fit: this was in {run.place()}")
            raise
        if not finite:
            raise guard.diverged(run.place(), loss, position.last, batch)
        position.add(loss, correct)
        if checkpoint and checkpoint.is_due():
            _write_within_epoch(run, checkpoint, guard, start)
    if not position.batch:
        raise ValueError("fit: expected train to have at least one batch, got none")
    updates.step()
    return True


def _write_within_epoch(run: Run, checkpoint: Checkpoint, guard: Guard, start: float) -> None:
    """Write the checkpoint, unless what it would hold is not finite."""
    run.position.seconds = time.perf_counter() - start
    guard.after_update(f"epoch {run.position.epoch + 1}, batch {run.position.batch}", run.position.last)
    checkpoint.write()


def _batches(run: Run, walk: Walk, bars: Progress) -> Iterable[Any]:
    """The batches of the present epoch that are to come, with a bar if they take long, and checked if they must be."""
    position = run.position

    def figures() -> dict[str, float]:
        return position.figures() | run.updates.last_lr()

    batches = bars.walk(walk.epoch(), run.length(), position.batch, figures)
    return batches if run.values_checked else checked("train", batches, position.batch)


def _validate(run: Run, bars: Progress) -> dict[str, float]:
    """The figures of the validation data, if there are any."""
    if run.validation is None:
        return {}
    data = unshuffled(run.validation)
    total = len(data) if isinstance(data, Sized) else None
    data = data if run.values_checked else checked("validation", data)
    data = bars.walk(data, total, what="validation")
    measured = measure("fit", "validation", run.model, data, run.metrics)
    return {f"val_{name}": value for name, value in measured.items()}


def _last_figures(run: Run) -> dict[str, float]:
    """What the bar showed after the last epoch of a run that is resumed."""
    if not run.position.epoch:
        return {}
    figures = {name: column[-1] for name, column in run.history.items() if column and name != "seconds"}
    return figures | run.updates.last_lr()


def _ends_training(run: Run, history: History) -> bool:
    """Call on_epoch_end with this history, and switch back to training mode; whether it ends the training."""
    if not run.on_epoch_end:
        return False
    ends = run.on_epoch_end.end_training(history)
    run.model.train()
    check_optimizers(run.model, run.updates.optimizers)  # it may have frozen or unfrozen a part
    return ends


def _ends_at_batch(run: Run, loss: float) -> bool:
    """Call on_batch_end, and switch back to training mode; whether it ends the training."""
    first = run.updates.optimizers[0]
    told = BatchEnd(run.position.epoch + 1, run.position.batch + 1, loss, float(first.lr_at(first.steps)))
    ends = run.on_batch_end.end_training(told)
    run.model.train()
    return ends
