"""Facts about single arrays: whether they hold floating values, whether all are finite, how large they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray as Array


def is_float_array(value: Any) -> bool:
    """Whether a value is a floating array that is not empty."""
    return isinstance(value, Array) and value.dtype.kind == "f" and value.size > 0


def not_finite(value: Any) -> str:
    """How many entries are not finite and where the first is, as a phrase; "" if all are finite."""
    array = np.asarray(value) if isinstance(value, (Array, float)) else np.zeros(())
    bad = np.argwhere(~np.isfinite(array)) if array.dtype.kind == "f" else np.zeros((0, 0))
    place = f", the first at {tuple(bad[0].tolist())}" if bad.size else ""
    return f"{len(bad)} of {array.size} values that are not finite{place}" if len(bad) else ""


def rms(array: Array) -> float:
    """The root mean square of all entries, 0 if there are none."""
    return math.sqrt(float(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


def norm(array: Array) -> float:
    """The Euclidean norm of all entries, computed in float64, where the squares of large float32 are finite."""
    return float(np.linalg.norm(array.astype(np.float64).reshape(-1)))
