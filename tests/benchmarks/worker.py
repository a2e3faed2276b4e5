"""A contestant in a process of its own, so that what others leave behind does not count as its time.

In one process, PyTorch's threads and those of OpenBLAS, which spin for 0.1 s after a product, kept each other from the
two cores: steps of an LSTM took PyTorch 9 ms or 80, by chance. And after PyTorch's allocations, minnet's arrays went
back to the system after every use: a step of batch norm then took 22 ms, and 9 in a process of its own.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from numpy import ndarray as Array


@dataclass
class Contestant:
    """One implementation, ready to run.

    run: what is timed; or it returns the figure that is compared, if it measures that itself.
    parameters: the weights after a run, in minnet's layout; without them the arithmetic is not compared.
    remark: what is different, if it is.
    rehearse: run in place of `run` before that comparison, where a run draws at random or would take rounding too far.
    """

    run: Callable[[], float | None]
    parameters: Callable[[], list[Array]] | None = None
    remark: str = ""
    rehearse: Callable[[], object] | None = None


class Worker:
    """Makes a contestant in a new process, and has it run there when it is asked to.

    Raises ImportError where its library is missing, and whatever else is raised there.
    """

    def __init__(self, make: Callable[[], Contestant]) -> None:
        context = get_context("fork")  # what is already imported, and the data of the race, need not be sent
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, make), daemon=True)
        self.process.start()
        theirs.close()
        try:
            self.remark = self.answer()
        except BaseException:
            self.stop()
            raise

    def parameters(self) -> list[Array] | None:
        return self.ask("parameters")

    def timed(self, warm_up: bool) -> float:
        return self.ask("warm and time" if warm_up else "time")

    def ask(self, what: str) -> Any:
        self.pipe.send(what)
        return self.answer()

    def answer(self) -> Any:
        given = self.pipe.recv()
        if isinstance(given, Exception):
            raise given
        return given

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()


def serve(pipe: Connection, make: Callable[[], Contestant]) -> None:
    """The life of the process, until it is ended from outside."""
    gc.freeze()  # or each collection between two runs walks through all of torch
    try:
        contestant = make()
        answers: dict[str, Callable[[], object]] = {
            "parameters": lambda: rehearsed(contestant),
            "time": lambda: timed(contestant.run),
            "warm and time": lambda: (contestant.run(), timed(contestant.run))[1],
        }
        pipe.send(contestant.remark)
        while True:
            answer = answers[pipe.recv()]()
            rest()
            pipe.send(answer)
    except Exception as error:
        pipe.send(error)


def rehearsed(contestant: Contestant) -> list[Array] | None:
    (contestant.rehearse or contestant.run)()
    return contestant.parameters() if contestant.parameters else None


def timed(run: Callable[[], float | None]) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        own = run()
        seconds = time.perf_counter() - start
    finally:
        gc.enable()
    return seconds if own is None else own


def elapsed(work: Callable[[], object]) -> float:
    """For a run of which only a part is to be timed."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rest(tick: float = 0.005) -> None:
    """Wait until no thread of this process is busy any more."""
    busy = True
    while busy:
        before = time.process_time()
        time.sleep(tick)
        busy = time.process_time() - before > tick / 5
