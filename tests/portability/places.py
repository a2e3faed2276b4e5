"""Where the tests run: a fresh copy of what git tracks, beside an environment made as the README makes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from .processes import Processes

ROOT = Path(__file__).parents[2]
SECONDS = 900  # that installing may take


class SetUpError(Exception):
    """An environment that could not be made."""


@dataclass(frozen=True)
class Place:
    """folder: of its own, which holds all the rest."""

    root: Path
    folder: str

    @property
    def checkout(self) -> Path:
        return self.root / self.folder / "minnet"

    @property
    def python(self) -> str:
        return str(self.root / self.folder / "venv" / "bin" / "python")

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    def renew(self) -> None:
        """Lay a fresh checkout and empty the temporary folder."""
        for folder in self.checkout, self.temporary:
            remove(folder)
            folder.mkdir(parents=True)
        self.temporary.chmod(0o1777)
        for name in tracked():
            target = self.checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def tracked() -> list[str]:
    """All files but those that git ignores, so that no environment or build of before helps or hurts."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    return [os.fsdecode(name) for name in names if name and (ROOT / os.fsdecode(name)).is_file()]


def remove(folder: Path) -> None:
    """A read-only one too."""
    for path in [folder, *folder.rglob("*")] if folder.exists() else []:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


class Places:
    """One for each combination of versions, used again by the next row that asks for it; one row has it at a time."""

    def __init__(self, root: Path, processes: Processes):
        self.root, self.processes = root, processes
        self.idle: dict[tuple[str, ...], list[Place]] = {}
        self.numbers, self.lock = count(), threading.Lock()

    @contextmanager
    def place(self, python: str, folder: str, *requirements: str) -> Iterator[Place]:
        key = (python, folder, *requirements)
        with self.lock:
            idle = self.idle.setdefault(key, [])
            place, fresh = (idle.pop(), False) if idle else (Place(self.root / str(next(self.numbers)), folder), True)
        place.renew()
        if fresh:
            self.install(place, python, requirements)
        yield place
        idle.append(place)

    def install(self, place: Place, python: str, requirements: tuple[str, ...]) -> None:
        environment = Path(place.python).parents[1]
        # threadpoolctl tells which kernel of OpenBLAS runs.
        packages = ["--editable", ".[test]", "threadpoolctl", *requirements]
        output = place.root / "output"
        for command in (
            [python, "-m", "venv", str(environment)],
            [place.python, "-m", "pip", "install", "--quiet", *packages],
        ):
            if self.processes.run(command, place.checkout, output, SECONDS, {}) != 0:
                text = output.read_text(encoding="utf-8", errors="replace").strip()
                raise SetUpError(f"{' '.join(command)}: {text.splitlines()[-1] if text else 'no output'}")
