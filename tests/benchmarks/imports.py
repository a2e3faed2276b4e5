"""What importing minnet costs beside importing what it needs, each in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from harness import Contestant, Race

ROOT = Path(__file__).parents[2]
TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def importing(modules: str) -> Contestant:
    def run() -> float:
        command, settings = [sys.executable, "-c", TIMED.format(modules)], os.environ | {"PYTHONPATH": str(ROOT)}
        settings.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode beside it
        return float(subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout)

    return Contestant(run)


def import_race(quick: bool) -> Race:
    contestants = {"minnet": partial(importing, "minnet"), "NumPy and tqdm": partial(importing, "numpy, tqdm")}
    return Race("import", "Importing", contestants, rounds=7 if quick else 30, unit="ms", scale=1e-3)
