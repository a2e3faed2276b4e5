"""Run the tests in many surroundings: `python -m tests.portability`, from the checkout.

Needs a POSIX system with git, sh, stty and util-linux's setpriv, a Python with venv, and pip with a package index.
Every row runs on a copy of the checkout in a temporary folder, in an environment of its versions; nothing stays behind.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from .outcomes import Outcome, Runner
from .places import Places
from .processes import Processes
from .pythons import Python, find, version
from .surroundings import Surrounding, rows

# The tests whose numbers depend on the kernel of a matrix product, on the processor and on NumPy.
NUMERICAL = (
    "insight/test_check_layer.py",
    "insight/test_differences.py",
    "layers",
    "losses",
    "optimizers",
    "test_contract.py",
    "test_initializers.py",
    "test_gaussian.py",
    "test_numerics.py",
)
SHOWN = 5  # failing tests of a row


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.portability", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="WORD", action="append", default=[], help="rows with it in the name")
    parser.add_argument("--list", action="store_true", help="name the rows, and run nothing")
    parser.add_argument("--numerical", action="store_true", help="only the tests of numbers: for several kernels, say")
    parser.add_argument(
        "--python", metavar="PATH", type=Path, action="append", default=[], help="a Python, besides PATH"
    )
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="rows at a time")
    parser.add_argument("--all", action="store_true", help=f"show every failing test, not {SHOWN} of a row")
    chosen = parser.parse_args()
    for path in chosen.python:
        if not version(str(path)):
            parser.error(f"--python {path}: no Python with venv and ensurepip")
    chosen.rows = selection(chosen, parser)
    return chosen


def selection(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Surrounding]:
    own = Python(sys.executable, "{}.{}".format(*sys.version_info))
    every = list(rows(find(chosen.python), own))
    for word in chosen.only:
        if not any(word.lower() in row.name.lower() for row in every):
            parser.error(f"no row has {word!r} in its name; --list names them")
    return [row for row in every if not chosen.only or any(word.lower() in row.name.lower() for word in chosen.only)]


def run(chosen: argparse.Namespace) -> Generator[Outcome, None, None]:
    """Of every row, in their order."""
    tests = [f"tests/{name}" for name in NUMERICAL] if chosen.numerical else []
    processes = Processes()
    with tempfile.TemporaryDirectory(prefix="minnet-portability-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o755)  # another user runs there, too
        runner = Runner(Places(root, processes), processes, tests)
        with ThreadPoolExecutor(chosen.jobs) as pool:
            try:
                yield from pool.map(runner.run, chosen.rows)
            except BaseException:
                processes.stop()
                pool.shutdown(cancel_futures=True)
                raise


def line(outcome: Outcome) -> str:
    numbers = f"{outcome.passed:>7} {len(outcome.failures):>7} {outcome.seconds:>8.0f}"
    return f"{outcome.name:<42} {outcome.note or numbers}"


def failures(outcomes: list[Outcome], shown: int | None) -> None:
    for outcome in outcomes:
        if outcome.failures:
            print(f"\n{outcome.name}: {len(outcome.failures)} failed")
            for test, error in outcome.failures[:shown]:
                print(f"  {test}\n      {error}")
            if shown and len(outcome.failures) > shown:
                print(f"  and {len(outcome.failures) - shown} more")


def main() -> int:
    chosen, start = options(), time.perf_counter()
    if chosen.list:
        print(*(row.name for row in chosen.rows), sep="\n")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"{'surrounding':<42} {'passed':>7} {'failed':>7} {'seconds':>8}")
    outcomes = []
    try:
        with closing(run(chosen)) as finished:
            for outcome in finished:
                outcomes.append(outcome)
                print(line(outcome), flush=True)
    except KeyboardInterrupt:
        return 130
    finally:
        failures(outcomes, None if chosen.all else SHOWN)
    ran, failed = sum(each.ran for each in outcomes), sum(bool(each.failures) for each in outcomes)
    counts = f"{ran - failed} of {len(outcomes)} surroundings passed, {failed} failed, {len(outcomes) - ran} not run"
    print(f"\n{counts}, in {time.perf_counter() - start:.0f} s")
    return 1 if failed or not ran or (chosen.only and ran < len(outcomes)) else 0  # what is asked for has to run


if __name__ == "__main__":
    sys.exit(main())
