"""The Pythons to run the tests on: those on PATH and those given."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Every Python that is supported, and the oldest NumPy that has a wheel for it and that minnet allows.
OLDEST_NUMPY = {"3.11": "2.0.0", "3.12": "2.0.0", "3.13": "2.1.0", "3.14": "2.3.2"}

VERSION = "import ensurepip, sys, venv; print('{}.{}'.format(*sys.version_info))"


@dataclass(frozen=True)
class Python:
    path: str
    version: str


def version(*command: str) -> str:
    """Of a Python that can make an environment; "" if it is none, such as a launcher without what it launches."""
    try:
        done = subprocess.run([*command, "-c", VERSION], capture_output=True, text=True, cwd="/")
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def find(given: list[Path]) -> list[Python]:
    """Those given, the one that runs this, and those on PATH, of the supported versions."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    there = [Path(folder, f"python{name}") for name in OLDEST_NUMPY for folder in folders]
    paths = [*(os.path.abspath(path) for path in given), sys.executable, *map(str, filter(Path.exists, there))]
    pythons = [Python(path, version(path)) for path in dict.fromkeys(paths)]
    return [python for python in pythons if python.version in OLDEST_NUMPY]
