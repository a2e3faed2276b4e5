"""A model in training or in evaluation mode for a while, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..layer import Layer, thread


@contextmanager
def in_mode(model: Layer, training: bool) -> Iterator[None]:
    """All layers in training mode, but for frozen ones, or in evaluation mode; afterwards all as before.

    In evaluation mode, the thread is so too, for layers that are not found. One that was frozen or unfrozen meanwhile
    keeps the mode that it has from that. The layers are left without a cache. That also holds when Ctrl-C interrupts
    the tidying up, which is then done again.
    """
    evaluating, layers = thread.evaluating, model.walk(Layer).values()
    before = [(layer, layer.frozen, layer._training) for layer in layers]

    def tidy_up() -> None:
        thread.evaluating = evaluating
        for layer, frozen, mode in before:
            if layer.frozen == frozen:
                layer.training = mode
        model.clear_cache()

    try:
        try:
            thread.evaluating = not training
            model.train(training)  # also for threads that a layer starts
            yield
        finally:
            tidy_up()
    except KeyboardInterrupt:
        tidy_up()
        raise
