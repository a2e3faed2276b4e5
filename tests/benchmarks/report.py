"""The table of docs/speed.md and its summary in the README, from the results of all races that have goals."""

from __future__ import annotations

import textwrap
from pathlib import Path

from harness import Goal, Quartiles, Result, number, times

MARKERS = "<!-- benchmarks -->", "<!-- /benchmarks -->"
COLUMNS = {"NumPy": "to bare NumPy", "PyTorch": "to PyTorch", "": "to others"}
SUMMARY = "step-32", "perceptron", "convolution"  # a small net, a larger one, and a layer of many operations
WIDTH = 100  # of a line of text


def table(results: list[Result], machine: dict[str, str], command: str) -> str:
    """One row for each race with goals, and one of the growth for each that races minnet against itself."""
    judged = [result for result in results if result.goals]
    rows = [["work", "minnet", *COLUMNS.values()], ["---"] * (2 + len(COLUMNS))]
    rows += [[result.race.title, *cells(result)] for result in judged if result.subjects()]
    growth = [growing(result) for result in judged if not result.subjects()]
    held = [ratio[1] <= goal.limit for result in judged for goal, ratio in result.judged()]
    setting = "; ".join(f"{name}: {value}" for name, value in machine.items())
    heading = (
        f"Ratios of minnet's time (or memory) to the other's, median and quartiles of interleaved rounds, as "
        f"`{command}` measured them; bold where the goal behind it is missed, {sum(held)} of {len(held)} are held. "
        f"{setting[0].upper()}{setting[1:]}."
    )
    return "\n".join([wrapped(heading), "", *(f"| {' | '.join(row)} |" for row in rows), "", *growth])


def cells(result: Result) -> list[str]:
    """minnet's own figure, and its ratios to the contestants of each column, with the goals behind them."""
    judged = result.judged()
    subject = result.goals[0].subject
    limits = {goal.other: goal for goal, _ in judged}
    found: dict[str, list[str]] = {column: [] for column in COLUMNS}
    for other in result.figures:
        if not other.startswith("minnet"):
            column = next(column for column in COLUMNS if other.startswith(column))
            ratio = told(result.ratio(subject, other), limits.get(other))
            found[column].append(f"{other.removeprefix(column).strip()} {ratio}".strip())
    return [own_figure(result, subject), *("<br>".join(parts) for parts in found.values())]


def told(ratio: Quartiles, goal: Goal | None) -> str:
    low, middle, high = map(times, ratio)
    between = f"({low}–{high})"
    if goal is None:
        return f"{middle} {between}"
    held = ratio[1] <= goal.limit
    return f"{middle} {between} ≤ {goal.limit:.2f}" if held else f"**{middle}** {between} > {goal.limit:.2f}"


def growing(result: Result) -> str:
    """The figures from the smallest to the largest size, and whether any is above the one before."""
    race, judged = result.race, result.judged()
    sizes = [f"{name} {number(result.figure(name)[1])}" for name in result.figures]
    if race.operations:
        sizes = [f"{size} ({result.share_of_rate(name):.0%})" for size, name in zip(sizes, result.figures)]
    missed = [(goal, ratio) for goal, ratio in judged if ratio[1] > goal.limit]
    notes = [f"**{goal.subject} costs {told(ratio, None)} of {goal.other}**" for goal, ratio in missed]
    rate = " and share of the machine's matrix-product rate" if race.operations else ""
    return wrapped(f"- {race.title} ({race.unit}{rate}): {', '.join(sizes)}{'; ' if notes else ''}{', '.join(notes)}.")


def summary(results: list[Result]) -> str:
    """A line for each race of SUMMARY: minnet's time divided by that of PyTorch's fastest way, and minnet's own."""
    found = {result.race.name: result for result in results}
    return "\n".join(against_torch(found[name]) for name in SUMMARY)


def against_torch(result: Result) -> str:
    ratio = max(result.ratio("minnet", other)[1] for other in result.figures if other.startswith("PyTorch"))
    return wrapped(f"- {times(ratio)} ({own_figure(result, 'minnet')}): {result.race.title}")


def own_figure(result: Result, subject: str) -> str:
    return f"{number(result.figure(subject)[1])} {result.race.unit}"


def wrapped(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def place(path: Path) -> tuple[str, str]:
    """What stands in a file before the markers' place, and what after. Raises ValueError where they are not there."""
    page = path.read_text(encoding="utf-8")
    start, end = (page.find(marker) for marker in MARKERS)
    if not 0 <= start < end:
        raise ValueError(f"{path}: expected a place for results between {' and '.join(MARKERS)}")
    return page[: start + len(MARKERS[0])], page[end:]


def write(text: str, path: Path) -> None:
    before, after = place(path)
    path.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")
