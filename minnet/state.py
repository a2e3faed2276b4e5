"""Which arrays of a saved state fit a model, and what is left out."""

from __future__ import annotations

from typing import NamedTuple

from numpy import ndarray as Array

from .arguments import misfits


class LeftOut(NamedTuple):
    """What loading left out, by name; all three are empty where all was loaded.

    missing: what the model has and the state lacks.  unexpected: what the state has and the model lacks.
    mismatched: what both have, with another shape, or with values that the model's dtype can't hold.
    """

    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]


def fitting(own: dict[str, Array], state: dict[str, Array]) -> tuple[dict[str, Array], LeftOut]:
    """The arrays of a state that can replace a model's own of the same name, and what is left out."""
    fits = {name: state[name] for name in own if name in state and not misfits({name: own[name]}, {name: state[name]})}
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    return fits, LeftOut(missing, unexpected, [name for name in own if name in state and name not in fits])
