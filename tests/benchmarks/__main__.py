"""Compare minnet with others that do the same: `python -m tests.benchmarks`, from the checkout."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from goals import ROWS, Row
from harness import Result, hold, verdict
from machine import environment
from report import OTHER_KERNEL, place, short_table, summary, table, write

ROOT = Path(__file__).parents[2]
PAGE, README = ROOT / "docs" / "speed.md", ROOT / "README.md"
QUICK_SECONDS, SECONDS = 1.0, 7.0  # that the rounds of a race may take


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no optimizers alone: below three minutes")
    parser.add_argument(
        "--only", metavar="NAME", default="", help=f"only races whose name contains it: {', '.join(ROWS)}"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every time and ratio there")
    parser.add_argument(
        "--write", action="store_true", help="also write the table into docs/speed.md, its summary into README.md"
    )
    parser.add_argument(
        "--write-kernel", action="store_true", help="also write the short table of another kernel into docs/speed.md"
    )
    chosen = parser.parse_args()
    if not any(chosen.only in name for name in ROWS):
        parser.error(f"there is no race {chosen.only!r}; there are {', '.join(ROWS)}")
    writes = chosen.write or chosen.write_kernel
    if chosen.only and writes:
        parser.error("--write and --write-kernel write the whole table; leave out --only")
    if writes and not find_spec("torch"):
        parser.error("--write and --write-kernel compare with PyTorch, which is not installed here")
    if chosen.write:
        for path in (PAGE, README):
            place(path)
    if chosen.write_kernel:
        place(PAGE, OTHER_KERNEL)
    return chosen


def command(quick: bool) -> str:
    """As it was called, and with the kernel that OpenBLAS was told to take."""
    kernel = os.environ.get("OPENBLAS_CORETYPE")
    told = f"OPENBLAS_CORETYPE={kernel} " if kernel else ""
    return f"{told}python -m tests.benchmarks{' --quick' if quick else ''}"


def import_others() -> None:
    """Once, rather than in the process of each contestant; they start their threads only there."""
    for name in ("torch", "jax", "sklearn.neural_network", "sklearn.linear_model"):
        with suppress(ImportError):
            import_module(name)


def held(rows: list[Row], seconds: float) -> list[Result]:
    results = []
    for row in rows:
        results.append(hold(row.make(), row.goals, seconds))
        print(f"\n{results[-1]}", flush=True)
    return results


def main() -> None:
    chosen, machine, start = options(), environment(), time.perf_counter()
    import_others()
    for name, value in machine.items():
        print(f"{name}: {value}")
    rows = [row for name, row in ROWS.items() if chosen.only in name and (row.quick or chosen.only or not chosen.quick)]
    results = held(rows, QUICK_SECONDS if chosen.quick else SECONDS)
    for name in sorted({name for result in results for name in result.missing}):
        print(f"\nleft out: {name}")
    judged = [(result, goal, ratio) for result in results for goal, ratio in result.judged()]
    missed = [each for each in judged if each[2][1] > each[1].limit]
    print(f"\n{len(judged) - len(missed)} of {len(judged)} goals held; missed:" if missed else "\nall goals held")
    for result, goal, ratio in missed:
        print(f"  {result.race.name}: {goal.subject} {verdict(goal, ratio)} of {goal.other}")
    print(f"in {time.perf_counter() - start:.0f} s")
    if chosen.json:
        report = {"environment": machine, "races": [result.as_dict() for result in results]}
        chosen.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    if chosen.write:
        write(table(results, machine, command(chosen.quick)), PAGE)
        write(summary(results), README)
    if chosen.write_kernel:
        write(short_table(results, machine, command(chosen.quick)), PAGE, OTHER_KERNEL)


if __name__ == "__main__":
    main()
