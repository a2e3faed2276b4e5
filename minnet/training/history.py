"""What a training run recorded."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

SHOWN = 20  # epochs in a table; of more, the first and the last


class History(dict[str, list[float]]):
    """What a training run recorded: a dict of plain lists with an entry for each epoch.

    loss: the mean over the epoch's batches, each as it was before its update.
    accuracy: the share, from 0 to 1, that those batches' predictions had right; for a model that classifies.
    val_loss, val_accuracy: the same of the validation data after the epoch; with validation data.
    val_NAME: what the metric NAME gives for the validation data.
    lr: the learning rate of the epoch's last step; with several optimizers lr is that of the first, lr_1 of the next.
    seconds: how long the epoch took, validation included.

    A column has NaN for the epochs before it begins, such as lr where those are of a checkpoint or history of an older
    version, and for epochs in between that lack it, such as val_loss where a run had no validation data.

    Printed, it is a table, an epoch a line; of a long one the first and the last epochs.

    >>> print(History(loss=[2.25, 0.75], val_loss=[2.0, 1.0625], seconds=[0.5, 0.5]))
    epoch    loss  val_loss  seconds
        1   2.250     2.000   0.5000
        2  0.7500     1.062   0.5000
    """

    def __str__(self) -> str:
        epochs = max(map(len, self.values()), default=0)
        if not epochs:
            return "no epochs yet"
        shown = list(range(epochs))
        del shown[SHOWN // 2 : -SHOWN // 2]
        rows = [["epoch", *self], *([str(i + 1), *(_figure(column, i) for column in self.values())] for i in shown)]
        if len(shown) < epochs:
            rows.insert(1 + SHOWN // 2, ["...", *[""] * len(self)])
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(map(str.rjust, row, widths)).rstrip() for row in rows)

    def record(self, **values: float) -> None:
        """Append the figures of an epoch: all of them or, when this is interrupted, none."""
        lengths = {name: len(self.get(name, ())) for name in values}
        epochs = next(iter(lengths.values()), 0)  # of the loss, which is always there
        try:
            for name, value in values.items():
                column = self.setdefault(name, [])
                column.extend([math.nan] * (epochs - lengths[name]))
                column.append(value)
        except BaseException:
            for name, length in lengths.items():
                del self.setdefault(name, [])[length:]
                if not length:
                    del self[name]
            raise

    def agrees_with(self, other: History) -> bool:
        """Whether both have the same columns, alike as far as both go, but for the seconds; or one of them has none.

        Learning rates may be missing, as in those of older versions.
        """
        names = self.keys() & other.keys() - {"seconds"}
        missing = [name for name in self.keys() ^ other.keys() if name.partition("_")[0] != "lr"]
        pairs = [(a, b) for name in names for a, b in zip(self[name], other[name])]
        alike = all(repr(float(a)) == repr(float(b)) for a, b in pairs)  # so that NaN is alike too
        return not self or not other or (not missing and alike)


def _figure(column: list[Any], i: int) -> str:
    """An entry of a column to four digits; nothing beyond its end."""
    if i >= len(column):
        return ""
    return f"{column[i]:#.4g}".rstrip(".") if isinstance(column[i], Real) else str(column[i])
