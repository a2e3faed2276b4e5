"""What several files of tests need: Ctrl-C at a chosen bytecode, and a model whose losses are given."""

import linecache
import os
import sys
from pathlib import Path

import pytest

# Threads cost more than they bring in products of small matrices. BLAS reads this once, when NumPy is imported; the
# processes that tests start inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("VECLIB_MAXIMUM_THREADS", "1")

import minnet
from minnet import Layer, Parameter


def pytest_configure(config):
    if not __debug__:
        raise pytest.UsageError("python -O takes the assertions away, and no test could fail: run pytest without it")
    if os.name != "posix":
        raise pytest.UsageError("the tests fork, lock files and open terminals: run them on POSIX (WSL on Windows)")


class CtrlC:
    """Ctrl-C before the bytecode of that number, counting those of some of minnet's files; None presses nothing.

    Afterwards, where is the function and the line in which it was pressed.
    """

    def __init__(self, files, number=None):
        self.paths, self.number, self.count = {str(Path(minnet.__file__).with_name(file)) for file in files}, number, 0
        self.where = ""

    def __enter__(self):
        self.before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # without one such frame before, Python 3.12.1 traces none afterwards
        sys.settrace(self.enter)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def enter(self, frame, event, argument):
        if frame.f_code.co_filename not in self.paths:
            return None
        frame.f_trace = self.step  # before the next line, which in Python 3.13 does nothing for a frame without it
        frame.f_trace_opcodes = True
        return self.step

    def step(self, frame, event, argument):
        self.count += event == "opcode"
        if event == "opcode" and self.count == self.number:
            sys.settrace(None)
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno or 0)
            self.where = f"{frame.f_code.co_name}: {line.strip()}"
            raise KeyboardInterrupt
        return self.step


class Scripted(Layer):
    """A model whose losses are given, and whose gradient is 1."""

    def __init__(self, losses):
        self.losses = iter(losses)
        self.a = Parameter([0.0])

    def forward(self, x, y=None):
        self.cache = None
        return next(self.losses)

    def backward(self):
        self.a.grad += 1


@pytest.fixture
def let_through():
    """Options of a Python in which warnings are errors but for those that pyproject.toml lets through."""
    flags = ("divide by zero", "overflow", "invalid value", "underflow")
    return [option for flag in flags for option in ("-W", f"ignore:{flag} encountered in matmul:RuntimeWarning")]


@pytest.fixture
def ctrl_c():
    return CtrlC


@pytest.fixture
def scripted():
    return Scripted
