"""Schedules of the learning rate: each function here returns one, a function of the step, for an optimizer's `lr`.

Steps are updates of the optimizer, not epochs, and count from 0. After its last step, a schedule keeps its final rate.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import described, number, whole_number


class Schedule:
    """A function of the step, which can be multiplied and divided by a number, and pickled.

    Printed, it is the call that made it.
    make: the function of this file that it is made by.  values: the arguments of that one, in their order.
    rate: a function of the step and these values.

    >>> step_decay(0.5, every=100) * 0.5
    0.5 * step_decay(0.5, every=100)
    """

    __array_ufunc__ = None  # so that an array times a schedule is told what a schedule times an array is

    def __init__(self, make: Callable[..., Schedule], rate: Callable[..., float], *values: Any) -> None:
        self.make, self.rate, self.values, self.factor = make, rate, values, 1.0

    def __call__(self, step: int) -> float:
        return self.factor * self.rate(step, *self.values)

    def __repr__(self) -> str:
        (_, first), *others = zip(inspect.signature(self.make).parameters.values(), self.values)
        told = [f"{parameter.name}={short(value)}" for parameter, value in others if value != parameter.default]
        call = f"{self.make.__name__}({', '.join([short(first), *told])})"
        return call if self.factor == 1 else f"{self.factor:g} * {call}"

    def __mul__(self, factor: float) -> Schedule:
        product = Schedule(self.make, self.rate, *self.values)
        product.factor = self.factor * self._checked(factor)
        return product

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Schedule:
        return self * (1 / self._checked(divisor))

    def _checked(self, factor: Any) -> float:
        try:
            return number(repr(self), "a factor", factor)
        except TypeError:
            raise TypeError(
                f"{self!r} is a schedule, which can be multiplied by a number, not by {described(factor)}; the rate of "
                "a step is optimizer.lr_at(step)"
            ) from None


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """Multiply the rate by a factor every so many steps.

    Rate        lr · factor^⌊step / every⌋

    every: how many steps the rate stays the same.
    Raises TypeError for an argument of another type, ValueError for a negative number or an every below 1.

    >>> schedule = step_decay(0.5, every=100)
    >>> schedule(99), schedule(100)
    (0.5, 0.05)
    """
    lr, factor = number("step_decay", "lr", lr), number("step_decay", "factor", factor)
    every = whole_number("step_decay", "every", every, least=1)
    return Schedule(step_decay, _stepwise, lr, every, factor)


def _stepwise(step: int, lr: float, every: int, factor: float) -> float:
    return lr * factor ** (step // every)


def exponential_decay(lr: float, rate: float) -> Schedule:
    """Multiply the rate by the same factor at every step.

    Rate        lr · rate^step

    Raises TypeError for an argument that is not a number, ValueError for a negative one.
    """
    lr, rate = number("exponential_decay", "lr", lr), number("exponential_decay", "rate", rate)
    return Schedule(exponential_decay, _exponential, lr, rate)


def _exponential(step: int, lr: float, rate: float) -> float:
    return lr * rate**step


def linear_decay(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Lower the rate by the same amount at every step.

    Rate        (1 − t) lr + t · final,  t = step / steps

    final: the rate at step `steps` and after it.
    Raises TypeError for an argument of another type, ValueError for a negative number or steps below 1.
    The same as PyTorch's LinearLR with start_factor = 1, end_factor = final / lr and total_iters = steps, and as
    Keras's PolynomialDecay with its default power of 1.

    >>> schedule = linear_decay(0.5, steps=100)
    >>> schedule(0), schedule(50), schedule(100)
    (0.5, 0.25, 0.0)
    """
    lr, final = number("linear_decay", "lr", lr), number("linear_decay", "final", final)
    steps = whole_number("linear_decay", "steps", steps, least=1)
    return Schedule(linear_decay, _linear, lr, steps, final)


def _linear(step: int, lr: float, steps: int, final: float) -> float:
    t = min(step / steps, 1.0)
    return (1 - t) * lr + t * final  # unlike lr + t (final − lr), this gives both ends exactly


def cosine_decay(lr: float, steps: int, final: float = 0.0) -> Schedule:
    """Lower the rate along half a cosine wave: slowly at the beginning and at the end.

    Rate        final + (lr − final) (1 + cos(π · step / steps)) / 2

    final: the rate at step `steps` and after it.
    Raises TypeError for an argument of another type, ValueError for a negative number or steps below 1.
    Source: Loshchilov and Hutter 2017, without restarts.
    """
    lr, final = number("cosine_decay", "lr", lr), number("cosine_decay", "final", final)
    steps = whole_number("cosine_decay", "steps", steps, least=1)
    return Schedule(cosine_decay, _cosine, lr, steps, final)


def _cosine(step: int, lr: float, steps: int, final: float) -> float:
    return _half_wave(lr, final, min(step / steps, 1.0))


def linear_warmup(steps: int, then: float | Callable[[int], float]) -> Schedule:
    """Raise the rate linearly to the first rate of another schedule, which then takes over.

    Rate        then(0) · (step + 1) / steps for the first `steps` steps, afterwards then(step − steps)

    then: a schedule; or a number, for a rate that stays there.
    Raises TypeError for steps that are not an int or a then that is neither; ValueError for steps below 1 or a
    negative then.
    Source: Goyal et al. 2017.

    >>> schedule = linear_warmup(4, then=cosine_decay(0.8, steps=10))
    >>> [schedule(step) for step in (0, 1, 3, 4, 14)]
    [0.2, 0.4, 0.8, 0.8, 0.0]
    """
    steps = whole_number("linear_warmup", "steps", steps, least=1)
    then = then if callable(then) else number("linear_warmup", "then", then)
    return Schedule(linear_warmup, _warming_up, steps, then)


def _warming_up(step: int, steps: int, then: float | Callable[[int], float]) -> float:
    after = then if callable(then) else lambda step: then
    return float(after(0) * ((step + 1) / steps) if step < steps else after(step - steps))


def one_cycle(
    lr: float, steps: int, warmup: float = 0.3, start_factor: float = 1 / 25, final_factor: float = 1e-4
) -> Schedule:
    """Raise the rate along half a cosine wave, then lower it along another, over a whole training.

    Rate        lr (s + (1 − s) (1 − cos(π · step / p)) / 2) before step p = warmup · steps − 1, afterwards
                lr (f + (1 − f) (1 + cos(π (step − p) / (e − p))) / 2) to the last step e = steps − 1

    warmup: the share of the steps that raise the rate, from 0 to below 1; below 1 / steps, none does.
    start_factor, final_factor: s and f, the first and the last rate as shares of lr, the highest.
    Raises TypeError for an argument of another type, ValueError for one out of range or steps below 1.
    The same as PyTorch's OneCycleLR with final_div_factor = start_factor / final_factor, which divides the first rate.
    Source: Smith and Topin 2018; the half waves, fastai.
    """
    lr, warmup = number("one_cycle", "lr", lr), number("one_cycle", "warmup", warmup, below=1.0)
    steps = whole_number("one_cycle", "steps", steps, least=1)
    start_factor = number("one_cycle", "start_factor", start_factor)
    final_factor = number("one_cycle", "final_factor", final_factor)
    return Schedule(one_cycle, _up_and_down, lr, steps, warmup, start_factor, final_factor)


def _up_and_down(step: int, lr: float, steps: int, warmup: float, start_factor: float, final_factor: float) -> float:
    peak, last = warmup * steps - 1, steps - 1
    if step < peak:
        return _half_wave(lr * start_factor, lr, step / peak)
    return _half_wave(lr, lr * final_factor, min((step - peak) / (last - peak), 1.0))


def _half_wave(start: float, end: float, progress: float) -> float:
    """From start to end along half a cosine wave; in this form, the sum gives both ends exactly."""
    c = math.cos(math.pi * progress)
    return (start * (1 + c) + end * (1 - c)) / 2


def short(value: Any) -> str:
    """A number to six digits, a tuple of them, a schedule, or the name of a function, which is not called."""
    if callable(value) and not isinstance(value, Schedule):
        return getattr(value, "__qualname__", type(value).__name__).replace("<locals>.", "")
    if isinstance(value, tuple):
        return f"({', '.join(map(short, value))})"
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)
