"""The tables of docs/speed.md and the summary in the README, from the results of all races that have goals."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

from harness import Goal, Quartiles, Result, number, times

FIGURES, OTHER_KERNEL = "benchmarks", "benchmarks of another kernel"  # the places in docs/speed.md, by their markers
COLUMNS = {"NumPy": "to bare NumPy", "PyTorch": "to PyTorch", "": "to others"}
SUMMARY = "step-32", "perceptron", "convolution"  # a small net, a larger one, and a layer of many operations
WIDTH = 100  # of a line of text


def table(results: list[Result], machine: dict[str, str], command: str) -> str:
    """One row for each race with goals, and one of the growth for each that races minnet against itself."""
    heading = (
        f"Ratios of minnet's time (or memory) to the other's, median and quartiles of interleaved rounds, as "
        f"`{command}` measured them; bold where the goal behind it is missed, {held(results)} are held. "
        f"{setting(machine)}."
    )
    growth = [growing(result) for result in results if result.goals and not result.subjects()]
    return "\n".join([wrapped(heading), "", *rows(results, told), "", *growth])


def short_table(results: list[Result], machine: dict[str, str], command: str) -> str:
    """For a second run under other conditions: the ratios with a goal alone, and of these the medians."""
    heading = (
        f"The medians of the ratios that have a goal, as `{command}` measured them; bold where it is missed, "
        f"{held(results)} are held. {setting(machine)}."
    )
    return "\n".join([wrapped(heading), "", *rows(results, told_in_short)])


def held(results: list[Result]) -> str:
    found = [ratio[1] <= goal.limit for result in results for goal, ratio in result.judged()]
    return f"{sum(found)} of {len(found)}"


def setting(machine: dict[str, str]) -> str:
    told = "; ".join(f"{name}: {value}" for name, value in machine.items())
    return f"{told[0].upper()}{told[1:]}"


def rows(results: list[Result], tell: Callable[[Quartiles, Goal | None], str]) -> list[str]:
    compared = [result for result in results if result.goals and result.subjects()]
    found = [["work", "minnet", *COLUMNS.values()], ["---"] * (2 + len(COLUMNS))]
    found += [[result.race.title, *cells(result, tell)] for result in compared]
    return [f"| {' | '.join(row)} |" for row in found]


def cells(result: Result, tell: Callable[[Quartiles, Goal | None], str]) -> list[str]:
    """minnet's own figure, and its ratios to the contestants of each column, with the goals behind them.

    Of several ways to do it in minnet, those that have no goal are left out, but for the first.
    """
    goals = {(goal.subject, goal.other): goal for goal, _ in result.judged()}
    first = result.goals[0].subject
    pairs = [
        (subject, other) for subject in result.subjects() for other in result.figures if other not in result.subjects()
    ]
    found: dict[str, list[str]] = {column: [] for column in COLUMNS}
    for subject, other in pairs:
        ratio = tell(result.ratio(subject, other), goals.get((subject, other)))
        if ratio and (subject == first or (subject, other) in goals):
            column = next(column for column in COLUMNS if other.startswith(column))
            way = "" if subject == first else subject.removeprefix("minnet").strip()
            found[column].append(" ".join(filter(None, [way, other.removeprefix(column).strip(), ratio])))
    own = own_figure(result, first)
    if first in result.race.operations:
        own += f"<br>{result.share_of_rate(first):.0%} of the rate"
    return [own, *("<br>".join(parts) for parts in found.values())]


def told(ratio: Quartiles, goal: Goal | None) -> str:
    low, middle, high = map(times, ratio)
    between = f"({low}–{high})"
    if goal is None:
        return f"{middle} {between}"
    held = ratio[1] <= goal.limit
    return f"{middle} {between} ≤ {goal.limit:.2f}" if held else f"**{middle}** {between} > {goal.limit:.2f}"


def told_in_short(ratio: Quartiles, goal: Goal | None) -> str:
    if goal is None:
        return ""
    return times(ratio[1]) if ratio[1] <= goal.limit else f"**{times(ratio[1])}**"


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


def place(path: Path, name: str = FIGURES) -> tuple[str, str]:
    """What stands in a file before the markers' place, and what after. Raises ValueError where they are not there."""
    page, markers = path.read_text(encoding="utf-8"), (f"<!-- {name} -->", f"<!-- /{name} -->")
    start, end = (page.find(marker) for marker in markers)
    if not 0 <= start < end:
        raise ValueError(f"{path}: expected a place for results between {' and '.join(markers)}")
    return page[: start + len(markers[0])], page[end:]


def write(text: str, path: Path, name: str = FIGURES) -> None:
    before, after = place(path, name)
    path.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")
