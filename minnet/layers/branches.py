"""Layers side by side: branches whose outputs become the features of one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, expect_gradient, real_array
from ..calls import expect_own_call, hold, keep_caches
from ..layer import Layer
from ..naming import one_line
from .inner import call_backward, distinct, expect_no_mixing, is_trained, states_of, step, takes_lengths


class _Branches(Layer):
    """What Concatenate and Parallel share: layers side by side, whose outputs are put together along the last axis."""

    _shares = False  # whether another container holds a branch

    def __init__(self, *branches: Layer | Sequence[Layer]) -> None:
        name = type(self).__name__
        if len(branches) == 1 and isinstance(branches[0], (list, tuple)):
            branches = tuple(branches[0])
        self.branches = distinct(name, branches)
        if not branches or any(branch.is_loss for branch in self.branches):
            raise ValueError(f"{name}: expected branches that give arrays, got {branches}")
        self.joins_steps = all(branch.joins_steps for branch in self.branches)
        hold(self, self.branches)

    def joined(self, parts: list[Array]) -> Array:
        """The outputs of the branches side by side."""
        y = _side_by_side(self, parts)
        self.cache = y.shape, np.cumsum([part.shape[-1] for part in parts])[:-1]
        if self._shares:
            keep_caches(self, self.branches)
        return y

    def gradients(self, dy: Array) -> list[Any]:
        """The dx of each branch; None where nobody wants one."""
        shape, ends = self.cache
        expect_gradient(self, dy, shape)
        if self._shares:
            expect_own_call(self, self.branches)
        return [
            call_backward(branch, part, self.input_gradient) if self.input_gradient or is_trained(branch) else None
            for branch, part in zip(self.branches, np.split(dy, ends, axis=-1))
        ]

    def step_each(self, inputs: Sequence[Any], state: Any) -> tuple[Array, Any]:
        """One step of each branch with its own input."""
        states = states_of(self, state, len(self.branches))
        steps = [step(branch, x, state) for branch, x, state in zip(self.branches, inputs, states)]
        return _side_by_side(self, [y for y, _ in steps]), tuple(state for _, state in steps)


def _side_by_side(layer: Layer, parts: list[Array]) -> Array:
    """The outputs of branches as one array. Raises ValueError if they differ in more than their last axis."""
    if len({part.shape[:-1] for part in parts}) > 1:
        got = " and ".join(str(part.shape) for part in parts)
        raise ValueError(f"{one_line(layer)}: expected branches that differ in the last axis only, got {got}")
    # A branch that returns x may keep its dtype, uint8 or float64; the result has the smallest floating dtype.
    floating = [part.dtype for part in parts if part.dtype.kind == "f"]
    dtype = min(floating, key=lambda dtype: dtype.itemsize, default=None)
    return np.concatenate(parts, axis=-1, dtype=dtype)


class Concatenate(_Branches):
    """Applies every branch to x and concatenates their features.

    Forward     y = (f₁(x), f₂(x), …) along the last axis
    Backward    dx = f₁'(dy₁) + f₂'(dy₂) + …, where dyᵢ is the part of dy that belongs to branch i

    Shapes      x (...)   fᵢ(x) (..., Kᵢ)   y (..., K₁ + K₂ + …)

    branches: layers; for a branch of several layers, a Sequential.
    Raises TypeError for what is not a layer; ValueError for no branch, one in two places, a loss, or outputs that
    differ in more than their last axis.
    Source: Szegedy et al. 2015.
    """

    def forward(self, x: Array, lengths: Array | None = None) -> Array:
        x = x if type(x) is Array else real_array(one_line(self), x)
        if lengths is None:
            return self.joined([branch(x) for branch in self.branches])
        for branch in self.branches:
            expect_no_mixing(branch)
        parts = [branch(x, lengths=lengths) if takes_lengths(branch) else branch(x) for branch in self.branches]
        return self.joined(parts)

    def backward(self, dy: Array) -> Any:
        gradients = self.gradients(dy)
        lost = not self.input_gradient or any(dx is None for dx in gradients)
        return None if lost else sum(gradients[1:], gradients[0])

    def step(self, x_t: Array, state: Any = None) -> tuple[Array, Any]:
        """(y_t, state), of one step as in Sequential."""
        return self.step_each([x_t] * len(self.branches), state)


class Parallel(_Branches):
    """Applies each branch to its own part of x and concatenates their features.

    Forward     y = (f₁(x₁), f₂(x₂), …) along the last axis
    Backward    dx = (f₁'(dy₁), f₂'(dy₂), …), where dyᵢ is the part of dy that belongs to branch i

    Shapes      x a tuple of arrays, one for each branch   fᵢ(xᵢ) (..., Kᵢ)   y (..., K₁ + K₂ + …)

    branches: layers; for a branch of several layers, a Sequential; for a part that goes on as it is, Sequential().
    dx is a tuple, with None for ids.
    Raises TypeError for x that is no tuple and for what is not a layer; ValueError for x of another number of parts, no
    branch, one in two places, a loss, or outputs that differ in more than their last axis.
    """

    def forward(self, x: tuple[Any, ...]) -> Array:
        if not isinstance(x, (tuple, list)):
            raise TypeError(f"{one_line(self)}: expected a tuple with a part for each branch, got {described(x)}")
        if len(x) != len(self.branches):
            raise ValueError(f"{one_line(self)}: expected a tuple of {len(self.branches)} parts, got {len(x)}")
        return self.joined([branch(part) for branch, part in zip(self.branches, x)])

    def backward(self, dy: Array) -> Any:
        gradients = self.gradients(dy)
        return tuple(gradients) if self.input_gradient else None

    def step(self, x_t: tuple[Any, ...], state: Any = None) -> tuple[Array, Any]:
        """(y_t, state), of one step as in Sequential."""
        return self.step_each(x_t, state)
