"""How errors and reports name a layer, and what it was given."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tree import Node


def one_line(layer: Node) -> str:
    """The layer on one line: its repr, or Name(...) if the repr has several lines."""
    text = repr(layer)
    return text if "\n" not in text else f"{type(layer).__name__}(...)"


def shapes(*inputs: Any) -> str:
    """A layer's inputs, as text for an error: the shape of an array, those in a tuple, the type of anything else."""

    def told(x: Any) -> str:
        if isinstance(x, tuple):
            return f"a tuple of {', '.join(map(told, x))}"
        return f"shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__

    return ", ".join(map(told, inputs))


def add_location(error: Exception, layer: Node, place: str) -> None:
    """Prefix an error's message with a place, which replaces the layer's repr if the message starts with it."""
    if len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{place}: {error.args[0].removeprefix(f'{layer!r}: ')}",)
    else:
        error.add_note(place)


def literal(value: Any) -> str:
    """An argument as it would be written in a call."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return getattr(value, "__name__", None) or repr(value)
