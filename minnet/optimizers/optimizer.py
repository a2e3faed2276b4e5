"""What an optimizer is: something that knows what to do with a gradient.

All parameters of an optimizer lie in one vector, so an update is a few array operations. The author of a new one
names its moments and writes `update(w, g, lr, *moments)`; the base class owns the rest: the vector itself, the step
count, clipping, weight decay and the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Self

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from ..arguments import misfits, named_arrays, number
from ..foreign import expect_own_keywords
from .first_step import DROPPED, FirstStep
from .schedules import short
from .vectors import BeforeInit, Parameters, Vectors, parted

LearningRate = float | Callable[[int], float]
ClipNorm = float | None

# Entries updated at a time, few enough that what an update touches stays in the third-level cache. A step of Adam on 12
# million takes 18.5 ms this way, 22.3 in blocks of 2¹⁵, which take more calls, and 25.2 all at once.
BLOCK = 2**18


class Optimizer(Vectors):
    """The base of optimizers.

    parameters: what `model.parameters()` returns; frozen ones are left out. Data and gradients become views of two
    vectors here. Gradients start at zero: what backward added before is dropped. An array that is assigned to a
    parameter later is copied in at the next step.
    lr: the learning rate, or a function of the step, which counts from 0. It can be set later: `optimizer.lr *= 0.5` is
    right for a number and for a schedule of minnet; in the place of a function of your own, set another.
    A step clears the gradients of these parameters only. To tie weights, share a Parameter, not its data. Copy or
    pickle a model and its optimizer together, in one call, or save what their state_dict returns.
    weight_decay: λ; λ w is added to the gradient of every parameter whose `decay` is true.
    clip_norm: the largest norm of the gradient over all parameters; a larger one is scaled down, before weight decay.
    Raises TypeError for what is not a Parameter or a number; ValueError for no parameters or frozen ones alone, for
    parameters of several dtypes or one that is not float32 or float64, and for a number out of range.

    Printed, it shows its numbers as they are now, and its schedule.

    >>> from minnet import Adagrad, Linear, cosine_decay
    >>> print(Adagrad(Linear(64, 10).parameters(), lr=cosine_decay(0.5, steps=100)))
    Adagrad(lr=cosine_decay(0.5, steps=100), weight_decay=0, eps=1e-10): 2 parameters, 650 values, 0 steps taken

    One of your own is an `update` that changes w in place; what it remembers are moments, arrays like w, zero at first.

    >>> class Lion(Optimizer):
    ...     def __init__(self, parameters, lr):
    ...         super().__init__(parameters, lr)
    ...         self.add_moments("m")
    ...
    ...     def update(self, w, g, lr, m):
    ...         w -= lr * np.sign(0.9 * m + 0.1 * g)
    ...         m += 0.01 * (g - m)
    >>> Lion(Linear(64, 10).parameters(), lr=0.001).step()

    w has entries of several parameters. For a rule about each one, write `per_parameter = True` in the class: update is
    then called once a parameter, with arrays in its shape. A `step` of your own that doesn't call this one takes the
    rate `lr_at(self.steps)`, and ends in `self.zero_grad()` and `self.steps += 1`.
    """

    steps: int = 0

    def __new__(cls, *_: Any, **keywords: Any) -> Self:
        expect_own_keywords(cls, keywords)
        return super().__new__(cls)

    def __init__(
        self, parameters: Parameters, lr: LearningRate, weight_decay: float = 0.0, clip_norm: ClipNorm = None
    ) -> None:
        self.parameters, self.left_out = parted(self.name, parameters)
        self.lr = lr
        self.weight_decay = number(self.name, "weight_decay", weight_decay)
        self.clip_norm = math.inf if clip_norm is None else number(self.name, "clip_norm", clip_norm)
        self.steps = 0
        self.moments = {}
        self._first = FirstStep()
        self._move_in()
        if any(np.any(p.grad) for p in self.parameters):
            self._g.fill(DROPPED)
        for p, (_, w, g) in zip(self.parameters, self._views):
            p.data, p.grad = w, g

    def __repr__(self) -> str:
        numbers = {name: value for name, value in numbers_of(self).items() if name[0] != "_" and value != math.inf}
        shown = ", ".join(f"{name}={short(value)}" for name, value in ({"lr": self.lr} | numbers).items())
        counts = {"parameter": len(self.parameters), "value": len(self._w), "step": self.steps}
        told = ", ".join(f"{n:,} {noun}{'s' * (n != 1)}" for noun, n in counts.items())
        return f"{self.name}({shown}): {told} taken"

    @property
    def lr(self) -> LearningRate:
        """The learning rate, a number or a schedule. To set it raises what the constructor does."""
        return vars(self)["lr"] if "lr" in vars(self) else BeforeInit().__get__(self, type(self))

    @lr.setter
    def lr(self, lr: LearningRate) -> None:
        vars(self)["lr"] = lr if callable(lr) else self._checked_lr(lr)

    def _checked_lr(self, lr: Any) -> float:
        return number(self.name, "lr", lr)

    def lr_at(self, step: int) -> float:
        """The learning rate of a step."""
        lr = self.__dict__["lr"]  # the property takes longer
        return self._checked_lr(lr(step)) if callable(lr) else lr

    # Anything may follow lr, so that type checkers let an update of one's own name its moments.
    def update(self, w: Array, g: Array, lr: float, *moments: Any, **options: Any) -> None:
        """Change w and the moments, in place, by the gradient g, which may be overwritten. Returns nothing.

        It is called once for each block of the vectors, or each parameter; `steps` counts the steps before this one.
        """
        raise NotImplementedError(f"{self.name} has no update")

    @property
    def _by_rows(self) -> bool:  # type: ignore[override]
        return not self.per_parameter and type(self).update is not Optimizer.update

    def step(self) -> None:
        """Apply the gradients accumulated since the last step, and set them to zero."""
        self.gather()
        w, g = self._w, self._g
        lr = self.lr_at(self.steps)
        if first := self._first:
            if not first.over:
                first.begin(self.name, g)
                self._make_writable()
            if self._segments:
                _step_by_segments(self, lr)
                return
        if self.clip_norm < math.inf and (norm := _norm(self, g)) > self.clip_norm:
            g *= self.clip_norm / norm
        if self.weight_decay:
            self.decay(w, g, lr)
        if first is None:
            self.update(w, g, lr, *self.moments.values())
            g.fill(0)
        else:
            _update_parts(self, lr)
        self.steps += 1

    def decay(self, w: Array, g: Array, lr: float) -> None:
        """Apply weight decay; this base adds it to the gradient."""
        for p, w_p, g_p in self._views:
            if p.decay:
                g_p += self.weight_decay * w_p

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
        self._make_writable()
        for name, moment in self.moments.items():
            moment[...] = arrays[name]


def _update_parts(optimizer: Optimizer, lr: float) -> None:
    """Call update for one part of the vectors after the other; in the first step, see what it does."""
    seen, update = _seen(optimizer)
    for w, g, *moments in _parts(optimizer):
        update(w, g, lr, *moments)
        g.fill(0)
    if seen:
        seen.end(optimizer.name)
        if len(optimizer._w) <= BLOCK and not optimizer.per_parameter:
            optimizer._first = None


def _parts(optimizer: Optimizer) -> Iterator[list[Array]]:
    """Of each vector, what update gets at a time: a block, or what belongs to a parameter, in its shape."""
    vectors = [optimizer._w, optimizer._g, *optimizer.moments.values()]
    if not optimizer.per_parameter:
        for start in range(0, len(optimizer._w), BLOCK):
            yield [vector[start : start + BLOCK] for vector in vectors]
        return
    end = 0
    for _, w, _ in optimizer._views:
        start, end = end, end + w.size
        yield [vector[start:end].reshape(w.shape) for vector in vectors]


def _step_by_segments(optimizer: Optimizer, lr: float) -> None:
    """What a step does where parameters are sparse. Weight decay sees what is updated, and update gets it in blocks."""
    segments, views, scale = optimizer._segments, optimizer._views, _scale(optimizer)
    seen, update = _seen(optimizer)
    try:
        for segment in segments:
            for part_views, vectors in segment.parts(optimizer.moments.values(), BLOCK):
                optimizer._views, (w, g, *_) = part_views, vectors
                if scale < 1:
                    g *= scale
                if optimizer.weight_decay:
                    optimizer.decay(w, g, lr)
                for start in range(0, len(w), BLOCK):
                    w, g, *moments = (vector[start : start + BLOCK] for vector in vectors)
                    update(w, g, lr, *moments)
            segment.clear()
    finally:
        optimizer._views = views
    if seen:
        seen.end(optimizer.name)
    optimizer.steps += 1


def _seen(optimizer: Optimizer) -> tuple[FirstStep | None, Callable[..., Any]]:
    """What looks at a first step, if it is one, and the update to call."""
    first = optimizer._first
    seen = first if first and not first.over else None
    return seen, partial(seen.update, optimizer) if seen else optimizer.update


def _scale(optimizer: Optimizer) -> float:
    """What the gradient of all segments is multiplied by, so that its norm is clipped."""
    if optimizer.clip_norm == math.inf:
        return 1.0
    norms = np.array([_norm(optimizer, segment.gradient()) for segment in optimizer._segments])
    norm = _norm(optimizer, norms)
    return optimizer.clip_norm / norm if norm > optimizer.clip_norm else 1.0


def numbers_of(optimizer: Optimizer) -> dict[str, Any]:
    """The attributes of an optimizer that are numbers, or tuples of numbers, but for the count of its steps."""
    return {name: value for name, value in vars(optimizer).items() if name != "steps" and _is_numbers(value)}


def _is_numbers(value: Any) -> bool:
    kinds = (bool, int, float, np.bool_, np.integer, np.floating)
    return isinstance(value, kinds) or (isinstance(value, tuple) and all(isinstance(v, kinds) for v in value))


def _norm(optimizer: Optimizer, g: Array) -> float:
    """The norm of a gradient. Raises FloatingPointError if it is not finite: nothing could be scaled by it."""
    with np.errstate(over="ignore"):
        square = float(g.dot(g))
    if math.isfinite(square):
        return math.sqrt(square)
    largest = float(abs(g).max())
    norm = largest * float(np.linalg.norm(g.astype(np.float64) / largest)) if math.isfinite(largest) else math.inf
    if not math.isfinite(norm):
        raise FloatingPointError(
            f"{optimizer.name}: the gradient or its norm is not finite: it can't be clipped, nothing was changed; "
            "look for such values in the data and the parameters, or lower the learning rate"
        )
    return norm
