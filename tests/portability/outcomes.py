"""What came of a row: how many tests passed, which failed and with what, or why it was not run."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from .places import Place, Places, SetUpError
from .processes import Processes
from .surroundings import Surrounding

SECONDS = 1800  # that the tests may take
LINES = 4  # of an error


@dataclass
class Outcome:
    """failures: (test, the first lines of its error).  note: why there are no numbers, where there are none."""

    name: str
    passed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""
    ran: bool = True


class Runner:
    def __init__(self, places: Places, processes: Processes, tests: list[str]):
        self.places, self.processes, self.tests = places, processes, tests

    def run(self, row: Surrounding) -> Outcome:
        if row.python is None or row.absent:
            return Outcome(row.name, note=f"not run: {row.absent}", ran=False)
        try:
            with self.places.place(row.python.path, row.folder, row.numpy, row.pytest) as place:
                return self.run_there(row, place)
        except SetUpError as error:
            return Outcome(row.name, failures=[("the environment", str(error))])
        except FileNotFoundError as error:
            if error.filename not in row.within:
                raise
            return Outcome(row.name, note=f"not run: there is no {error.filename}", ran=False)

    def run_there(self, row: Surrounding, place: Place) -> Outcome:
        if row.prepare:
            row.prepare(place)
        if row.proof:
            status, text = self.execute(row, place, "-c", row.proof)
            if status == 1 and "Traceback" not in text:
                return Outcome(row.name, note=f"not run: {last_line(status, text)}", ran=False)
            if status:
                return Outcome(row.name, failures=[("the proof of the surroundings", last_line(status, text))])
        report, start = place.temporary / "report.xml", time.perf_counter()
        status, text = self.execute(row, place, "-m", "pytest", "-q", "--color=no", f"--junitxml={report}", *self.tests)
        outcome = read(row, report, status, text)
        outcome.seconds = time.perf_counter() - start
        return outcome

    def execute(self, row: Surrounding, place: Place, *arguments: str) -> tuple[int | None, str]:
        within = [place.python if word == "python" else word for word in row.within]
        command, output = [*within, place.python, *row.options, *arguments], place.root / "output"
        variables = {"TMPDIR": str(place.temporary)}
        status = self.processes.run(command, place.checkout, output, SECONDS, variables)
        return status, output.read_text(encoding="utf-8", errors="replace")


def read(row: Surrounding, report: Path, status: int | None, text: str) -> Outcome:
    outcome = Outcome(row.name)
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    if row.refusal and row.refusal in text and status and not cases:
        outcome.note = "refused, as it should be"
        return outcome
    if row.refusal:
        outcome.failures.append(("the whole run", f"expected a refusal with the words {row.refusal!r}"))
        return outcome
    for case in cases:
        # A skipped test counts as one that failed: nothing may be skipped.
        bad = [each for kind in ("failure", "error", "skipped") for each in case.findall(kind)]
        if bad:
            message = bad[0].get("message") or bad[0].text or bad[0].tag
            lines = [line.strip() for line in message.splitlines() if line.strip()]
            outcome.failures.append((identity(case), " ".join(lines[:LINES])))
        else:
            outcome.passed += 1
    if not outcome.failures and (status != 0 or not outcome.passed):
        outcome.failures.append(("the whole run", last_line(status, text)))
    return outcome


def identity(case: ElementTree.Element) -> str:
    """As pytest takes it on its command line; a file that could not be imported has no class name."""
    file, name = case.get("classname", ""), case.get("name", "")
    return f"{file.replace('.', '/')}.py::{name}" if file else name


def last_line(status: int | None, text: str) -> str:
    if status is None:
        return f"not at its end after {SECONDS} s"
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return text.strip().splitlines()[-1] if text.strip() else f"exit status {status} and no output"
