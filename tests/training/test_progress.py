"""What a training shows: bars in a terminal and in a notebook, and nothing anywhere else."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tqdm

import minnet
from minnet import SGD, Batches, Layer, Linear, MeanSquaredError, Sequential, SoftmaxCrossEntropy
from minnet.training.progress import BAR, Progress, fitting_bar, formatted, in_notebook

X = np.array([[1, 2], [0, -1], [3, 1], [-2, 0.5], [1.5, -1]], np.float32)
Y = np.array([0, 1, 2, 1, 0])


class Terminal(io.StringIO):
    def isatty(self):
        return True


class NoLength:
    """Batches that nobody has counted."""

    def __iter__(self):
        return iter([(X, Y), (X, Y)])


class Slow(Layer):
    """y = x; raises an error in the given forward, after having looked at what the terminal shows."""

    def __init__(self, error, when):
        self.error, self.left, self.shown = error, when, None

    def forward(self, x):
        self.cache = x
        self.left -= 1
        if self.left < 0:
            raise self.error
        return x

    def backward(self, dy):
        return dy


def classifier(*between):
    return Sequential(Linear(2, 3, rng=0), *between, SoftmaxCrossEntropy())


def from_zero():
    """A classifier that starts at zero, so that it's the same in every framework."""
    model = classifier()
    model[0].W.data[...] = 0
    return model


def in_order(batch_size=2):
    return Batches(X, Y, batch_size, shuffle=False)


def fit(model, train, epochs, *rest, lr=0.1, **others):
    return minnet.fit(model, SGD(model.parameters(), lr), train, epochs, *rest, **others)


def in_terminal(monkeypatch, long=2.0, columns=80):
    """A terminal in which every change is drawn at once; long: after how many seconds an epoch is."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(minnet.training.progress, "LONG", long)

    class Eager(tqdm.tqdm):
        def __init__(self, *arguments, **options):
            assert options.pop("dynamic_ncols")
            super().__init__(*arguments, mininterval=0, miniters=1, ncols=columns, **options)

    monkeypatch.setattr(tqdm, "tqdm", Eager)
    return shown


def drawn(terminal):
    """All that stood in one line of the terminal, one after the other; a line that was emptied is ""."""
    return [line.strip() for line in re.split(r"[\r\n]|\x1b\[A", terminal.getvalue())]


def of(what, terminal):
    return [line for line in drawn(terminal) if line.startswith(what)]


def open_bars():
    return len(getattr(tqdm.tqdm, "_instances", ()))


def test_nothing_is_shown_where_there_is_no_terminal(capsys):
    model = classifier()
    minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 2)
    minnet.evaluate(model, in_order())
    minnet.predict(model, X)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_epochs_loss_and_accuracy(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    model = from_zero()
    minnet.fit(model, SGD(model.parameters(), lr=0.5, momentum=0.9), in_order(), 3, in_order())
    last = sys.stderr.getvalue().split("\r")[-1]
    # The figures of the last epoch are those that PyTorch gives above.
    for words in ("3/3", "epoch", "loss=0.431/", "accuracy=0.8/1", "lr=0.5"):
        assert words in last
    assert capsys.readouterr().out == ""


def test_no_progress_is_shown_to_who_wants_none(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    model = classifier()
    minnet.fit(model, SGD(model.parameters(), lr=0.1), in_order(), 2, progress=False)
    assert sys.stderr.getvalue() == ""


def test_figures_of_training_and_validation_stand_in_pairs():
    figures = {"loss": 0.43123, "accuracy": 0.5, "val_loss": 0.16, "val_accuracy": 1.0, "val_f1": 0.25, "lr": 1e-05}
    assert formatted(figures) == "loss=0.431/0.16, accuracy=0.5/1, val_f1=0.25, lr=1e-05"
    assert formatted({"loss": 12345.678}) == "loss=1.23e+04"
    assert formatted({"loss": float("nan")}) == "loss=nan"
    assert formatted({}) == ""


def test_an_epoch_shows_its_figures_the_rate_and_the_time_left(monkeypatch):
    terminal = in_terminal(monkeypatch, columns=100)

    def f1(y_true, y_pred):
        return 0.625

    fit(from_zero(), in_order(), 3, in_order(), metrics={"f1": f1}, lr=lambda step: 0.5 / (1 + step // 3))
    lines = of("epoch", terminal)
    assert [line.split(" |")[0] for line in lines] == [f"epoch {done}/3" for done in (0, 1, 2, 3, 3)]
    for line in lines[1:]:
        assert re.search(
            r"\| \d\d:\d\d<\d\d:\d\d, loss=[\d.]+/[\d.]+, accuracy=[\d.]+/[\d.]+, val_f1=0.625, lr=", line
        ), line
    assert "<?" in lines[0]


def test_the_figures_are_those_of_the_history(monkeypatch):
    terminal = in_terminal(monkeypatch)
    history = fit(classifier(), in_order(), 2, in_order())
    for i, line in enumerate(of("epoch", terminal)[1:3]):
        assert f"loss={history['loss'][i]:.3g}/{history['val_loss'][i]:.3g}, " in line
        assert f"accuracy={history['accuracy'][i]:.3g}/{history['val_accuracy'][i]:.3g}, " in line


def test_eighty_columns_hold_loss_and_accuracy_with_validation(monkeypatch):
    terminal = in_terminal(monkeypatch)
    model = Sequential(Linear(2, 3, rng=0), SoftmaxCrossEntropy())
    # Five sixths of the data make figures of three digits.
    data = [(np.tile(X[:3], (2, 1)), np.array([0, 1, 2, 1, 0, 2]))]
    fit(model, data, 100, data, lr=0.0001)
    lines = of("epoch", terminal)
    assert len(lines) > 2 and max(map(len, lines)) <= 80
    for line in lines[1:]:
        assert re.search(r"loss=[\d.]+/[\d.]+, accuracy=0.333/0.333 \.\.\.$", line), line
        assert len(line.split("|")[1]) >= 6, line


FIGURES = {"loss": 0.0431, "accuracy": 0.985, "val_loss": 1.5, "val_accuracy": 0.974, "val_mae": 4600.0, "lr": 0.001}


def line_of(columns, ascii, postfix):
    options = {"bar_format": BAR, "n": 12, "total": 34, "elapsed": 3.0, "prefix": "epoch", "ascii": ascii}
    return fitting_bar(tqdm.tqdm).format_meter(ncols=columns, postfix=postfix, **options)


@pytest.mark.parametrize("ascii", [True, False])
def test_no_width_cuts_a_figure_and_all_that_have_room_are_there(ascii):
    texts = ["loss=0.0431/1.5", "accuracy=0.985/0.974", "val_mae=4.6e+03", "lr=0.001"]
    more = "..." if ascii else "…"
    ends = [more, *(", ".join(texts[:n]) + f" {more}" for n in (1, 2, 3)), ", ".join(texts)]
    drawn = set()
    for columns in range(1, 141):
        line = line_of(columns, ascii, formatted(FIGURES))
        room = [end for end in ends if len("epoch 12/34 |......| 00:03<00:05, " + end) <= columns]
        if room:
            assert line.startswith("epoch 12/34 |") and line.endswith("| 00:03<00:05, " + room[-1])
            assert len(line) == columns
            drawn.add(room[-1])
        elif columns >= len("epoch 12/34"):
            assert line == "epoch 12/34"
    assert drawn == set(ends)
    assert line_of(None, ascii, formatted(FIGURES)).endswith(ends[-1])


def test_a_bar_without_figures_is_as_wide_as_the_terminal():
    line = line_of(50, True, None)
    assert len(line) == 50 and line.endswith("| 00:03<00:05")


def test_the_most_wanted_figures_stand_first():
    figures = FIGURES | {"val_f1": 0.5}
    assert [text.split("=")[0] for text in formatted(figures).split(", ")] == [
        "loss",
        "accuracy",
        "val_mae",
        "val_f1",
        "lr",
    ]
    assert formatted(figures, "val_f1").startswith("loss=0.0431/1.5, val_f1=0.5, accuracy=")
    assert formatted(figures, "val_accuracy") == formatted(figures, "accuracy") == formatted(figures, "val_loss")
    assert formatted({"lr": 0.1, "val_loss": 1.0}) == "val_loss=1, lr=0.1"
    assert formatted({"lr": 0.1, "lr_1": 0.2, "f1": 0.5, "loss": 1.0}) == "loss=1, f1=0.5, lr=0.1, lr_1=0.2"


def test_the_monitored_figure_comes_before_others(monkeypatch):
    terminal = in_terminal(monkeypatch, columns=70)
    metrics = {"mae": lambda y_true, y_pred: 4600.0, "f1": lambda y_true, y_pred: 0.625}
    fit(from_zero(), in_order(), 2, in_order(), metrics=metrics, patience=2, monitor="val_f1", mode="max")
    for line in of("epoch", terminal)[1:]:
        assert re.search(r"loss=[\d.]+/[\d.]+, val_f1=0.625 \.\.\.$", line), line


# In one process for all, since it takes longer to start one than to draw.
IN_TERMINAL = """
import json, sys, termios
import numpy as np
import minnet
x, y = np.eye(4), np.array([0, 1, 2, 0])
metrics = {"mae": lambda y_true, y_pred: 4600.0, "top2": lambda y_true, y_pred: 0.997}
for before, after in json.loads(sys.argv[1]):
    def widen(history):
        print("said by", len(history["loss"]))
        termios.tcsetwinsize(2, (24, after))
    termios.tcsetwinsize(2, (24, before))
    model = minnet.Sequential(minnet.Linear(4, 3, rng=0), minnet.SoftmaxCrossEntropy())
    minnet.fit(model, minnet.SGD(model.parameters(), 0.1), [(x, y)], 3, [(x, y)], metrics=metrics, on_epoch_end=widen)
    print("that was all")
"""

# How many columns a terminal has, and how many after the first epoch; how the last line that is drawn in it ends.
WIDTHS = {
    (40, 40): r"\| \d\d:\d\d<\d\d:\d\d, …",
    (80, 80): r"<\d\d:\d\d, loss=[\d.]+/[\d.]+, accuracy=[\d.]+/[\d.]+( …|, val_mae=4.6e\+03 …)",
    (120, 120): r"accuracy=[\d.]+/[\d.]+, val_mae=4.6e\+03, val_top2=0.997, lr=0.1",
    (40, 120): r"accuracy=[\d.]+/[\d.]+, val_mae=4.6e\+03, val_top2=0.997, lr=0.1",
    (120, 40): r"\| \d\d:\d\d<\d\d:\d\d, …",
}


@pytest.fixture(scope="module")
def shown_by_a_terminal():
    """The lines that a process draws in a terminal, by its widths."""
    ours, its = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-c", IN_TERMINAL, json.dumps(list(WIDTHS))]
    environment |= {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(Path(minnet.__file__).parents[1])}
    run = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # so Linux says that nobody writes any more
        pass
    os.close(ours)
    assert run.wait() == 0, shown
    *parts, rest = shown.decode().split("that was all")
    assert not rest.strip()
    return {
        widths: [line for line in part.replace("\n", "\r").split("\r") if line.strip()]
        for widths, part in zip(WIDTHS, parts, strict=True)
    }


@pytest.mark.parametrize("widths", WIDTHS)
def test_a_terminal_shows_whole_figures_also_when_its_width_changes(widths, shown_by_a_terminal):
    lines = shown_by_a_terminal[widths]
    last = lines[-1]
    assert re.fullmatch(rf"epoch 3/3 \|.{{6,}}{WIDTHS[widths]}", last.rstrip()), last
    assert [line for line in lines if "said" in line] == ["said by 1", "said by 2", "said by 3"]


def test_short_epochs_have_no_bar_for_their_batches(monkeypatch):
    terminal = in_terminal(monkeypatch)
    fit(classifier(), in_order(), 3, in_order())
    assert of("batch", terminal) == []


def test_long_epochs_have_a_bar_for_their_batches_which_goes_when_they_end(scripted, monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    fit(scripted([4.0, 2.0, 8.0] * 2), [(X, Y)] * 3, 2)
    lines = of("batch", terminal)
    assert [line.split(" |")[0] for line in lines] == [f"batch {done}/3" for done in (0, 1, 2, 3)] * 2
    # The mean of those that are done.
    for line, loss in zip(lines, [None, 4, 3, 4.67] * 2):
        assert line.endswith(f", loss={loss}, lr=0.1" if loss else "<?"), line
    # The last that is drawn is the bar for the epochs, and the line of the batches is empty.
    assert [line for line in drawn(terminal) if line][-1].startswith("epoch 2/2")
    after = drawn(terminal)[len(drawn(terminal)) - drawn(terminal)[::-1].index(lines[-1]) :]
    assert "" in after and not any(line.startswith("batch") for line in after)
    assert open_bars() == 0


def test_a_long_validation_has_a_bar_for_its_batches_which_goes_when_they_end(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    fit(classifier(), in_order(5), 2, in_order(2))
    lines = of("validation", terminal)
    assert [line.split(" |")[0] for line in lines] == [f"validation {done}/3" for done in (0, 1, 2, 3)] * 2
    assert not any("loss" in line for line in lines)
    # It stands where that of the training stood before, and the bar for the epochs comes after it.
    bars = [line.split(" ")[0] for line in drawn(terminal) if line]
    assert [name for i, name in enumerate(bars) if bars[i - 1 : i] != [name]] == [
        "epoch",
        "batch",
        "validation",
    ] * 2 + ["epoch"]
    assert open_bars() == 0


def test_a_short_validation_has_no_bar(monkeypatch):
    terminal = in_terminal(monkeypatch)
    fit(classifier(), in_order(), 2, in_order())
    assert of("validation", terminal) == []


def test_validation_data_that_nobody_has_counted_are_counted_as_they_pass(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    fit(classifier(), in_order(), 1, NoLength())
    assert [line.split(" |")[0] for line in of("validation", terminal)] == [f"validation {n}/?" for n in (0, 1, 2)]


def test_an_error_within_a_validation_closes_its_bar(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    with pytest.raises(RuntimeError, match="no more"):
        fit(classifier(Slow(RuntimeError("no more"), when=2)), in_order(5), 3, in_order(2))
    assert of("validation", terminal)[-1].startswith("validation 1/3") and open_bars() == 0


def test_a_bar_for_batches_shows_the_accuracy_so_far(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    fit(from_zero(), in_order(), 1)
    # All scores are 0 at first, so that the first class is predicted: right for one of two.
    assert "loss=1.1, accuracy=0.5, lr=0.1" in of("batch", terminal)[1]


def test_batches_that_nobody_has_counted_are_counted_as_they_pass(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    fit(classifier(), NoLength(), 1)
    assert [line.split(" |")[0] for line in of("batch", terminal)] == [f"batch {done}/?" for done in (0, 1, 2)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no more"), FloatingPointError("nan")], ids=repr)
@pytest.mark.parametrize("long", [0, 2.0])
def test_bars_are_closed_before_an_error_arrives(error, long, monkeypatch):
    terminal = in_terminal(monkeypatch, long)
    with pytest.raises(type(error)) as caught:
        fit(classifier(Slow(error, when=4)), in_order(), 3)
    assert caught.value is error and open_bars() == 0
    shown = terminal.getvalue()
    print("after", file=terminal)
    # What is printed afterwards begins a line of its own.
    assert re.search(r"[\n\r]$", shown) and drawn(terminal)[-2:] == ["after", ""]
    assert shown.count("\n") >= 1 and [line for line in drawn(terminal) if line][-2].startswith("epoch 1/3")


def test_bars_are_closed_after_an_error_in_the_validation_and_in_a_callback(monkeypatch):
    in_terminal(monkeypatch)

    def stop(history):
        raise RuntimeError("the callback")

    with pytest.raises(RuntimeError, match="the callback"):
        fit(classifier(), in_order(), 3, on_epoch_end=stop)
    with pytest.raises(TypeError, match="metric"):
        fit(classifier(), in_order(), 3, in_order(), metrics={"m": lambda y_true, y_pred: None})
    assert open_bars() == 0


def test_a_callback_that_ends_the_training_ends_the_bar(monkeypatch):
    terminal = in_terminal(monkeypatch)
    fit(classifier(), in_order(), 5, on_epoch_end=lambda history: len(history["loss"]) < 2)
    assert of("epoch", terminal)[-1].startswith("epoch 2/5") and terminal.getvalue().endswith("\n")
    assert open_bars() == 0


def test_a_batch_that_ends_the_training_closes_the_bars(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    fit(classifier(), in_order(), 5, on_batch_end=lambda at: at.epoch == 1 or at.batch == 1)
    assert of("epoch", terminal)[-1].startswith("epoch 1/5") and terminal.getvalue().endswith("\n")
    assert open_bars() == 0


def test_what_a_callback_prints_has_lines_of_its_own(monkeypatch):
    terminal = in_terminal(monkeypatch)

    def say(history):
        # All that is drawn on the line has been written over with spaces, and the line begins anew.
        assert re.search(r"\r +\r$", terminal.getvalue())
        print(f"epoch {len(history['loss'])} is done", file=terminal)

    fit(classifier(), in_order(), 3, on_epoch_end=say)
    shown = terminal.getvalue()
    for i in (1, 2, 3):
        assert f"\repoch {i} is done\n\repoch {i}/3 |" in shown
    assert open_bars() == 0


def test_a_callback_that_fails_leaves_the_bar_on_the_screen(monkeypatch):
    terminal = in_terminal(monkeypatch)

    def fail(history):
        raise RuntimeError("the callback")

    with pytest.raises(RuntimeError, match="the callback"):
        fit(classifier(), in_order(), 3, on_epoch_end=fail)
    assert of("epoch", terminal)[-1].startswith("epoch 1/3") and terminal.getvalue().endswith("\n")
    assert open_bars() == 0


def test_bars_are_put_aside_for_nobody_where_there_is_no_callback(monkeypatch):
    terminal = in_terminal(monkeypatch)
    fit(classifier(), in_order(), 3)
    assert not re.search(r"\r +\r", terminal.getvalue())


def test_a_run_that_is_taken_up_begins_at_its_epoch(tmp_path, monkeypatch):
    terminal = in_terminal(monkeypatch)
    fit(classifier(), in_order(), 2, checkpoint=tmp_path / "run", progress=False)
    assert terminal.getvalue() == ""
    fit(classifier(), in_order(), 4, checkpoint=tmp_path / "run")
    assert [line.split(" |")[0] for line in of("epoch", terminal)] == [f"epoch {done}/4" for done in (2, 3, 4, 4)]


def test_a_run_that_is_taken_up_shows_the_figures_of_its_last_epoch_from_the_start(tmp_path, monkeypatch):
    terminal = in_terminal(monkeypatch, columns=120)

    def figures(line):
        return line.partition(", ")[2]

    options = {"checkpoint": tmp_path / "run", "lr": lambda step: 0.5 / (1 + step)}
    fit(classifier(), in_order(), 4, in_order(), **options)
    last = of("epoch", terminal)[-1]
    assert figures(last).startswith("loss=") and "lr=" in last
    terminal.seek(0), terminal.truncate()
    fit(classifier(), in_order(), 4, in_order(), **options)
    lines = of("epoch", terminal)
    assert lines and all(line.startswith("epoch 4/4") and figures(line) == figures(last) for line in lines)
    terminal.seek(0), terminal.truncate()
    fit(classifier(), in_order(), 5, in_order(), **options)
    first, *_, later = of("epoch", terminal)
    assert first.startswith("epoch 4/5") and figures(first) == figures(last)
    assert later.startswith("epoch 5/5") and figures(later) != figures(last)


def test_the_figures_of_another_training_are_not_shown(monkeypatch):
    terminal = in_terminal(monkeypatch)
    history = fit(classifier(), in_order(), 1, progress=False)
    fit(classifier(), in_order(), 2, history=history)
    assert "loss" not in of("epoch", terminal)[0]


def test_an_epoch_that_is_taken_up_begins_at_its_batch(tmp_path, monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    model = classifier(Slow(KeyboardInterrupt(), when=2))
    with pytest.raises(KeyboardInterrupt):
        fit(model, in_order(), 1, checkpoint=tmp_path / "run", checkpoint_every=1, progress=False)
    again = classifier(Slow(KeyboardInterrupt(), when=2))
    fit(again, in_order(), 1, checkpoint=tmp_path / "run", checkpoint_every=1)
    assert [line.split(" |")[0] for line in of("batch", terminal)] == ["batch 2/3", "batch 3/3"]


def test_nothing_is_shown_to_a_file(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr("minnet.training.progress.LONG", 0)
    fit(classifier(), in_order(), 2)
    assert sys.stderr.getvalue() == "" and capsys.readouterr().out == ""


@pytest.mark.parametrize("stderr", [None, object()], ids=["none", "an object"])
def test_a_program_without_a_standard_error_trains_too(stderr, monkeypatch):
    # pythonw has none; and what a server puts in its place may know no more than how to write.
    monkeypatch.setattr(sys, "stderr", stderr)
    assert len(fit(classifier(), in_order(), 1)["loss"]) == 1


def test_a_notebook_shows_bars_although_it_has_no_terminal(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", ModuleType("ipykernel.zmqshell"))
    assert in_notebook()
    opened = []

    class Bar:
        def __init__(self, **options):
            opened.append(self)
            self.options, self.updates, self.text, self.closed = options, 0, "", False

        def set_postfix_str(self, text, refresh):
            self.text = text

        def update(self):
            self.updates += 1

        def close(self):
            self.closed = True

    auto = ModuleType("tqdm.auto")
    auto.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    model = Sequential(Linear(2, 1, rng=0), MeanSquaredError())
    fit(model, [(X, X[:, :1])], 2)
    epochs, *batches = opened
    assert (epochs.options["desc"], epochs.options["total"], epochs.updates) == ("epoch", 2, 2)
    assert [(bar.options["desc"], bar.options["total"], bar.updates) for bar in batches] == [("batch", 1, 1)] * 2
    assert re.fullmatch(r"loss=[\d.]+, lr=0.1", epochs.text) and all(bar.closed for bar in opened)
    opened.clear()
    fit(model, [(X, X[:, :1])], 2, progress=False)
    assert opened == []


SCRIPT = """
import sys
import numpy as np
import minnet
model = minnet.Sequential(minnet.Linear(2, 3), minnet.SoftmaxCrossEntropy())
data = [(np.ones((4, 2)), np.array([0, 1, 2, 0]))]
minnet.fit(model, minnet.SGD(model.parameters(), 0.1), data, 2, data)
assert "tqdm" not in sys.modules
class Terminal:
    def isatty(self):
        return True
sys.stderr = Terminal()
minnet.fit(model, minnet.SGD(model.parameters(), 0.1), data, 2, data, progress=False)
assert "tqdm" not in sys.modules
sys.stderr = sys.__stderr__
print("done")
"""


def test_lines_are_one_an_epoch_for_a_log(monkeypatch, capsys):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("minnet.training.progress.LONG", 0)
    model = from_zero()
    minnet.fit(model, SGD(model.parameters(), 0.5, momentum=0.9), in_order(), 3, in_order(), progress="lines")
    lines = log.getvalue().splitlines()
    # The figures of the last epoch are those that PyTorch gives above.
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    figures = r"epoch 3/3: loss=0\.431/[\d.]+, accuracy=0\.8/[\d.]+, lr=0\.5, [\d.e-]+ s"
    assert re.fullmatch(figures, lines[-1]), lines[-1]
    assert log.getvalue().isascii() and not re.search(r"[\r\x1b\x08]", log.getvalue())
    assert capsys.readouterr().out == "" and open_bars() == 0


def test_lines_stand_in_a_terminal_too_and_between_them_what_a_callback_prints(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    fit(classifier(), in_order(), 2, progress="lines", on_epoch_end=lambda h: print("said", file=terminal))
    assert [line.split(":")[0] for line in terminal.getvalue().splitlines()] == [
        "epoch 1/2",
        "said",
        "epoch 2/2",
        "said",
    ]
    assert "\r" not in terminal.getvalue()


def test_lines_of_a_run_that_is_taken_up_go_on_counting(tmp_path, monkeypatch):
    fit(classifier(), in_order(), 2, checkpoint=tmp_path / "run")
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    fit(classifier(), in_order(), 3, checkpoint=tmp_path / "run", progress="lines")
    assert re.fullmatch(r"epoch 3/3: .*\n", log.getvalue())


def test_lines_without_a_standard_error_go_nowhere(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert len(fit(classifier(), in_order(), 1, progress="lines")["loss"]) == 1
    assert capsys.readouterr().out == ""


def test_tqdm_is_not_even_imported_where_nothing_is_shown():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=dict(os.environ))
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


def test_progress_without_a_wish_is_no_work():
    progress = Progress(False, 3, 0)
    batches = [(X, Y)]
    with progress:
        assert progress.walk(batches, 1, 0, dict) is batches
        progress.epoch({"loss": 1.0}, 0.5)
    assert progress.bars == []


def test_what_is_shown_changes_nothing_of_what_is_learned(monkeypatch):
    terminal = in_terminal(monkeypatch, long=0)
    shown, silent = classifier(), classifier()
    fit(shown, Batches(X, Y, 2, rng=1), 3, in_order())
    fit(silent, Batches(X, Y, 2, rng=1), 3, in_order(), progress=False)
    assert terminal.getvalue()
    assert all(np.array_equal(a.data, b.data) for a, b in zip(shown.parameters(), silent.parameters()))


@pytest.mark.parametrize("progress", [True, False])
def test_a_schedule_is_asked_for_no_step_that_is_not_taken(progress, monkeypatch):
    """Rates from a list that is as long as the training."""
    in_terminal(monkeypatch, long=0)
    rates = [0.4, 0.3, 0.2, 0.1]
    history = fit(classifier(), [(X, Y), (X, Y)], 2, lr=lambda step: rates[step], progress=progress)
    assert len(history["loss"]) == 2
