"""Sequences of unequal length in one array, with padding behind the end of each that counts for nothing."""

from __future__ import annotations

from typing import Any

from numpy import ndarray as Array

from ..arguments import described, expect_gradient, plain_array
from ..naming import one_line
from .containers import Sequential
from .lengths import checked_lengths, without_padding


class Padded(Sequential):
    """Layers one after the other, for sequences of unequal length.

    Forward     y = fₙ(… f₂(f₁(x))), of each sequence by itself; zeros in the padding
    Backward    dx = f₁'(f₂'(… fₙ'(dy))), of each sequence by itself; zeros in the padding

    Shapes      x the tuple (x (N, T, ...), lengths (N,)); the padding is x[n, t] for t ≥ lengths[n]
                y (N, T, ...), or (N, ...) behind a layer that joins the steps

    layers: as in Sequential. Lengths are handed to layers whose forward has an argument lengths, also to those inside
    Sequential, Residual and Concatenate: recurrent layers, attention, Conv1d, LastStep and GlobalAveragePool, which
    read nothing of the padding. All others must act on each step by itself, and say so by stepwise = True; what they
    give for steps of zeros, of which padding is made, must be finite.
    So no number in the padding changes anything. A sequence of length 0 gives zeros, up to what joins the steps. A loss
    at the end is given the steps of the sequences only, one row for each, so that it leaves the padding out, and so
    does the accuracy: targets are (N, T, ...) for scores (N, T, C). A loss outside of Padded sees the padding.
    dx is the tuple (dx, None), or (None, None) for ids; like Sequential, it is computed if it is wanted.
    Raises TypeError for x that is no such tuple and lengths that are not ints; ValueError for lengths that don't fit x,
    and for a layer that would mix the padding in.
    """

    def __call__(self, x: Any, target: Any = None, sample_weight: Any = None) -> Any:  # type: ignore[override]
        return self.forward(x, target, sample_weight)

    def forward(self, x: Any, target: Any = None, sample_weight: Any = None) -> Any:  # type: ignore[override]
        x, lengths = self._parts(x)
        self.cache = lengths, x.shape
        y = super().forward(without_padding(x, lengths), target, sample_weight, lengths)
        if target is None and not self.joins_steps:
            y = without_padding(y, lengths)
            self.cache = lengths, y.shape
        return y

    def backward(self, dy: Any = None, input_gradient: bool | None = None) -> Any:
        lengths, shape = self.cache
        if dy is not None and not (self.is_loss or self.joins_steps):
            expect_gradient(self, dy, shape)
            dy = without_padding(dy, lengths)
        wanted = self.input_gradient and not self.is_loss if input_gradient is None else input_gradient
        dx = super().backward(dy, wanted)
        return (None if dx is None else without_padding(dx, lengths), None) if wanted else None

    def _parts(self, x: Any) -> tuple[Array, Array]:
        """x and its lengths."""
        if not isinstance(x, (tuple, list)) or len(x) != 2:
            got = f"{len(x)} of them" if isinstance(x, (tuple, list)) else described(x)
            raise TypeError(f"{one_line(self)}: expected x to be the tuple (x, lengths), got {got}")
        array = plain_array(one_line(self), "x", x[0])
        if array.ndim < 2:
            raise ValueError(f"{one_line(self)}: expected x of shape (N, T, ...), got {array.shape}")
        return array, checked_lengths(self, x[1], array.shape)
