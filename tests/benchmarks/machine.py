"""What the races run on: the machine, the versions, the threads, and how fast a matrix product is here."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.util import find_spec

import numpy as np

THREADS = 2  # of torch, which is told; as many as the machine that the goals were set on has cores


def environment() -> dict[str, str]:
    """The machine and the versions, as far as they can be found."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": ", ".join(f"{package} {version}" for package, version in versions()),
        "threads": ", ".join(f"{count} of {library}" for library, count in threads()),
        "float32 matrix product": f"{matrix_product_rate():.0f} GFLOP/s",
    }


def versions() -> Iterator[tuple[str, str]]:
    for package in ("numpy", "torch", "scikit-learn", "jax"):
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def threads() -> Iterator[tuple[str, int | str]]:
    """How many threads each library may use; JAX and what only threadpoolctl could tell decide for themselves."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        yield "BLAS", os.environ.get("OPENBLAS_NUM_THREADS", "the default number")
    else:
        for pool in threadpool_info():
            if pool["user_api"] == "blas":
                yield f"{pool['internal_api']} {pool['version']}", pool["num_threads"]
    if find_spec("torch"):
        yield "torch", THREADS


@cache
def matrix_product_rate(n: int = 1024) -> float:
    """The best of several products of n × n matrices, in GFLOP/s."""
    a = np.random.default_rng(0).random((n, n), np.float32)
    product, seconds = np.empty_like(a), []
    for _ in range(150):
        start = time.perf_counter()
        np.dot(a, a, out=product)
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds) / 1e9
