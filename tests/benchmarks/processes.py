"""What can only be measured of a whole process, each in a fresh one: importing, and the digits from a cold start."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from harness import Race
from machine import THREADS
from worker import Contestant

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def output(*command: str) -> str:
    """What a Python process prints. It may keep its bytecode, as what is installed has it, from the warm-up on."""
    settings = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(THREADS)}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run([sys.executable, *command], env=settings, capture_output=True, text=True, check=True).stdout


def importing(modules: str) -> Contestant:
    return Contestant(lambda: float(output("-c", TIMED.format(modules))))


def import_race() -> Race:
    contestants = {
        "minnet": partial(importing, "minnet"),
        "NumPy and tqdm": partial(importing, "numpy, tqdm"),
    }
    return Race("import", "importing", contestants, unit="ms", scale=1e-3, warm_up=False)


def cold_program(figure: int, needs: str, *command: str) -> Contestant:
    """figure: which of those that the launcher prints is compared, 0 the seconds or 1 the bytes."""
    if not find_spec(needs):
        raise ImportError(f"No module named {needs!r}")
    program, *arguments = command
    launched = [str(PROGRAMS / "launcher.py"), sys.executable, str(PROGRAMS / program), *arguments]
    printed: list[float] = []

    def run() -> float:
        printed[:] = map(float, output(*launched).split())
        return printed[figure]

    return Contestant(run, lambda: [np.array(printed[2:])])


def cold_race(name: str, title: str, figure: int, unit: str, scale: float, rounds: tuple[int, int]) -> Race:
    data = str(ROOT / "datasets" / "digits.npz")
    contestants = {
        "minnet": partial(cold_program, figure, "minnet", "minnet_digits.py"),
        "PyTorch": partial(cold_program, figure, "torch", "torch_digits.py", data),
    }
    return Race(name, title, contestants, unit=unit, scale=scale, rounds=rounds, warm_up=False)


def cold_start_race() -> Race:
    return cold_race("cold-start", "digits from a cold start, the whole process", 0, "ms", 1e-3, (2, 30))


def cold_memory_race() -> Race:
    return cold_race("cold-memory", "peak memory of that process", 1, "MB", 1e6, (1, 5))
