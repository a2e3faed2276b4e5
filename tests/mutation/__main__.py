"""How many planted faults the default tests notice: `python -m tests.mutation`, from the checkout."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory

from .fault import FAULTS, Fault
from .trial import LIMIT, SLACK, copy_checkout, run, try_fault

HERE = Path(__file__).parents[2]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="how many faults are tried at a time")
    parser.add_argument("--only", metavar="TEXT", default="", help="only faults with this in module or description")
    parser.add_argument(
        "--quick", action="store_true", help="only the likely tests: a survivor may be caught by others"
    )
    parser.add_argument("--list", action="store_true", help="print the faults, and try none")
    parser.add_argument(
        "--tests", metavar="CHECKOUT", type=Path, default=HERE, help="take all but minnet/ from another checkout"
    )
    chosen = parser.parse_args()
    if not any(fault.told_by(chosen.only) for fault in FAULTS):
        parser.error(f"there is no fault with {chosen.only!r} in it")
    if not (chosen.tests / "tests").is_dir():
        parser.error(f"{chosen.tests} is no checkout, there is no tests/ in it")
    return chosen


def prepare(tests: Path, into: Path) -> None:
    """The package of this checkout, and all the rest of the other."""
    copy_checkout(tests, into)
    if tests.resolve() != HERE:
        shutil.rmtree(into / "minnet")
        with TemporaryDirectory() as folder:
            copy_checkout(HERE, Path(folder))
            shutil.copytree(Path(folder) / "minnet", into / "minnet")


def sound(source: Path, chosen: list[Fault]) -> float:
    """How many seconds the likely tests of all faults took on the unchanged package, where they must pass."""
    files = dict.fromkeys(path for fault in chosen for path in fault.likely(source / "tests"))
    verdict = run(source, [path.relative_to(source) for path in files], limit=3600.0)
    if verdict.caught_by:
        sys.exit(f"{verdict.output}\nthe unchanged package fails in {verdict.caught_by}: nothing can be learned so")
    return verdict.seconds


def main() -> None:
    chosen = options()
    tried = [fault for fault in FAULTS if fault.told_by(chosen.only)]
    if chosen.list:
        print("\n".join(map(str, tried)))
        return
    survivors, start = [], time.perf_counter()
    with TemporaryDirectory() as folder:
        source = Path(folder) / "unchanged"
        source.mkdir()
        prepare(chosen.tests, source)
        seconds = sound(source, tried)
        print(f"the likely tests pass on the unchanged package, in {seconds:.0f} s", flush=True)
        limit = LIMIT + SLACK * seconds
        with ThreadPoolExecutor(chosen.jobs) as pool:
            trials = {pool.submit(try_fault, fault, source, limit, chosen.quick): fault for fault in tried}
            for trial in as_completed(trials):
                fault, verdict = trials[trial], trial.result()
                if not verdict.caught_by:
                    survivors.append(fault)
                end = f"caught by {verdict.caught_by}" if verdict.caught_by else "SURVIVED"
                print(f"{fault}: {end} ({verdict.seconds:.0f} s)", flush=True)
    print(f"{len(tried) - len(survivors)} of {len(tried)} caught, in {time.perf_counter() - start:.0f} s")
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
