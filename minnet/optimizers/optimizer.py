"""What an optimizer is: something that knows what to do with a gradient.

All parameters of an optimizer lie in one vector, so an update is a few array operations. The author of a new one
names its moments and writes `update(w, g, lr, *moments)`; the base class owns the rest: the vector itself, the step
count, clipping, weight decay and the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import misfits, named_arrays, number
from ..layer import Parameter

Parameters = Iterable[Parameter]
LearningRate = float | Callable[[int], float]
ClipNorm = float | None

# Entries updated at a time, few enough that what an update touches stays in the third-level cache. A step of Adam on 12
# million takes 18.5 ms this way, 22.3 in blocks of 2¹⁵, which take more calls, and 25.2 all at once.
BLOCK = 2**18


class Optimizer:
    """The base of optimizers.

    parameters: what `model.parameters()` returns. Their data and gradients are copied into two vectors here, and become
    views of them; an array that is assigned to a parameter later is copied in at the next step.
    lr: the learning rate, or a function of the step, which counts from 0.
    A step clears the gradients of these parameters only. To tie weights, share a Parameter, not its data. Copy or
    pickle a model and its optimizer together, in one call, or save what their state_dict returns.
    weight_decay: λ; λ w is added to the gradient of every parameter whose `decay` is true.
    clip_norm: the largest norm of the gradient over all parameters; a larger one is scaled down, before weight decay.
    Raises TypeError for what is not a Parameter or a number; ValueError for no parameters, for parameters of
    several dtypes, and for a number out of range.

    Printed, it shows its numbers as they are now; a schedule by its name.

    >>> from minnet import SGD, Linear, cosine_decay
    >>> print(SGD(Linear(64, 10).parameters(), lr=cosine_decay(0.5, steps=1000)))
    SGD(lr=cosine_decay.<lambda>, weight_decay=0, momentum=0, nesterov=False): 2 parameters, 650 values, 0 steps taken
    """

    def __init__(
        self, parameters: Parameters, lr: LearningRate, weight_decay: float = 0.0, clip_norm: ClipNorm = None
    ) -> None:
        self.parameters = _distinct(self.name, parameters)
        self.lr = lr if callable(lr) else number(self.name, "lr", lr)
        self.weight_decay = number(self.name, "weight_decay", weight_decay)
        self.clip_norm = math.inf if clip_norm is None else number(self.name, "clip_norm", clip_norm)
        self.steps = 0
        self.moments: dict[str, Array] = {}
        self._move_in()

    def __repr__(self) -> str:
        numbers = {name: value for name, value in numbers_of(self).items() if name[0] != "_" and value != math.inf}
        shown = ", ".join(f"{name}={_short(value)}" for name, value in ({"lr": self.lr} | numbers).items())
        counts = {"parameter": len(self.parameters), "value": len(self._w), "step": self.steps}
        told = ", ".join(f"{n:,} {noun}{'s' * (n != 1)}" for noun, n in counts.items())
        return f"{self.name}({shown}): {told} taken"

    @property
    def name(self) -> str:
        return type(self).__name__

    # Anything may follow lr, so that type checkers let an update of one's own name its moments.
    def update(self, w: Array, g: Array, lr: float, *moments: Any, **options: Any) -> None:
        """Change w and the moments, in place, by the gradient g, which may be overwritten.

        It is called once for each block of the vectors; `steps` counts the steps before this one.
        """
        raise NotImplementedError(f"{self.name} has no update")

    def step(self) -> None:
        """Apply the gradients accumulated since the last step, and set them to zero."""
        self.gather()
        w, g = self._w, self._g
        lr = self.lr_at(self.steps)
        if self.clip_norm < math.inf and (norm := _norm(g)) > self.clip_norm:
            g *= self.clip_norm / norm
        if self.weight_decay:
            self.decay(w, g, lr)
        moments = self.moments.values()
        if len(w) <= BLOCK:
            self.update(w, g, lr, *moments)
            g.fill(0)
        else:
            for start in range(0, len(w), BLOCK):
                block = slice(start, start + BLOCK)
                self.update(w[block], g[block], lr, *(moment[block] for moment in moments))
                g[block].fill(0)
        self.steps += 1

    def lr_at(self, step: int) -> float:
        """The learning rate of a step."""
        return number(self.name, "lr", self.lr(step)) if callable(self.lr) else self.lr

    def gradient_is_finite(self) -> bool:
        """Whether the whole gradient is finite; the sum of its squares, one dot product, tells in most cases."""
        self.gather()
        try:
            square = self._g.dot(self._g)
        except FloatingPointError:  # where NumPy was told to raise one
            square = math.inf
        return math.isfinite(square) or bool(np.isfinite(self._g).all())

    def decay(self, w: Array, g: Array, lr: float) -> None:
        """Apply weight decay; this base adds it to the gradient."""
        for p, w_p, g_p in self._views:
            if p.decay:
                g_p += self.weight_decay * w_p

    def zero_grad(self) -> None:
        """Set all gradients to zero; a step does so too."""
        self.gather()
        self._g.fill(0)

    def add_moments(self, *names: str) -> None:
        """Add vectors of zeros, as long as w; update gets them in this order, and they are part of the state."""
        self.moments |= {name: np.zeros_like(self._w) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """The number of steps taken, and a copy of each moment."""
        return {"steps": self.steps} | {name: moment.copy() for name, moment in self.moments.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Resume from the state of another optimizer of the same kind.

        Raises ValueError that lists every missing, unexpected and mismatched name; nothing is changed in that case.
        """
        arrays = named_arrays(self.name, state)
        if problems := misfits({"steps": np.asarray(self.steps)} | self.moments, arrays):
            raise ValueError(f"{self.name}: the state does not fit, nothing was loaded: {'; '.join(problems)}")
        if arrays["steps"] < 0:
            raise ValueError(f"{self.name}: expected steps to be at least 0, got {arrays['steps']}")
        self.steps = int(arrays["steps"])
        for name, moment in self.moments.items():
            moment[...] = arrays[name]

    def _move_in(self) -> None:
        """Make the two vectors, and turn data and gradients of the parameters into views of them."""
        self._w = np.concatenate([p.data.reshape(-1) for p in self.parameters])
        self._g = np.concatenate([p.grad.reshape(-1) for p in self.parameters])
        self._views, end = [], 0
        for p in self.parameters:
            start, end = end, end + p.data.size
            self._views.append((p, self._w[start:end].reshape(p.data.shape), self._g[start:end].reshape(p.data.shape)))
        self.gather()

    # Copying turns views into separate arrays, so a copied optimizer makes new vectors.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_w", "_g", "_views")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._move_in()

    def gather(self) -> None:
        """Copy arrays that were assigned to parameters into the vectors.

        Raises ValueError for a parameter whose shape or dtype has changed since the optimizer was made.
        """
        for p, w, g in self._views:
            if p.data is not w or p.grad is not g:
                if {p.data.shape, p.grad.shape} != {w.shape} or {p.data.dtype, p.grad.dtype} != {w.dtype}:
                    raise ValueError(
                        f"{self.name}: expected a parameter of shape {w.shape} and {w.dtype}, as when it "
                        f"was made, got {p.data.shape} and {p.data.dtype}; make a new optimizer after changing a model"
                    )
                w[...], g[...] = p.data, p.grad
                p.data, p.grad = w, g


def numbers_of(optimizer: Optimizer) -> dict[str, Any]:
    """The attributes of an optimizer that are numbers, or tuples of numbers, but for the count of its steps."""
    return {name: value for name, value in vars(optimizer).items() if name != "steps" and _is_numbers(value)}


def _is_numbers(value: Any) -> bool:
    kinds = (bool, int, float, np.bool_, np.integer, np.floating)
    return isinstance(value, kinds) or (isinstance(value, tuple) and all(isinstance(v, kinds) for v in value))


def _short(value: Any) -> str:
    """A number to six digits, a tuple of them, or the name of a schedule, which is not called: that may change it."""
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__).replace("<locals>.", "")
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def _norm(g: Array) -> float:
    with np.errstate(over="ignore"):
        square = float(g.dot(g))
    return math.sqrt(square) if math.isfinite(square) else float(np.linalg.norm(g.astype(np.float64)))


def _distinct(owner: str, parameters: Parameters) -> list[Parameter]:
    """The parameters, each once. Raises TypeError or ValueError if they do not fit into one vector."""
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{owner}: expected parameters to be what model.parameters() returns, got {parameters!r}")
    found = list(parameters)
    for p in found:
        if not isinstance(p, Parameter):
            raise TypeError(f"{owner}: expected parameters to be what model.parameters() returns, got {p!r} among them")
    if not found:
        raise ValueError(f"{owner}: expected at least one parameter, got none")
    if len(dtypes := {str(p.data.dtype) for p in found}) > 1:
        raise ValueError(
            f"{owner}: expected parameters of one dtype, got {' and '.join(sorted(dtypes))}; use model.astype"
        )
    return list({id(p): p for p in found}.values())
