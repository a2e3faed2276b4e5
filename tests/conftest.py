"""What several files of tests need: tables of one case, Ctrl-C at a chosen bytecode, a model whose losses are given."""

import inspect
import itertools
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

import numpy as np

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
        self.paths, self.number, self.count = {str(Path(minnet.__file__).parent / file) for file in files}, number, 0
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
        frame.f_trace = self.step  # first: in Python 3.13, f_trace_opcodes is of no effect in a frame without it
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
    seen = itertools.product(("divide by zero", "overflow", "invalid value", "underflow"), ("matmul", "dot"))
    return [option for flag, f in seen for option in ("-W", f"ignore:{flag} encountered in {f}:RuntimeWarning")]


@pytest.fixture
def ctrl_c():
    return CtrlC


@pytest.fixture
def scripted():
    return Scripted


@pytest.fixture
def same_sums():
    """Asserts that arrays are equal but for the order of adding, which depends on the processor."""

    def check(got, expected):
        # Far more than rounding, far less than one term of a thousand; of all arrays, since one may be rounding alone.
        largest = max((abs(array).max(initial=0) for array in expected), default=0)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=100 * np.finfo(other.dtype).eps * largest)

    return check


# pytest.mark.rows(names, values, ids) is parametrize as one case: a case costs pytest more than most rows do.


def named(value):
    return getattr(value, "__name__", None) or repr(value)


def table(names, values, ids=None):
    """The rows of a table: (what it is called, its arguments)."""
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    values = list(values)
    ids = [ids] * len(values) if ids is None or callable(ids) else ids
    for row, title in zip(values, ids, strict=True):
        if hasattr(row, "marks"):
            if row.marks:
                raise ValueError(f"a row of a table has no marks of its own, got {row.marks}; use parametrize")
            title, row = row.id, row.values
        else:
            row = row if len(names) > 1 else (row,)
        if not isinstance(title, str):
            title = ", ".join(map(title or named, row))
        yield title, dict(zip(names, row, strict=True))


def rows_of(test):
    """Every combination of the rows of a test's tables, None where it has no table."""
    tables = [list(table(*mark.args, **mark.kwargs)) for mark in test.iter_markers("rows")]
    if not tables:
        return None
    rows = []
    for parts in itertools.product(*tables):
        rows.append((" / ".join(title for title, _ in parts), {k: v for _, row in parts for k, v in row.items()}))
    if not rows:
        raise ValueError(f"{test.name}: a table without rows, or of an iterator, which is empty at the second look")
    return rows


def pytest_generate_tests(metafunc):
    rows = rows_of(metafunc.definition)
    if rows is not None:
        names = list(rows[0][1])
        metafunc.parametrize(names, [pytest.param(*[None] * len(names), id=f"{len(rows)} rows")])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Call a test with each of its rows; the first failure is raised, with the names of all rows that fail."""
    rows = rows_of(pyfuncitem)
    if rows is None:
        return None
    given = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    failures = []
    for title, row in rows:
        try:
            pyfuncitem.obj(**given | row)
        except (Exception, pytest.fail.Exception) as error:
            failures.append((title, error))
        if "monkeypatch" in given:
            given["monkeypatch"].undo()
    if failures:
        _, error = failures[0]
        error.add_note("\n".join([f"{len(failures)} of {len(rows)} rows fail:", *(title for title, _ in failures)]))
        raise error
    return True
