"""What a training run recorded."""

from __future__ import annotations


class History(dict[str, list[float]]):
    """What a training run recorded: a dict of plain lists with an entry for each epoch.

    loss: the mean over the epoch's batches, each as it was before its update.
    accuracy: the share, from 0 to 1, that those batches' predictions had right; for a model that classifies.
    val_loss, val_accuracy: the same of the validation data after the epoch; with validation data.
    val_NAME: what the metric NAME gives for the validation data.
    seconds: how long the epoch took, validation included.
    """

    def record(self, **values: float) -> None:
        """Append the figures of an epoch: all of them or, when this is interrupted, none."""
        lengths = {name: len(self.get(name, ())) for name in values}
        try:
            for name, value in values.items():
                self.setdefault(name, []).append(value)
        except BaseException:
            for name, length in lengths.items():
                del self.setdefault(name, [])[length:]
                if not length:
                    del self[name]
            raise

    def agrees_with(self, other: History) -> bool:
        """Whether both have the same columns, alike as far as both go, but for the seconds; or one of them has none."""
        names = self.keys() & other.keys() - {"seconds"}
        pairs = [(a, b) for name in names for a, b in zip(self[name], other[name])]
        alike = all(repr(float(a)) == repr(float(b)) for a, b in pairs)  # so that NaN is alike too
        return not self or not other or (self.keys() == other.keys() and alike)
