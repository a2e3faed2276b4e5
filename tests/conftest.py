"""What several files of tests need: Ctrl-C at a chosen bytecode, and a model whose losses are given."""

import sys
from pathlib import Path

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
