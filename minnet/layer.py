"""What a layer is: Parameter, Buffer and Layer. Read this first.

Everything else in minnet is written against this file, and so are the layers
of its users: nothing here is reserved for the built-in ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MappingView, Sequence, Set
from types import ModuleType
from typing import Any, Self

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike, DTypeLike

from .arguments import misfits, named_arrays, real_array
from .errors import BackwardBeforeForward


class Parameter:
    """An array that is trained, and the sum of the gradients that reached it.

    data: the values, made float32.  grad: of the same shape, zero at first.
    decay: whether an optimizer's weight decay applies; biases say no.
    Raises TypeError if data are not real numbers.
    """

    def __init__(self, data: ArrayLike, *, decay: bool = True) -> None:
        self.data: Array = real_array("Parameter", data).astype(np.float32)
        self.grad: Array = np.zeros_like(self.data)
        self.decay = decay

    __array_ufunc__ = None  # so that `x * self.g`, for `x * self.g.data`, is an error

    def __repr__(self) -> str:
        return f"Parameter(shape={self.data.shape}, dtype={self.data.dtype})"


class Buffer:
    """An array that is saved with the model but not trained, a running mean for example.

    data: the values, made float32 if they are floating.
    Raises TypeError if data are not real numbers.
    """

    def __init__(self, data: ArrayLike) -> None:
        array = real_array("Buffer", data)
        self.data: Array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype)

    __array_ufunc__ = None

    def __repr__(self) -> str:
        return f"Buffer(shape={self.data.shape}, dtype={self.data.dtype})"


class _NoCache:
    """Stands where `cache` will be."""

    def __get__(self, layer: Layer | None, owner: type) -> Any:
        if layer is None:
            return self
        raise BackwardBeforeForward(f"{layer!r}: backward before forward, there is no cache to work from")


class Layer:
    """A function with a hand-written derivative. The whole contract:

    1. Assign every trained array as a `Parameter` in `__init__` (no `super().__init__()` call, no registration).
    2. `forward(x)` returns `y` and keeps in `self.cache` what backward needs.
    3. `backward(dy)` **adds** to each `Parameter.grad` and returns `dx`, shaped like `x`.
    4. Neither writes into an array it was handed.
    5. Look at `self.training` if the two modes differ.

    Parameters, buffers, random generators and further layers are found in the attributes, and in lists,
    tuples and dicts there. Ids, being no quantities, have no gradient: their dx is None. `input_gradient` is
    False while a container runs a backward whose dx nobody will use; a layer may then return None at once.
    `is_loss`, `takes_scores` and `gives_probabilities` tell a container what may stand in front of what.
    """

    training: bool = True
    input_gradient: bool = True
    is_loss: bool = False
    takes_scores: bool = False
    gives_probabilities: bool = False
    cache: Any = _NoCache()
    _arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
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
            return self.forward(*inputs, **options)
        except Exception as error:
            self.clear_cache()
            if not str(error).startswith(f"{self!r}: "):
                locate(error, self, f"{label(self)}, given {shapes(*inputs)}")
            raise

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes along: everything but the cache."""
        return {name: value for name, value in vars(self).items() if name != "cache"}

    def __repr__(self) -> str:
        args, kwargs = self._arguments
        shown = [_literal(value) for value in args]
        shown += [f"{name}={_literal(v)}" for name, v in kwargs.items() if not isinstance(v, np.random.Generator)]
        return f"{type(self).__name__}({', '.join(shown)})"

    def members(self) -> Iterable[tuple[Any, Any]]:
        """The attributes by name, in order of assignment: where parameters and layers are looked for."""
        return ((name, value) for name, value in vars(self).items() if name not in ("cache", "_arguments"))

    def walk(self, *kinds: type) -> dict[str, Any]:
        """This layer (named "") and all below it that is of a kind: Parameter, Buffer, Layer, Generator.

        Returns a dict from names such as "0.W" to the objects, each once, in order of assignment.
        Raises TypeError for a parameter where it can't be found, in a set for example.
        """
        found: dict[str, Any] = {}
        for name, value in _walk(self, "", set()):
            if found.setdefault(name, value) is not value:
                raise ValueError(f"{label(self)}: two of its attributes are named {name}")
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

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Set all parameters and buffers, in place.

        Raises ValueError that lists every missing, unexpected and unfit name; nothing has been changed then.
        """
        own = self.walk(Parameter, Buffer)
        arrays = named_arrays(label(self), state)
        if problems := misfits({name: target.data for name, target in own.items()}, arrays):
            raise ValueError(f"{label(self)}: the state does not fit, nothing was loaded: {'; '.join(problems)}")
        arrays = {name: arrays[name].astype(target.data.dtype) for name, target in own.items()}
        for target in own.values():
            target.data = np.require(target.data, requirements="W")  # after `count.data = count.data + 1` it's a scalar
        for name, target in own.items():
            target.data[...] = arrays[name]

    def train(self, mode: bool = True) -> Self:
        """Switch this layer and all below to training mode."""
        for layer in self.walk(Layer).values():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Switch this layer and all below to evaluation mode."""
        return self.train(False)

    def astype(self, dtype: DTypeLike) -> Self:
        """Change all parameters and floating buffers to a floating dtype, in place, before an optimizer is made."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"{label(self)}: expected a floating dtype, got {np.dtype(dtype)}")
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.grad = parameter.grad.astype(dtype)
        for buffer in self.walk(Buffer).values():
            if buffer.data.dtype.kind == "f":
                buffer.data = buffer.data.astype(dtype)
        return self

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        for parameter in self.parameters():
            parameter.grad.fill(0)

    def count_correct(self) -> tuple[int, int] | None:
        """How many of the last batch's predictions were right, and of how many; None where nothing is classified."""
        return None

    def total_weight(self) -> float | None:
        """What the loss of the last batch was divided by, the sum of its effective weights; None where unknown."""
        return None

    def clear_cache(self) -> None:
        """Forget the last forward pass, here and below; backward then needs a new one."""
        for layer in self.walk(Layer).values():
            forget(layer)


def forget(layer: Layer) -> None:
    """Drop the cache of this layer alone; clear_cache, which looks for layers below it too, takes 3.5 µs."""
    vars(layer).pop("cache", None)


def real_input(layer: Layer, x: ArrayLike, features: int | None = None, dtype: DTypeLike | None = None) -> Array:
    """x as a floating array: what a layer calls at the door of its forward.

    features: what the last axis must be.  dtype: what to cast to, usually the dtype of a parameter; without
    one, floating input keeps its own and other real input becomes float32.
    Raises TypeError if x is not real, ValueError if it has no axes or does not end in features.
    """
    if type(x) is not Array or (x.dtype.kind != "f" if dtype is None else x.dtype != dtype):
        x = real_array(repr(layer), x)
        x = x.astype(dtype or (x.dtype if x.dtype.kind == "f" else np.float32), copy=False)
    if not x.shape or (features is not None and x.shape[-1] != features):
        advice = "; put a Flatten() before it" if x.ndim > 2 and x[:1].size == features else ""
        raise ValueError(f"{layer!r}: expected x of shape (..., {features or 'C'}), got {x.shape}{advice}")
    return x


def label(layer: Layer) -> str:
    """The layer in one line: its repr, with dots for the arguments where that has several lines."""
    text = repr(layer)
    return text if "\n" not in text else f"{type(layer).__name__}(...)"


def shapes(*inputs: Any) -> str:
    """What was handed to a layer, for the text of an error."""
    return ", ".join(f"shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__ for x in inputs)


def locate(error: Exception, layer: Layer, place: str) -> None:
    """Put a place in front of an error's message, instead of the bare name of the layer if that stands there."""
    if len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (f"{place}: {error.args[0].removeprefix(f'{layer!r}: ')}",)
    else:
        error.add_note(place)


def _literal(value: Any) -> str:
    """An argument as it would be written in a call."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return getattr(value, "__name__", None) or repr(value)


def _walk(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """(name, object) for each parameter, buffer, generator and layer in value, the outer before the inner."""
    members: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, (Parameter, Buffer, Layer, np.random.Generator)):
        if id(value) in seen:
            return
        seen.add(id(value))
        yield name, value
        if isinstance(value, Layer):
            members = value.members()
    elif isinstance(value, dict) and not _holds_state(list(value), depth=2):
        members = value.items()
    elif isinstance(value, (list, tuple)):
        members = enumerate(value)
    elif _holds_state(value, depth=4):
        raise TypeError(
            f"{name} is a {type(value).__name__} with parameters in it, where they are not found; use a list or a dict"
        )
    for key, member in members:
        yield from _walk(member, f"{name}.{key}" if name else str(key), seen)


def _holds_state(value: Any, depth: int) -> bool:
    """Whether something that is not looked through has parameters, buffers or layers in it, down to a depth."""
    if isinstance(value, (Parameter, Buffer, Layer)):
        return True
    if depth == 0 or value is None or isinstance(value, (bool, int, float, str, bytes, range, type, ModuleType)):
        return False
    inner: Any = ()
    if isinstance(value, np.ndarray):
        inner = value.flat if value.dtype == object else ()
    elif isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, (Set, Sequence, MappingView, deque)):
        inner = value
    else:
        slots = (getattr(value, name, None) for name in getattr(type(value), "__slots__", ()))
        inner = [*getattr(value, "__dict__", {}).values(), *slots]
    return any(_holds_state(item, depth - 1) for item in inner)
