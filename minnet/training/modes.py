"""A model in training or in evaluation mode for a while, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..layer import Layer, thread


@contextmanager
def in_mode(model: Layer, training: bool) -> Iterator[None]:
    """All layers in training mode, but for frozen ones, or this thread in evaluation mode; afterwards all as before.

    The layers are left without a cache. That also holds when Ctrl-C interrupts the tidying up, which is then done
    again.
    """
    evaluating, modes = thread.evaluating, [(layer, layer._training) for layer in model.walk(Layer).values()]

    def tidy_up() -> None:
        thread.evaluating = evaluating
        for layer, mode in modes:
            layer.training = mode
        model.clear_cache()

    try:
        try:
            thread.evaluating = not training
            if training:
                model.train()
            yield
        finally:
            tidy_up()
    except KeyboardInterrupt:
        tidy_up()
        raise
