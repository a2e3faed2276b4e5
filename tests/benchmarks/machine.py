"""What the races run on: the machine, the versions, the threads, and how fast a matrix product is here."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2  # of torch, which is told; as many as the machine that the goals were set on has cores


def environment() -> dict[str, str]:
    """The machine and the versions, as far as they can be found."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores",
        "versions": ", ".join(f"{package} {version}" for package, version in versions()),
        "threads": ", ".join(f"{count} of {library}" for library, count in threads()),
        "matrix products": f"{kernel()}{matrix_product_rate():.0f} GFLOP/s in float32",
    }


def processor() -> str:
    """As the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def versions() -> Iterator[tuple[str, str]]:
    for package in ("numpy", "torch", "scikit-learn", "jax"):
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def threads() -> Iterator[tuple[str, int | str]]:
    """How many threads each library may use; JAX and what only threadpoolctl could tell decide for themselves."""
    pools = blas()
    if not pools:
        yield "BLAS", os.environ.get("OPENBLAS_NUM_THREADS", "the default number")
    for pool in pools:
        yield pool["internal_api"], pool["num_threads"]
    if find_spec("torch"):
        yield "torch", THREADS


def blas() -> list[dict[str, Any]]:
    """What threadpoolctl, if it is there, tells of the library behind NumPy's matrix products."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]


def kernel() -> str:
    """The version, and the kernel that it chose for this processor or was told to take."""
    pools = [f"{pool['internal_api']} {pool['version']}, {pool.get('architecture')} kernel, " for pool in blas()]
    return "".join(pools)


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
