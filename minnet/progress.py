"""What a terminal or a notebook shows of a training: a bar for the epochs, and one for the batches of a long epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Self

Figures = Callable[[], dict[str, float]]

LONG = 2.0  # seconds that an epoch takes before its batches get a bar
BAR = "{desc} {n_fmt}/{total_fmt} |{bar}| {elapsed}<{remaining}{postfix}"


class Progress:
    """The bars of a training, as a context; silent where nobody wants or sees them.

    wanted: whether to show any.  epochs: how many there will be in all.  done: how many there have been.
    """

    def __init__(self, wanted: bool, epochs: int, done: int) -> None:
        self.bars: list[Any] = []
        self.shown = wanted and (in_notebook() or getattr(sys.stderr, "isatty", bool)())
        if self.shown:
            self._open("epoch", epochs, done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        while self.bars:
            self.bars.pop().close()

    def walk(self, batches: Iterable[Any], of: Any, done: int, figures: Figures) -> Iterable[Any]:
        """The batches, with a bar if they take long. of: what they come from.  done: how many of it are past."""
        return self._walk(batches, of, done, figures) if self.shown else batches

    def epoch(self, figures: dict[str, float]) -> None:
        """Show the figures of an epoch that is done."""
        if self.shown:
            self.bars[0].set_postfix_str(written(figures), refresh=False)
            self.bars[0].update()

    def _walk(self, batches: Iterable[Any], of: Any, done: int, figures: Figures) -> Iterator[Any]:
        bar = self._open("batch", len(of) if isinstance(of, Sized) else None, done, leave=False, delay=LONG)
        for batch in batches:
            yield batch
            bar.set_postfix_str(written(figures()), refresh=False)
            bar.update()
        self.bars.pop().close()

    def _open(self, what: str, total: int | None, done: int, **options: Any) -> Any:
        # Imported where a bar is shown: it takes a quarter of the time of importing NumPy, in a notebook a half.
        if in_notebook():
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm  # type: ignore[assignment]
        bar = tqdm(desc=what, total=total, initial=done, bar_format=BAR, dynamic_ncols=True, **options)
        self.bars.append(bar)
        return bar


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel, whose output is no terminal but can show bars."""
    return "ipykernel.zmqshell" in sys.modules


def written(figures: dict[str, float]) -> str:
    """loss=0.431/0.16, lr=0.1: figures of training and of validation in pairs, three digits of each."""
    shown = []
    for name, value in figures.items():
        if f"val_{name}" in figures:
            shown.append(f"{name}={value:.3g}/{figures[f'val_{name}']:.3g}")
        elif name.removeprefix("val_") == name or name.removeprefix("val_") not in figures:
            shown.append(f"{name}={value:.3g}")
    return ", ".join(shown)
