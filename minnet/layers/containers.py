"""Layers made of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy import ndarray as Array

from ..arguments import described, real_array
from ..calls import ANSWERED, expect_own_call, hold, keep_caches
from ..layer import Layer, drop_cache, freezing, thread
from ..naming import add_location, one_line, shapes
from .inner import call_backward, distinct, forward_within, is_trained, states_of, step
from .lengths import checked_lengths, spread


class Sequential(Layer):
    """Layers one after the other. One that ends in a loss is a whole model.

    Forward     y = fₙ(… f₂(f₁(x)))
    Backward    dx = f₁'(f₂'(… fₙ'(dy)))

    Shapes      the x of each layer is the y of the one before

    layers: any number of layers, or one list of them. An index gives a layer, a slice a Sequential of the same layers.
    With a loss at the end, `model(x, target)` is the loss and `model(x)` the prediction, and `model.backward()`
    computes no gradient of the data and returns None, unless called as `backward(input_gradient=True)`.
    Raises TypeError for what is not a layer; ValueError for a layer object in two places, for a loss that is not
    last, and for probabilities in front of a loss that takes scores.

    forward takes the lengths of sequences too, which it hands to the layers that take them: see Padded.
    `step(x_t, state=None)` runs one step of a sequence: x_t (N, ...) without the time axis. It returns y_t and the
    state to give to the next step, in evaluation mode and without a cache, for layers that have such a step themselves
    or act on each step alone. A state that was returned stays as it is, so that several steps may go on from it.
    """

    takes_input_gradient = True

    _calls = 0  # since the last backward
    _shares = False  # whether another container holds some of the layers
    _inside: Array | None = None  # which steps the loss was given, if it was given those of sequences
    _searched_after: Any = object()  # the freezing after which _trained_from was found

    def __init__(self, *layers: Layer | Sequence[Layer]) -> None:
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            layers = tuple(layers[0])
        self.layers = _in_order(distinct("Sequential", layers))
        self.is_loss = bool(self.layers) and self.layers[-1].is_loss
        self.joins_steps = any(layer.joins_steps for layer in self.layers)
        self._trained_from = len(self.layers)
        hold(self, self.layers)

    def __call__(self, x: Any, target: Any = None, sample_weight: Any = None, lengths: Array | None = None) -> Any:
        return self.forward(x, target, sample_weight, lengths)

    def forward(self, x: Any, target: Any = None, sample_weight: Any = None, lengths: Array | None = None) -> Any:
        if target is None and sample_weight is not None:
            raise ValueError(f"{one_line(self)}: was given a sample_weight without a target")
        extra = () if target is None else (target,) if sample_weight is None else (target, sample_weight)
        if extra and not self.is_loss:
            advice = "add SoftmaxCrossEntropy(), for example"
            raise ValueError(f"{one_line(self)}: was given a target, but does not end in a loss; {advice}")
        i, last = 0, len(self.layers) - 1
        if self._inside is not None:
            self._inside = None
        if lengths is not None:
            lengths = checked_lengths(self, lengths, np.shape(x))
        if predicts := self.is_loss and not extra:
            drop_cache(self.layers[last])  # backward must not mix this prediction with an earlier loss
        try:
            for i, layer in enumerate(self.layers):
                if lengths is None:
                    x = layer.forward(x) if i < last else layer.forward(x, *extra)
                else:
                    x, lengths, self._inside = forward_within(layer, x, lengths, extra if i == last else ())
        except Exception as error:
            self.clear_cache()
            self._add_location(error, i, f"given {shapes(x)} by {self._name(i - 1) if i else 'the input'}")
            raise
        if not predicts:
            self._calls = 1 if self._calls < 1 else self._calls + (not thread.evaluating)
            if self._shares:
                keep_caches(self, self.layers)
        return x

    def backward(self, dy: Any = None, input_gradient: bool | None = None) -> Any:
        if (dy is None and not self.is_loss) or (input_gradient is not None and type(input_gradient) is not bool):
            raise self._unfit(input_gradient)
        if input_gradient is None:
            input_gradient = self.input_gradient and not self.is_loss
        first_trained = self._trained_from
        if first_trained or self._searched_after is not freezing.last:
            first_trained = self._first_trained()
        if (calls := self._calls) == ANSWERED or self._shares:
            expect_own_call(self, self.layers)
        i, last, dy = 0, len(self.layers) - 1, 1.0 if dy is None else dy
        first = 0 if input_gradient or not first_trained else min(first_trained, last)
        try:
            if self._inside is not None:
                dy, i, last = spread(call_backward(self.layers[last], dy, True), self._inside), last, last - 1
            for i in range(last, first - 1, -1):
                layer = self.layers[i]
                if (input_gradient or i > first) and not (layer.frozen or isinstance(layer, Sequential)):
                    dx = layer.backward(dy)  # what call_backward does, in 0.06 µs less
                else:
                    dx = call_backward(layer, dy, input_gradient or i > first)
                if dx is None and i > first_trained:
                    raise TypeError("expected backward to return dx, got None")
                if (dy := dx) is None:
                    break
        except Exception as error:
            self._add_backward_location(error, i, dy)
            raise
        self._calls = ANSWERED if calls > 1 else 0
        return dy if input_gradient else None

    # Unless dx is wanted, backward ends at this layer. One in front of that found last may have been given a parameter
    # since, or been unfrozen.
    def _first_trained(self) -> int:
        """The index of the first layer that is trained, or how many layers there are."""
        again = self._searched_after is not freezing.last
        last = len(self.layers) if again else self._trained_from
        for i in range(last):
            if (again or not self.layers[i].frozen) and is_trained(self.layers[i]):
                last = i
                break
        self._trained_from, self._searched_after = last, freezing.last
        return last

    def step(self, x_t: Any, state: Any = None) -> tuple[Any, Any]:
        """(y_t, state), of one step of a sequence: see above."""
        states, i = states_of(self, state, len(self.layers)), 0
        try:
            for i, layer in enumerate(self.layers):
                x_t, states[i] = step(layer, x_t, states[i])
        except Exception as error:
            self._add_location(error, i, f"in step given {shapes(x_t)}")
            raise
        return x_t, tuple(states)

    def count_correct(self) -> tuple[float, float] | None:
        return self.layers[-1].count_correct() if self.layers else None

    def total_weight(self) -> float | None:
        return self.layers[-1].total_weight() if self.layers else None

    def members(self) -> Iterator[tuple[Any, Any]]:
        yield from enumerate(self.layers)
        yield from (member for member in super().members() if member[0] != "layers")

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __repr__(self) -> str:
        lines = [f"{i}: {layer!r}".replace("\n", "\n  ") for i, layer in enumerate(self.layers)]
        count = sum(parameter.data.size for parameter in self.parameters())
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + f"\n)  {count:,} parameters"

    def _unfit(self, input_gradient: Any) -> TypeError:
        """The error of a backward without dy, or with something else where it takes whether dx is wanted."""
        if input_gradient is None or type(input_gradient) is bool:
            return TypeError(f"{one_line(self)}: backward needs dy, since this does not end in a loss")
        expected = "input_gradient to be True or False; the gradient of a last state is for the layer that gave it"
        return TypeError(f"{one_line(self)}: expected {expected}, got {described(input_gradient)}")

    def _name(self, i: int) -> str:
        return f"layer {i}, {one_line(self.layers[i])}"

    def _add_backward_location(self, error: Exception, i: int, dy: Any) -> None:
        source = self._name(i + 1) if i < len(self.layers) - 1 else "the caller"
        self._add_location(error, i, f"in backward given {shapes(dy)} by {source}")
        if "read-only" in str(error):
            error.add_note("zero_grad() makes a gradient that is read-only an array that can be written to")

    def _add_location(self, error: Exception, i: int, situation: str) -> None:
        add_location(error, self.layers[i], f"{self._name(i)}, {situation}")


class Residual(Layer):
    """Layers with a skip connection around them.

    Forward     y = x + f(x)
    Backward    dx = dy + f'(dy)

    Shapes      x, y (...), both alike

    layers: what f does, one after the other as in Sequential.
    Raises ValueError if f gives another shape, or ends in a loss.
    Source: He et al. 2016.
    """

    def __init__(self, *layers: Layer | Sequence[Layer]) -> None:
        self.layers = Sequential(*layers)
        if self.layers.is_loss:
            raise ValueError("Residual: expected layers that give an array, got a loss at the end")

    def forward(self, x: Array, lengths: Array | None = None) -> Array:
        x = x if type(x) is Array else real_array(one_line(self), x)
        y = self.layers.forward(x, lengths=lengths)
        if y.shape != x.shape:
            raise ValueError(
                f"{one_line(self)}: expected layers that keep the shape {x.shape}, got {y.shape} from them"
            )
        return x.astype(y.dtype, copy=False) + y

    def backward(self, dy: Array) -> Any:
        dx = self.layers.backward(dy, self.input_gradient)
        return None if dx is None else dx + dy

    def step(self, x_t: Array, state: Any = None) -> tuple[Array, Any]:
        """(y_t, state), of one step as in Sequential."""
        x_t = x_t if type(x_t) is Array else real_array(one_line(self), x_t)
        y, state = self.layers.step(x_t, state)
        return x_t.astype(y.dtype, copy=False) + y, state


def _in_order(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers, after checking that they can follow one another."""
    for i, layer in enumerate(layers[:-1]):
        if layer.is_loss:
            raise ValueError(
                f"Sequential: the loss {one_line(layer)} is layer {i} of {len(layers)}, a loss can only be the last"
            )
    for layer, following in pairwise(_leaves(layers)):
        if layer.gives_probabilities and following.takes_scores:
            raise ValueError(
                f"Sequential: {one_line(layer)} in front of {one_line(following)}, which takes scores; leave it out: "
                "called without a target, the model still gives probabilities"
            )
    return layers


def _leaves(layers: Iterable[Layer]) -> Iterator[Layer]:
    for layer in layers:
        yield from _leaves(layer) if isinstance(layer, Sequential) else [layer]
