"""What a terminal or a notebook shows of a training, and a log.

A bar for the epochs, and one for the batches of a long epoch or of a long validation; or a line for each epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Self

Figures = Callable[[], dict[str, float]]

LINES = "lines"  # what fit is told for a line an epoch
LONG = 2.0  # seconds that an epoch or a validation takes before its batches get a bar
BRIEF = "{desc} {n_fmt}/{total_fmt}"
BAR = BRIEF + " |{bar}| {elapsed}<{remaining}{postfix}"
CELLS = 6  # of a bar at least; 80 columns then hold loss and accuracy beside it, in pairs, up to 1000 epochs


class Progress:
    """The bars of a training, as a context; silent where nobody wants or sees them.

    wanted: whether to show any, or "lines" for a line an epoch in their place, which a file can hold.
    epochs: how many there will be in all.  done: how many there have been.
    monitored: the figure of the history that is watched for improvement.  last: the figures of the last epoch, if any.
    """

    def __init__(
        self, wanted: bool | str, epochs: int, done: int, monitored: str = "loss", last: dict[str, float] | None = None
    ) -> None:
        self.bars: list[Any] = []
        self.monitored, self.epochs, self.done = monitored, epochs, done
        self.lines = wanted == LINES and sys.stderr is not None
        self.shown = wanted is True and (in_notebook() or getattr(sys.stderr, "isatty", bool)())
        if self.shown:
            self._open("epoch", epochs, done, postfix=formatted(last or {}, monitored))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        while self.bars:
            self.bars.pop().close()

    def walk(
        self, batches: Iterable[Any], total: int | None, done: int = 0, figures: Figures = dict, what: str = "batch"
    ) -> Iterable[Any]:
        """The batches, with a bar if they take long. total: how many there are in all.  done: how many came before."""
        return self._walk(batches, total, done, figures, what) if self.shown else batches

    def epoch(self, figures: dict[str, float], seconds: float) -> None:
        """Show the figures of an epoch that is done, and in a line the seconds that it took."""
        self.done += 1
        if self.lines:
            told = f"epoch {self.done}/{self.epochs}: {formatted(figures, self.monitored)}, {seconds:.3g} s"
            print(told, file=sys.stderr, flush=True)
        if self.shown:
            self.bars[0].set_postfix_str(formatted(figures, self.monitored), refresh=False)
            self.bars[0].update()

    @contextmanager
    def hidden(self, callback: Any) -> Iterator[None]:
        """Hide the bars while the callback, if there is one, runs, so that they come back below what it prints."""
        bars = list(self.bars) if callback else []
        for bar in bars:
            bar.clear()
        try:
            yield
        finally:
            for bar in bars:
                bar.refresh()

    def _walk(self, batches: Iterable[Any], total: int | None, done: int, figures: Figures, what: str) -> Iterator[Any]:
        bar = self._open(what, total, done, leave=False, delay=LONG)
        for batch in batches:
            yield batch
            bar.set_postfix_str(formatted(figures(), self.monitored), refresh=False)
            bar.update()
        self.bars.pop().close()

    def _open(self, what: str, total: int | None, done: int, **options: Any) -> Any:
        # Imported where a bar is shown: it takes a quarter of the time of importing NumPy, in a notebook a half.
        if in_notebook():
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm  # type: ignore[assignment]
        kind = tqdm if in_notebook() else fitting_bar(tqdm)
        bar = kind(desc=what, total=total, initial=done, bar_format=BAR, dynamic_ncols=True, **options)
        self.bars.append(bar)
        return bar


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel, whose output is no terminal but can show bars."""
    return "ipykernel.zmqshell" in sys.modules


@cache
def fitting_bar(tqdm: Any) -> Any:
    """A subclass of tqdm that leaves out whole figures from the end where tqdm would cut the line within a number."""
    from tqdm.utils import disp_len

    class Fitting(tqdm):
        @staticmethod
        def format_meter(*, ncols: int | None, postfix: str | None, **rest: Any) -> str:
            figures, more = (postfix or "").split(", "), "..." if rest["ascii"] is True else "…"
            fewer = [f"{', '.join(figures[:n])} {more}".strip() for n in range(len(figures) - 1, -1, -1)]
            for text in (postfix, *fewer):
                shortest = rest | {"bar_format": BAR.replace("{bar}", " " * CELLS)}
                if not ncols or disp_len(tqdm.format_meter(postfix=text, **shortest)) <= ncols:
                    return tqdm.format_meter(ncols=ncols, postfix=text, **rest)
            return tqdm.format_meter(ncols=ncols, **rest | {"bar_format": BRIEF})

    return Fitting


def formatted(figures: dict[str, float], monitored: str = "loss") -> str:
    """loss=0.431/0.16, lr=0.1: figures of training and of validation in pairs, three digits of each.

    The most wanted stand first: the loss, the monitored one, the accuracy, other metrics; learning rates are last.
    """
    wanted = ["loss", monitored.removeprefix("val_"), "accuracy"]

    def rank(name: str) -> int:
        plain = name.removeprefix("val_")
        return wanted.index(plain) if plain in wanted else len(wanted) + (name.partition("_")[0] == "lr")

    shown = []
    for name in sorted(figures, key=rank):
        value = figures[name]
        if f"val_{name}" in figures:
            shown.append(f"{name}={value:.3g}/{figures[f'val_{name}']:.3g}")
        elif name.removeprefix("val_") == name or name.removeprefix("val_") not in figures:
            shown.append(f"{name}={value:.3g}")
    return ", ".join(shown)
