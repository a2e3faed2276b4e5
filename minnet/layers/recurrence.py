"""What recurrent layers share: sequences of unequal length, either direction of time, first and last states.

A cell has the loops over the steps, and in them only one case: time is the first axis, and all sequences begin at
its first step, whichever the direction. Behind their ends x and dy are zero. So no gradient arrives there, and da is
exactly zero there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, expect_gradient, real_array
from ..layer import Layer, Parameter, real_input
from ..parts import is_several
from .lengths import checked_lengths, is_step, without_padding


class Recurrent(Layer):
    """A layer that carries a state from step to step: h, or several arrays of which h is the first."""

    W: Parameter
    U: Parameter
    reverse: bool
    accumulate: Any
    state_names: tuple[str, ...] = ("h",)

    def forward_steps(self, x: Array, first: list[Array] | None) -> tuple[list[Array], Any]:
        """The arrays of the state at times 0 … T, and what else backward_steps needs.

        x: (T, N, D + 1), with a 1 behind the features.  first: the arrays of the first state, None for zeros.
        """
        raise NotImplementedError

    def backward_steps(self, x: Array, states: list[Array], rest: Any, dstates: Any) -> tuple[Array, Array, Any]:
        """The gradients of x W + b and of h U at all steps, and of the arrays of the first state.

        dstates: of those at times 1 … T, what comes from outside of the loop; None for zeros.
        """
        raise NotImplementedError

    def forward(self, x: Any, lengths: Any = None) -> Array:
        x, *given = _divided(self, x)
        x, D = real_input(self, x, dtype=self.W.data.dtype), len(self.W.data)
        if x.ndim != 3 or x.shape[2] != D or not x.shape[1]:
            raise ValueError(f"{self!r}: expected x of shape (N, T, {D}), got {x.shape}")
        first = _arrays_of(self, _joined(given), len(x), "the first state") if given else None
        if lengths is not None:
            lengths = checked_lengths(self, lengths, x.shape)
            x = without_padding(x, lengths)
        x = _with_ones(_turned(x, lengths, self.reverse).swapaxes(0, 1))
        states, rest = self.forward_steps(x, first)
        self.cache = x, states, rest, lengths, bool(given)
        y = _turned(states[0][1:].swapaxes(0, 1), lengths, self.reverse)
        return y.copy() if lengths is None else np.ascontiguousarray(without_padding(y, lengths))

    def backward(self, dy: Array, dstate: Any = None) -> Any:
        x, states, rest, lengths, several = self.cache
        expect_gradient(self, dy, (x.shape[1], len(x), len(self.U.data)))
        if lengths is not None:
            dy = without_padding(dy, lengths)
        dh = _turned(dy, lengths, self.reverse).swapaxes(0, 1)
        if dstate is None:
            da, du, dfirst = self.backward_steps(x, states, rest, [dh] + [None] * (len(states) - 1))
        else:
            times = _at_times(dh, _arrays_of(self, dstate, x.shape[1], "dstate"), lengths)
            da, du, dfirst = self.backward_steps(x, states, rest, times[:, 1:])
            dfirst = times[:, 0] + dfirst
        if (dx := self.accumulate(x, states[0], da, du)) is None:
            return None
        dx = np.ascontiguousarray(_turned(dx.swapaxes(0, 1), lengths, self.reverse))
        return (dx, *dfirst) if several else dx

    def last_state(self) -> Any:
        """The state after the last step of the forward before: h (N, H), or a tuple of several arrays.

        The last step of a sequence is where its length ends, and with reverse its first one; a sequence of length 0
        leaves the first state. Its gradient goes to backward as dstate. Raises RuntimeError before forward.
        """
        if "cache" not in vars(self):
            raise RuntimeError(f"{self!r}: last_state before forward, there is no cache to take it from")
        x, states, _, lengths, _ = self.cache
        return _joined([array[_last(x, lengths)] for array in states])

    def step(self, x_t: Array, state: Any = None) -> tuple[Array, Any]:
        """One step of a sequence that goes on: y (N, H) of x_t (N, D), and the state after it, for the next call.

        state: what the call before returned, or last_state(); None for zeros. It leaves no cache, so there is no
        backward of it. Raises TypeError with reverse, ValueError for x_t or a state of another shape.
        """
        if self.reverse:
            raise TypeError(f"{self!r}: expected reverse=False for step, since a sequence is read from its last step")
        x, D = real_input(self, x_t, dtype=self.W.data.dtype), len(self.W.data)
        if x.ndim != 2 or x.shape[1] != D:
            raise ValueError(f"{self!r}: expected x_t of shape (N, {D}), got {x.shape}")
        first = None if state is None else _arrays_of(self, state, len(x), "state")
        states, _ = self.forward_steps(_with_ones(x[None]), first)
        return states[0][1], _joined([array[1].copy() for array in states])


def _divided(layer: Recurrent, x: Any) -> tuple[Any, ...]:
    """(x, *the arrays of the first state), if they are a tuple of arrays; else (x,)."""
    if not is_several(x):
        return (x,)
    names = layer.state_names
    if len(x) != 1 + len(names):
        raise TypeError(
            f"{layer!r}: expected x of shape (N, T, {len(layer.W.data)}), or (x, {', '.join(names)}) with the first "
            f"state, got a tuple of {len(x)} arrays"
        )
    return x


def _joined(arrays: Any) -> Any:
    """The state that has these arrays: the array itself if it is the only one, else a tuple."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def _arrays_of(layer: Recurrent, state: Any, N: int, what: str) -> list[Array]:
    """The arrays of a state, or of its gradient, in the dtype of the parameters.

    what: how errors call it. Raises TypeError for another structure, ValueError for other shapes than (N, H).
    """
    names, shape = layer.state_names, (N, len(layer.U.data))
    parts = (state,) if len(names) == 1 else state
    if isinstance(state, (tuple, list)) != (len(names) > 1) or len(parts) != len(names):
        expected = f"a tuple ({', '.join(names)})" if len(names) > 1 else f"the array {names[0]}"
        got = f"a {type(state).__name__} of {len(state)}" if isinstance(state, (tuple, list)) else described(state)
        raise TypeError(f"{layer!r}: expected {what} to be {expected}, got {got}")
    arrays = [real_array(repr(layer), part).astype(layer.U.data.dtype, copy=False) for part in parts]
    for name, array in zip(names, arrays):
        if array.shape != shape:
            raise ValueError(f"{layer!r}: expected {what} to have {name} of shape {shape}, got {array.shape}")
    return arrays


# Adding b to a (1024, 512) product takes 75 µs, and Σ da 21; with a column of ones in x, the products do both.
def _with_ones(x: Array) -> Array:
    """x (T, N, D) with a 1 behind its features, to multiply b."""
    steps = np.empty((*x.shape[:2], x.shape[2] + 1), x.dtype)
    steps[..., :-1], steps[..., -1] = x, 1
    return steps


def _turned(x: Array, lengths: Array | None, reverse: bool) -> Array:
    """x (N, T, …) with each sequence turned around within its length, if reverse; the same again undoes it."""
    if not reverse:
        return x
    if lengths is None:
        return x[:, ::-1]
    T = x.shape[1]
    order = np.where(is_step(lengths, T), lengths[:, None] - 1 - np.arange(T), np.arange(T))
    return x[np.arange(len(x))[:, None], order]


def _last(x: Array, lengths: Array | None) -> tuple[Any, Array]:
    """Where the last states stand in an array of the states at times 0 … T; x: (T, N, …)."""
    return len(x) if lengths is None else lengths, np.arange(x.shape[1])


def _at_times(dh: Array, dlast: list[Array], lengths: Array | None) -> Array:
    """The gradients of a state's arrays at times 0 … T, from those of h at 1 … T and of the last state, dlast."""
    times = np.zeros((len(dlast), len(dh) + 1, *dh.shape[1:]), dlast[0].dtype)
    times[0, 1:] = dh
    times[:, *_last(dh, lengths)] += dlast
    return times
