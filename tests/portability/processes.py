"""Processes of which none is left behind, whatever ends the harness."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


class Processes:
    """Those that run now, each in a session of its own, so that it can be ended with all that it started."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[bytes]] = set()
        self.lock = threading.Lock()
        self.stopped = False

    def run(
        self, command: list[str], folder: Path, output: Path, seconds: float, variables: Mapping[str, str]
    ) -> int | None:
        """Its exit status, negative if a signal ended it, None if it did not end in time. It reads nothing."""
        with output.open("wb") as file:
            with self.lock:
                if self.stopped:
                    raise InterruptedError
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=os.environ | variables,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self.running.add(process)
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None
            finally:
                with self.lock:
                    self.running.discard(process)
                    end(process)

    def stop(self) -> None:
        """End all that run, and start none any more."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # its children may outlive it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
