"""The surroundings that the tests must pass in, a row each: to add one is to add a row."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .places import Place
from .pythons import OLDEST_NUMPY, Python, version

NOBODY = 65534


@dataclass(frozen=True)
class Surrounding:
    """How a row differs from the tests as everybody runs them: on `python`, with the newest of everything.

    numpy, pytest: requirements, as pip reads them.  options: of Python.  folder: what the checkout lies in.
    within: the command that the tests' own is handed to; in it, "python" is the Python of the environment.
    prepare: what is done to the checkout before.  proof: Python code that exits with the reason, were the surrounding
    another than its name says; the row is then not run.  absent: that reason, where it is known before.
    refusal: the words with which the tests may refuse to run.
    """

    name: str
    python: Python | None
    numpy: str = "numpy"
    pytest: str = "pytest"
    within: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    folder: str = "checkout"
    prepare: Callable[[Place], None] | None = None
    proof: str = ""
    absent: str = ""
    refusal: str = ""


def shell(command: str) -> tuple[str, ...]:
    """Within a shell in which that was said before."""
    return "sh", "-c", f'{command}\nexec "$@"', "sh"


def rows(found: list[Python], own: Python) -> Iterator[Surrounding]:
    """Every row, in the order of the table. own: the Python of all rows that are not about Python."""
    yield from versions(found, own)
    yield from kernels(own)
    yield from processors(own)
    yield from users(found, own)
    yield from terminals(own)
    yield Surrounding("LC_ALL=C", own, within=shell("export LANG=C LC_ALL=C"))
    yield Surrounding("output in ASCII", own, within=shell("export PYTHONIOENCODING=ascii"))
    yield Surrounding("a folder with spaces and other letters", own, folder="ein Ordner für Ж и 数")
    yield Surrounding("64 open files at most", own, within=shell("ulimit -n 64"), proof=FEW_FILES)
    yield Surrounding("python -O", own, options=("-O",), refusal="python -O takes the assertions away")


def versions(found: list[Python], own: Python) -> Iterator[Surrounding]:
    for number, oldest in OLDEST_NUMPY.items():
        python = next((python for python in found if python.version == number), None)
        absent = "" if python else f"no python{number} on PATH or given by --python"
        yield Surrounding(f"Python {number}, newest NumPy", python, absent=absent)
        yield Surrounding(f"Python {number}, oldest NumPy", python, f"numpy=={oldest}", absent=absent)
    yield Surrounding("pytest 7.0", own, pytest="pytest==7.0.*")  # everywhere else it is the newest


def kernels(own: Python) -> Iterator[Surrounding]:
    for kernel, feature in KERNELS.items():
        # Of its own only in the OpenBLAS of the older NumPy; a newer one takes Haswell's for it.
        numpy = f"numpy=={OLDEST_NUMPY[own.version]}" if kernel == "Zen" else "numpy"
        within, proof = shell(f"export OPENBLAS_CORETYPE={kernel}"), IN_OPENBLAS + KERNEL.format(kernel, feature)
        yield Surrounding(f"OpenBLAS for {kernel}", own, numpy, within=within, proof=proof)
    for number in 1, 2:
        within, proof = shell(f"export OPENBLAS_NUM_THREADS={number}"), IN_OPENBLAS + THREADS.format(number)
        yield Surrounding(f"OpenBLAS in {number} thread{'s' * (number > 1)}", own, within=within, proof=proof)


def processors(own: Python) -> Iterator[Surrounding]:
    within = ("python", "-c", FEATURES + WITHOUT_THEM)
    yield Surrounding("NumPy without CPU features", own, within=within, proof=FEATURES + NONE_LEFT)
    # The loop ends with the process that the shell becomes.
    yield Surrounding("a busy core", own, within=shell("while kill -0 $$ 2> /dev/null; do :; done &"))


def users(found: list[Python], own: Python) -> Iterator[Surrounding]:
    root = os.geteuid() == 0
    # Root may write anywhere, unless it gives that up.
    bound = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if root else ()
    yield Surrounding("a read-only checkout", own, within=bound, prepare=read_only, proof=CAN_T_WRITE)
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    nobody += shell('export HOME="$TMPDIR" USER=nobody LOGNAME=nobody')
    python = next((python for python in found if root and version(*nobody, python.path)), None)
    absent = "" if python else "no Python that another user may run" if root else "the user is not root"
    name = "another user than root"
    yield Surrounding(name, python, within=nobody, prepare=hand_over, proof=NOT_ROOT, absent=absent)
    yield Surrounding("umask 077", own, within=shell("umask 077"))
    yield Surrounding("no HOME", own, within=shell("unset HOME"))


def terminals(own: Python) -> Iterator[Surrounding]:
    yield Surrounding("40 columns", own, within=shell("export COLUMNS=40"))
    yield Surrounding("no terminal", own, proof=NO_TERMINAL)
    within = ("python", "-c", IN_TERMINAL, *shell("stty cols 80 rows 24"))
    yield Surrounding("in a terminal", own, within=within, proof=A_TERMINAL)


def read_only(place: Place) -> None:
    for path in [place.checkout, *place.checkout.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)


def hand_over(place: Place) -> None:
    for path in [place.checkout, *place.checkout.rglob("*")]:
        shutil.chown(path, NOBODY, NOBODY)


# What each kernel needs of the processor, in NumPy's words.
KERNELS = {
    "Prescott": "SSE3",
    "Nehalem": "SSE42",
    "Sandybridge": "AVX",
    "Haswell": "AVX2",
    "Zen": "AVX2",
    "SkylakeX": "AVX512_SKX",
}

FEATURES = """
from numpy._core import _multiarray_umath as built

there = [name for name in built.__cpu_dispatch__ if built.__cpu_features__[name]]
"""
WITHOUT_THEM = """
import os, sys

os.environ["NPY_DISABLE_CPU_FEATURES"] = " ".join(there)
os.execvp(sys.argv[1], sys.argv[1:])
"""
NONE_LEFT = """
raise SystemExit(f"NumPy still uses {', '.join(there)}" if there else None)
"""

IN_OPENBLAS = """
import numpy
from numpy._core._multiarray_umath import __cpu_features__ as features
from threadpoolctl import threadpool_info

blas = next((pool for pool in threadpool_info() if pool["internal_api"] == "openblas"), None)
if blas is None:
    raise SystemExit("this NumPy has another BLAS than OpenBLAS")
"""
# OpenBLAS built with a short list of kernels calls the one for Prescott Katmai.
KERNEL = """
if not features.get("{1}"):
    raise SystemExit("the processor lacks {1}")
used = blas["architecture"].replace("Katmai", "Prescott")
if used != "{0}":
    raise SystemExit(f"OpenBLAS {{blas['version']}} of NumPy {{numpy.__version__}} takes its kernel for {{used}}")
"""
THREADS = """
if blas["num_threads"] != {0}:
    raise SystemExit(f"OpenBLAS takes {{blas['num_threads']}}")
"""

FEW_FILES = """
import resource

files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
raise SystemExit(None if files == 64 else f"{files} are allowed")
"""
CAN_T_WRITE = """
try:
    open("written", "w")
except OSError:
    raise SystemExit
raise SystemExit("this user may write there all the same")
"""
NOT_ROOT = """
import os

raise SystemExit(None if os.geteuid() else "still root")
"""

IN_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
A_TERMINAL = """
import sys

raise SystemExit(None if sys.stdin.isatty() and sys.stdout.isatty() else "there is none")
"""
NO_TERMINAL = """
try:
    open("/dev/tty")
except OSError:
    raise SystemExit
raise SystemExit("there is one")
"""
