"""Checks of arguments. Each error names the function or class that was given the argument."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy import ndarray as Array

MAX_REPR = 80  # characters of a repr in an error

REAL = "biuf"  # the kinds of dtypes whose entries are real numbers: booleans, integers and floats

# What to do with other kinds, by kind.
ADVICE = {
    "c": "take the real and the imaginary parts as features of their own",
    "M": "make numbers of the times, the days since the first for example",
    "m": "make numbers of the times, in days for example",
    "V": "make one array of its fields",
} | dict.fromkeys(
    "UST", "make texts one-hot, a column for each value; number labels with np.unique(labels, return_inverse=True)[1]"
)


def described(value: Any) -> str:
    """A value as one line for an error: an array as its shape, anything else as its repr, cut if it is long."""
    if isinstance(value, Array):
        return f"an array of shape {value.shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_REPR else f"{text[:MAX_REPR]}..."


def whole_number(owner: str, name: str, value: Any, least: int) -> int:
    """value as an int. Raises TypeError for another type, ValueError below least."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{owner}: expected {name} to be an int, got {described(value)}")
    if value < least:
        raise ValueError(f"{owner}: expected {name} to be at least {least}, got {value}")
    return int(value)


def at_least_one(owner: str, **values: Any) -> None:
    """Raises TypeError or ValueError unless all are ints of at least 1: at_least_one("Conv2d", in_channels=3)."""
    for name, value in values.items():
        whole_number(owner, name, value, least=1)


def number(owner: str, name: str, value: Any, below: float = math.inf) -> float:
    """value as a float. Raises TypeError if it is not a number, ValueError unless 0 <= value < below."""
    _expect_number(owner, name, value)
    if not 0 <= value < below:
        limits = "at least 0 and finite" if below == math.inf else f"at least 0 and below {below:g}"
        raise ValueError(f"{owner}: expected {name} to be {limits}, got {value}")
    return float(value)


def signed_number(owner: str, name: str, value: Any) -> float:
    """value as a float. Raises TypeError if it is not a number, ValueError if it is not finite."""
    _expect_number(owner, name, value)
    if not math.isfinite(value):
        raise ValueError(f"{owner}: expected {name} to be finite, got {value}")
    return float(value)


def positive_number(owner: str, name: str, value: Any) -> float:
    """value as a float. Raises TypeError if it is not a number, ValueError unless it is above 0 and finite."""
    _expect_number(owner, name, value)
    if not 0 < value < math.inf:
        raise ValueError(f"{owner}: expected {name} to be above 0 and finite, got {value}")
    return float(value)


def share(owner: str, name: str, value: Any) -> float:
    """value as a float. Raises TypeError if it is not a number, ValueError unless 0 <= value <= 1."""
    _expect_number(owner, name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{owner}: expected {name} from 0 to 1, got {value}")
    return float(value)


def _expect_number(owner: str, name: str, value: Any) -> None:
    if (
        isinstance(value, (bool, np.bool_, str, np.complexfloating))
        or not hasattr(value, "__float__")
        or np.ndim(value)
    ):
        raise TypeError(f"{owner}: expected {name} to be a number, got {described(value)}")


def flag(owner: str, name: str, value: Any) -> bool:
    """value as a bool. Raises TypeError for anything else, such as the third argument in `Linear(64, 10, "relu")`."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{owner}: expected {name} to be True or False, got {described(value)}")
    return bool(value)


def plain_array(owner: str, name: str, data: Any) -> Array:
    """data as an array of numbers or texts.

    Raises TypeError for what an array would lose, such as a mask, for several arrays in a tuple and for other objects;
    ValueError for rows that differ in shape.
    """
    if type(data) is Array and data.dtype.kind != "O":
        return data
    expected = f"{owner}: expected {name} to be an array"
    array = _converted(expected, data)
    if array.dtype.kind == "O" and not all(isinstance(value, str) for value in array.flat):
        raise TypeError(f"{expected} of real numbers, got {_unreal(array, data)}")
    return array


def real_array(owner: str, data: Any) -> Array:
    """data as an array of booleans, integers or floats. Raises TypeError or ValueError as plain_array does."""
    if type(data) is Array and data.dtype.kind in REAL:
        return data
    expected = f"{owner}: expected real numbers"
    array = _converted(expected, data)
    if array.dtype.kind not in REAL:
        raise TypeError(f"{expected}, got {_unreal(array, data)}")
    return array


def cast_array(owner: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """An array of real numbers in another dtype. Raises ValueError if a value is too large for it."""
    if np.can_cast(array.dtype, dtype):
        return array.astype(dtype, copy=False)
    cast = _cast(array, dtype)
    if dtype.kind == "f" and np.isfinite(cast).all():  # in a third of the time that the comparison takes
        return cast
    lost = array[~_kept(array, cast)]
    if lost.size:
        raise ValueError(f"{owner}: expected values that {dtype} can hold, got {lost[0]}")
    return cast


def sliceable(owner: str, name: str, data: Any) -> Array:
    """data as an array; or as it is where it is read in slices, from a file for example: an h5py Dataset, a zarr array.

    Such data have shape and dtype, but perhaps no len; a slice of them is for plain_array or real_array.
    """
    return data if is_stored(data) else plain_array(owner, name, data)


def is_stored(data: Any) -> bool:
    """Whether data give out slices of an array that need not be in memory.

    It is where data have iloc, as a pandas Series, or __dlpack__, as arrays of other libraries.
    """
    return (
        not isinstance(data, (Array, np.generic))
        and isinstance(getattr(data, "dtype", None), np.dtype)
        and bool(getattr(data, "shape", ()))
        and hasattr(data, "__getitem__")
        and not any(hasattr(data, name) for name in ("iloc", "toarray", "__dlpack__"))
    )


def writable(array: Any) -> Array:
    """The array itself if it can be written to; else a copy, of a NumPy scalar or a read-only array for example."""
    return array if isinstance(array, Array) and array.flags.writeable else np.array(array)


def _converted(expected: str, data: Any) -> Array:
    """data as an array of any dtype, if nothing is lost by that. expected: how errors begin."""
    for part in chain([data], data if isinstance(data, (list, tuple)) else ()):
        if hasattr(part, "toarray"):
            raise TypeError(f"{expected}, got a sparse {type(part).__name__}; call its .toarray()")
        if isinstance(part, Array) and hasattr(part, "mask") and np.ma.is_masked(part):
            raise TypeError(
                f"{expected}, got a masked array, whose mask would be lost; call its .filled(value), leave masked rows "
                "out, or give them a sample_weight of 0"
            )
    if isinstance(data, tuple) and any(getattr(part, "ndim", 0) for part in data):
        raise TypeError(f"{expected}, got a tuple of {len(data)} arrays; if they are rows, call np.stack")
    try:
        array = np.asarray(data)
    except ValueError as error:
        uneven = _uneven(data) if isinstance(data, (list, tuple)) else ""
        raise ValueError(f"{expected} with rows of one shape, got {uneven or error}") from None
    if array.dtype.kind == "O" and not array.ndim and not isinstance(data, Array):
        raise TypeError(f"{expected}, got {described(data)}")
    return array


def _uneven(rows: Iterable[Any], place: str = "row ") -> str:
    """Which two of nested rows differ in shape, as a phrase."""
    shapes: list[tuple[int, ...]] = []
    for i, row in enumerate(rows):
        try:
            shapes.append(np.shape(row))
        except ValueError:
            return _uneven(row, f"{place}{i}, ") if isinstance(row, (list, tuple)) else ""
        if shapes[i] != shapes[0]:
            return f"{shapes[0]} in {place}0 and {shapes[i]} in {place}{i}"
    return ""


def _unreal(array: Array, data: Any) -> str:
    """What an array holds that are not real numbers, and what to do, as a phrase."""
    got = f"an array of dtype {array.dtype}"
    if array.dtype.kind != "O":
        return f"{got}; {ADVICE.get(array.dtype.kind, 'convert it first')}"
    kinds = {type(value) for value in array.flat}
    if kinds:
        got += f" with {', '.join(sorted(kind.__name__ for kind in kinds))} in it"
    if str in kinds:
        columns = zip(getattr(data, "columns", ()), getattr(data, "dtypes", ()))
        text = [str(column) for column, dtype in columns if getattr(dtype, "kind", "f") not in REAL]
        return f"{got}{', in the columns ' * bool(text)}{' and '.join(text)}; {ADVICE['U']}"
    if any(issubclass(kind, (Array, list, tuple)) for kind in kinds):
        return f"{got}; make its rows of one length, then one array of them with np.stack"
    missing = "" if all(hasattr(kind, "__float__") for kind in kinds) else "fill in or drop what is missing, then "
    return f"{got}; {missing}call its .astype(float)"


def named_arrays(owner: str, state: Any) -> dict[str, Array]:
    """What state_dict returned, as arrays by name. Raises TypeError if it is not a mapping, or of what is no array."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{owner}: expected what state_dict returns, got {type(state).__name__}")
    return {name: plain_array(owner, name, value) for name, value in state.items()}


def misfits(expected: dict[str, Array], got: dict[str, Array]) -> list[str]:
    """Every reason why the arrays `got` can't replace the expected ones; none if they can."""
    problems = [f"missing {name} {expected[name].shape}" for name in expected if name not in got]
    problems += [f"unexpected {name} {got[name].shape}" for name in got if name not in expected]
    for name in expected:
        if name in got and got[name].shape != expected[name].shape:
            problems.append(f"{name} has shape {got[name].shape}, expected {expected[name].shape}")
        elif name in got and not np.can_cast(got[name].dtype, expected[name].dtype, "same_kind"):
            problems.append(f"{name} holds {got[name].dtype}, expected {expected[name].dtype}")
        elif name in got and not _survives_cast(got[name], expected[name].dtype):
            problems.append(f"{name} holds values that are too large for {expected[name].dtype}")
    return problems


# They compare values: NumPy reports no overflow on some platforms, WebAssembly for one, and never one of integers.
def _survives_cast(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether all values survive a cast to a dtype of the same kind, up to rounding."""
    return np.can_cast(array.dtype, dtype) or bool(_kept(array, _cast(array, dtype)).all())


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(dtype)


def _kept(array: Array, cast: Array) -> Any:
    """Where a cast kept the values of an array, up to rounding."""
    return cast == array if cast.dtype.kind in "biu" else np.isfinite(cast) == np.isfinite(array)


def expect_gradient(layer: Any, dy: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError, naming the layer, unless dy is an array of the shape that y has."""
    try:  # costs nothing, where getattr would take 0.03 µs
        if dy.shape == shape:
            return
    except AttributeError:
        pass
    raise ValueError(f"{layer!r}: expected dy of shape {shape}, like y, got {described(dy)}")
