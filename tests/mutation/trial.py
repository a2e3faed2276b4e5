"""A suite on trial: run on a copy of the package that has a fault in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .fault import Fault

# What these hold is the look of the source, which a fault changes whatever it does.
BLIND = ("test_architecture.py", "test_mutation.py")
LIMIT, SLACK = 60.0, 5.0  # seconds for a run, and how many times what the likely tests take of all faults


@dataclass(frozen=True)
class Verdict:
    """How a run ended: by which test the fault was caught, "" by none; and in how many seconds."""

    caught_by: str
    seconds: float
    output: str = ""


def copy_checkout(source: Path, into: Path) -> None:
    """The files that git tracks, as they are on the disk."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=source, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (source / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, into / name)


def run(checkout: Path, files: list[Path], limit: float) -> Verdict:
    """pytest there, with its default selection, on these files or on all; up to the first test that fails."""
    ignored = [f"--ignore=tests/{name}" for name in BLIND]
    own = ["-p", "no:cacheprovider", f"--basetemp={checkout.with_name('pytest')}"]  # nothing shared with other trials
    command = [sys.executable, "-m", "pytest", "-x", "-q", *own, *ignored, *map(str, files)]
    settings = os.environ | {"PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"}
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Verdict(f"a hang of {limit:.0f} s", time.perf_counter() - start)
    return Verdict(_first_failure(output, process.returncode), time.perf_counter() - start, output)


def try_fault(fault: Fault, source: Path, limit: float, quick: bool = False) -> Verdict:
    """Plant it in a copy of what is in source; run the likely tests, and unless that shall be quick, then all."""
    with TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        shutil.copytree(source, checkout, ignore=shutil.ignore_patterns("__pycache__"))
        package = checkout / "minnet"
        (package / f"{fault.module}.py").write_text(fault.planted(package), encoding="utf-8")
        start = time.perf_counter()
        verdict = Verdict("", 0.0)
        if likely := fault.likely(checkout / "tests"):
            verdict = run(checkout, [path.relative_to(checkout) for path in likely], limit)
        if not verdict.caught_by and not quick:
            verdict = run(checkout, [], limit)
        return Verdict(verdict.caught_by, time.perf_counter() - start, verdict.output)


def _first_failure(output: str, status: int) -> str:
    """The test that failed, as pytest's summary names it. Raises RuntimeError where pytest itself came to grief."""
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" ", 1)[1].partition(" - ")[0]
    if status:
        raise RuntimeError(f"pytest ended with exit status {status} and no test that failed:\n{output}")
    return ""
