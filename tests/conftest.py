"""What several files of tests need: tables of one case, Ctrl-C at a chosen bytecode, a model whose losses are given."""

import inspect
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import minnet
from minnet import Layer, Parameter


class CtrlC:
    """Ctrl-C before the bytecode of that number, counting those of some of minnet's files; None presses nothing."""

    def __init__(self, files, number=None):
        self.paths, self.number, self.count = {str(Path(minnet.__file__).with_name(file)) for file in files}, number, 0

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.enter)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)

    def enter(self, frame, event, argument):
        if frame.f_code.co_filename not in self.paths:
            return None
        frame.f_trace_opcodes = True
        return self.step

    def step(self, frame, event, argument):
        self.count += event == "opcode"
        if event == "opcode" and self.count == self.number:
            sys.settrace(None)
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
def ctrl_c():
    return CtrlC


@pytest.fixture
def scripted():
    return Scripted


@pytest.fixture
def same_sums():
    """Asserts that arrays are equal but for the order of adding, which depends on the processor."""

    def check(got, expected):
        for one, other in zip(got, expected, strict=True):
            # Far more than rounding, and far less than one term of a thousand.
            atol = 100 * np.finfo(other.dtype).eps * abs(other).max(initial=0)
            np.testing.assert_allclose(one, other, rtol=0, atol=atol)

    return check


ROWS = "rows(names, values, ids=None): parametrize as one case, since a case costs pytest more than most rows do"


def pytest_configure(config):
    config.addinivalue_line("markers", ROWS)


def named(value):
    return value.__name__ if inspect.isroutine(value) or inspect.isclass(value) else repr(value)


def table(names, values, ids=None):
    """The rows of a table: (what it is called, its arguments)."""
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    values = list(values)
    ids = [ids] * len(values) if ids is None or callable(ids) else ids
    for row, title in zip(values, ids, strict=True):
        title, row = (row.id, row.values) if hasattr(row, "marks") else (title, row if len(names) > 1 else (row,))
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
