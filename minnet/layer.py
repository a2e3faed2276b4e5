"""What a layer is: Parameter, Buffer and Layer. Read this first.

Everything else in minnet is written against this file, and so are the layers
of its users: nothing here is reserved for the built-in ones.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike, DTypeLike

from .arguments import flag, misfits, named_arrays, real_array, writable
from .calls import count_call, forget_calls
from .errors import BackwardBeforeForward
from .foreign import expect_own_keywords
from .naming import add_location, literal, one_line, shapes
from .parameter import Buffer, Parameter, UseFreeze
from .state import LeftOut, fitting
from .tree import Node, walk

# Attributes in which walk does not look; what counts calls is in the last three.
INNER = ("cache", "_arguments", "backward", "_holder", "_caches")


class _Thread(threading.local):
    """evaluating: whether all layers are in evaluation mode in this thread, as in predict, however they are reached."""

    evaluating = False


thread = _Thread()


class _Freezing:
    """last: another object after each freeze() and unfreeze() of any layer, for those who remember what is trained."""

    def __init__(self) -> None:
        self.last = object()


freezing = _Freezing()


class _NoCache:
    """What `cache` is before a forward: reading it raises BackwardBeforeForward."""

    def __get__(self, layer: Layer | None, owner: type) -> Any:
        if layer is None:
            return self
        raise BackwardBeforeForward(f"{layer!r}: backward before forward, there is no cache to work from")


class Layer(Node):
    """A function with a hand-written derivative. The whole contract:

    1. Assign every trained array as a `Parameter` in `__init__` (no `super().__init__()` call, no registration).
    2. `forward(x)` returns `y` and keeps in `self.cache` what backward needs.
    3. `backward(dy)` **adds** to each `Parameter.grad` and returns `dx`, shaped like `x`.
    4. Neither writes into an array it was handed.
    5. Look at `self.training` if the two modes differ.

    Parameters, buffers, random generators and further layers are found in the attributes, and in lists, tuples
    and dicts there; a plain array is a constant, neither trained nor saved. Integer ids have no gradient, so a layer
    that takes them returns None for dx. `input_gradient` is False while a container runs a backward whose dx nobody
    will use; a layer may then return None at once. `frozen` is True after `freeze()`; a layer may then leave its
    parameters' gradients alone: what it adds is dropped. One backward answers one call, since the cache is of the last.
    `is_loss`, `takes_scores` and `gives_probabilities` tell a container which layers may precede which; `stepwise` is
    True if y at each step of a sequence depends on x there alone, `joins_steps` if y has no steps any more.
    x may be a tuple of arrays; then dx is a tuple, with None for integers.
    """

    frozen: bool = False
    input_gradient: bool = True
    is_loss: bool = False
    takes_scores: bool = False
    gives_probabilities: bool = False
    stepwise: bool = False
    joins_steps: bool = False
    cache: Any = _NoCache()
    trainable = UseFreeze()
    requires_grad = UseFreeze()
    _arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    _training: bool = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        expect_own_keywords(cls, kwargs)
        layer = super().__new__(cls)
        layer._arguments = args, kwargs
        return layer

    def __init__(self) -> None:
        pass

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{self!r}: has no forward")

    def backward(self, *gradients: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{self!r}: has no backward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        try:
            y = self.forward(*inputs, **options)
        except Exception as error:
            self.clear_cache()
            if not str(error).startswith(f"{self!r}: "):
                add_location(error, self, f"{one_line(self)}, given {shapes(*inputs)}")
            raise
        if "cache" in vars(self) and not thread.evaluating:
            count_call(self)
        return y

    @property
    def training(self) -> bool:
        """Whether the layer is in training mode."""
        return self._training and not thread.evaluating

    @training.setter
    def training(self, mode: bool) -> None:
        self._training = mode

    def __getstate__(self) -> dict[str, Any]:
        """What is copied or pickled: everything but the cache, and what counts calls."""
        state = vars(self).copy()
        state.pop("cache", None)
        state.pop("_holder", None)
        forget_calls(state)
        return state

    def __repr__(self) -> str:
        args, kwargs = self._arguments
        shown = [literal(value) for value in args]
        shown += [f"{name}={literal(v)}" for name, v in kwargs.items() if not isinstance(v, np.random.Generator)]
        return f"{type(self).__name__}({', '.join(shown)})"

    def members(self) -> Iterable[tuple[Any, Any]]:
        """(name, value) of each attribute, in order of assignment: where walk looks for parameters and layers."""
        attributes = vars(self).copy()  # which another thread may change while they are walked
        return ((name, value) for name, value in attributes.items() if name not in INNER)

    def walk(self, *kinds: type) -> dict[str, Any]:
        """The objects of the given kinds (Parameter, Buffer, Layer, Generator), in this layer and all below it.

        Returns a dict from names such as "0.W" to the objects, each once, in order of assignment; this layer is "".
        Raises TypeError for a parameter, buffer or layer in a container that is not searched, a set for example;
        ValueError if two of the objects have the same name.
        """
        found: dict[str, Any] = {}
        for name, value in walk(self, "", set()):
            if found.setdefault(name, value) is not value:
                raise ValueError(f"{one_line(self)}: two of its attributes are named {name}")
        return {name: value for name, value in found.items() if isinstance(value, kinds)}

    def parameters(self) -> list[Parameter]:
        """The distinct parameters, in order of assignment: what an optimizer takes."""
        return list(self.walk(Parameter).values())

    def named_parameters(self) -> dict[str, Parameter]:
        """The distinct parameters by name."""
        return self.walk(Parameter)

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers, by name."""
        return {name: state.data.copy() for name, state in self.walk(Parameter, Buffer).items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> LeftOut:
        """Set all parameters and buffers, in place.

        strict: whether all must fit; if False, what fits is set. Returns the names of the rest, three lists: `missing`,
        `unexpected`, `mismatched`.
        Raises ValueError with all these if strict, or if nothing fits; nothing is changed in that case.
        """
        own, strict = self.walk(Parameter, Buffer), flag(one_line(self), "strict", strict)
        arrays, before = named_arrays(one_line(self), state), {name: target.data for name, target in own.items()}
        fits, left_out = fitting(before, arrays)
        if any(left_out) and (strict or not fits):
            problems = "; ".join(misfits(before, arrays))
            raise ValueError(f"{one_line(self)}: the state does not fit, nothing was loaded: {problems}")
        fits = {name: array.astype(before[name].dtype) for name, array in fits.items()}
        for name, array in fits.items():
            own[name].data = writable(own[name].data)  # `buffer.data += 1` makes a NumPy scalar of a 0-d array
            own[name].data[...] = array
        return left_out

    def train(self, mode: bool = True) -> Self:
        """Switch this layer and all below to training mode; what is frozen stays in evaluation mode."""
        for layer in self.walk(Layer).values():
            layer.training = mode and not layer.frozen
        return self

    def eval(self) -> Self:
        """Switch this layer and all below to evaluation mode."""
        return self.train(False)

    def freeze(self) -> Self:
        """Train this layer and all below no further, until unfreeze().

        Their parameters get no gradient and no update: an optimizer of `model.parameters()` that is made afterwards
        leaves them out. The layers stay in evaluation mode, so that running statistics stay too, and a container
        computes no gradient that only they would need. A part below can be unfrozen again. It is no part of the state:
        freeze a model that was loaded anew. Returns the layer.
        """
        _set_frozen(self, True)
        return self

    def unfreeze(self) -> Self:
        """Undo freeze(), here and below, and switch to training mode; make a new optimizer then."""
        _set_frozen(self, False)
        return self

    def astype(self, dtype: DTypeLike) -> Self:
        """Change all parameters and floating buffers to float32 or float64, in place, before an optimizer is made.

        float16 is refused: sums and an optimizer's eps leave its range. To save space, convert what state_dict returns.
        """
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"{one_line(self)}: expected float32 or float64 to compute in, got {np.dtype(dtype)}")
        for parameter in self.parameters():
            parameter.data = np.array(parameter.data, dtype)
            parameter.grad = np.array(parameter.grad, dtype)
        for buffer in self.walk(Buffer).values():
            if buffer.data.dtype.kind == "f":
                buffer.data = np.array(buffer.data, dtype)
        return self

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def count_correct(self) -> tuple[float, float] | None:
        """(correct, counted), of the last batch's predictions; None if this layer does not classify."""
        return None

    def total_weight(self) -> float | None:
        """The sum of the last batch's effective weights, by which its loss was divided; None if unknown."""
        return None

    def clear_cache(self) -> None:
        """Forget the last forward pass, here and below; backward then needs a new one."""
        for layer in self.walk(Layer).values():
            _forget(vars(layer))


def drop_cache(layer: Layer) -> None:
    """Drop the cache of this layer, which holds no others, if it has one: clear_cache takes 3.5 µs to look for them."""
    own = vars(layer)
    if "cache" in own:
        _forget(own)


def _forget(attributes: dict[str, Any]) -> None:
    attributes.pop("cache", None)
    forget_calls(attributes)


def _set_frozen(layer: Layer, frozen: bool) -> None:
    freezing.last = object()
    for below in layer.walk(Layer).values():
        below.frozen, below.training = frozen, not frozen
    for parameter in layer.parameters():
        parameter.frozen, parameter.grad = frozen, np.zeros_like(parameter.data)


def real_input(layer: Layer, x: ArrayLike, features: int | None = None, dtype: DTypeLike | None = None) -> Array:
    """x as a floating array; a layer calls this first in its forward.

    features: what the last axis must be.  dtype: what to cast to, usually the dtype of a parameter; without
    it, float32 and float64 keep theirs and other real x becomes float32.
    Raises TypeError if x is not real, ValueError if it has no axes or does not end in features.
    """
    if type(x) is not Array or (x.dtype.char not in "fd" if dtype is None else x.dtype is not dtype):
        x = real_array(repr(layer), x)
        x = x.astype(dtype or (x.dtype if x.dtype.char in "fd" else np.float32), copy=False)
    shape = x.shape
    if not shape or (features is not None and shape[-1] != features):
        advice = "; put a Flatten() before it" if x.ndim > 2 and x[:1].size == features else ""
        raise ValueError(f"{layer!r}: expected x of shape (..., {features or 'C'}), got {shape}{advice}")
    return x
