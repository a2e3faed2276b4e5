"""Compare minnet with others that do the same: `python -m tests.benchmarks`, from the checkout."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from harness import environment, hold
from imports import import_race
from layers import ROWS, layer_race
from nets import NETS, net_race
from optimizers import ARRAYS, KINDS, optimizer_race, optimum_race
from softmax_regression import digits_race, step_race

RACES = {
    "step-32": partial(step_race, 32),
    "step-1": partial(step_race, 1),
    "step-128": partial(step_race, 128),
    "digits": digits_race,
    **{name: partial(net_race, name) for name in NETS},
    **{name: partial(layer_race, name) for name in ROWS},
    **{f"{kind}-{n}".lower(): partial(optimizer_race, kind, n) for kind in KINDS for n in ARRAYS},
    "optimum": optimum_race,
    "import": import_race,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about a minute")
    parser.add_argument("--only", metavar="NAME", help=f"only the races whose name contains it: {', '.join(RACES)}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every time and ratio there")
    options = parser.parse_args()
    chosen = [make for name, make in RACES.items() if (options.only or "") in name]
    if not chosen:
        parser.error(f"there is no race {options.only!r}; there are {', '.join(RACES)}")
    machine = environment()
    for name, value in machine.items():
        shown = ", ".join(f"{key} {v}" for key, v in value.items()) if isinstance(value, dict) else value
        print(f"{name}: {shown}")
    results, missing = [], set()
    for make in chosen:
        result = hold(make(options.quick))
        results.append(result)
        print(f"\n{result}", flush=True)
        missing.update(result.missing)
    for name in sorted(missing):
        print(f"\nleft out: {name}")
    if options.json:
        report = {"environment": machine, "races": [result.as_dict() for result in results]}
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
