"""All layers of a model in one mode for a while, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..layer import Layer


@contextmanager
def in_mode(model: Layer, training: bool) -> Iterator[None]:
    """All layers in one mode; afterwards each in the mode that it had, without a cache.

    That also holds when Ctrl-C interrupts the tidying up, which is then done again.
    """
    before = [(layer, layer.training) for layer in model.walk(Layer).values()]

    def tidy_up() -> None:
        for layer, mode in before:
            layer.training = mode
        model.clear_cache()

    try:
        try:
            model.train(training)
            yield
        finally:
            tidy_up()
    except KeyboardInterrupt:
        tidy_up()
        raise
