"""Checks of arguments. Each error names the function or class that was given the argument."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray as Array

MAX_REPR = 80  # characters of a repr in an error


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
    """data as an array. Raises ValueError for rows that differ in length."""
    try:
        return np.asarray(data)
    except ValueError as error:
        raise ValueError(f"{owner}: expected {name} to have rows of one length: {error}") from None


def paired_arrays(owner: str, x: Any, y: Any) -> tuple[Array, Array]:
    """x and y as arrays with one row for each sample."""
    x, y = plain_array(owner, "x", x), plain_array(owner, "y", y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"{owner}: expected x and y with one row for each sample, got shapes {x.shape} and {y.shape}")
    if not len(x):
        raise ValueError(f"{owner}: expected at least one sample, got none")
    return x, y


def real_array(owner: str, data: Any) -> Array:
    """data as an array of booleans, integers or floats. Raises TypeError for anything else."""
    array = np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{owner}: expected real numbers, got an array of dtype {array.dtype}")
    return array


def named_arrays(owner: str, state: Any) -> dict[str, Array]:
    """What state_dict returned, as arrays by name. Raises TypeError if it is not a mapping."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{owner}: expected what state_dict returns, got {type(state).__name__}")
    return {name: np.asarray(value) for name, value in state.items()}


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


# It compares values: NumPy reports no overflow on some platforms, WebAssembly for one, and never one of integers.
def _survives_cast(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether all values survive a cast to a dtype of the same kind, up to rounding."""
    if np.can_cast(array.dtype, dtype):
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype)
    return bool((cast == array).all() if dtype.kind in "iu" else (np.isfinite(cast) == np.isfinite(array)).all())


def expect_gradient(layer: Any, dy: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError, naming the layer, unless dy is an array of the shape that y has."""
    if getattr(dy, "shape", None) != shape:
        raise ValueError(f"{layer!r}: expected dy of shape {shape}, like y, got {described(dy)}")
