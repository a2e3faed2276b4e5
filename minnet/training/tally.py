"""What a batch's loss was divided by and how many of its predictions were right, and the sums of that over batches.

A Sequential that ends in a loss, a loss, and any model with one loss in it are all asked in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..layer import Layer, drop_cache
from ..layers.containers import Sequential

Correct = tuple[float, float] | None  # how much was right, and of how much


class Judge:
    """Asks a model of its last batch, or the one loss in it where the model itself doesn't say.

    Of losses that hold each other it is the inner one; in a Sequential, one in its last layer. Where there is none, or
    several, nothing more is known than what the model's own methods return.

    prepares: whether it has something to do before a batch.
    """

    def __init__(self, model: Layer) -> None:
        self.model = self.asked = end = model
        while isinstance(end, Sequential) and len(end):
            end = end[-1]
            if type(self.asked) is Sequential:  # which would ask its last layer
                self.asked = end
        inner = [loss for loss in _losses(end) if loss is not end and len(_losses(loss)) == 1]
        self.loss: Layer | None = inner[0] if len(inner) == 1 else None
        self.prepares = self.loss is not None

    def before_batch(self) -> None:
        """Make sure that no loss is asked of a batch before, should the model not call it."""
        if self.loss is not None:
            drop_cache(self.loss)

    def correct(self) -> Correct:
        """How many predictions were right and of how many, in sums of sample weights; None where nothing is told."""
        own = self.asked.count_correct()
        return own if own is not None or not (loss := self._called()) else loss.count_correct()

    def weight(self, rows: int) -> float:
        """By what the loss was divided: the sum of its effective weights; the number of rows where it isn't told."""
        own = self.asked.total_weight()
        if own is None and (loss := self._called()):
            own = loss.total_weight()
        return rows if own is None else own

    def _called(self) -> Layer | None:
        """The loss, if the model has called it."""
        return self.loss if self.loss is not None and "cache" in vars(self.loss) else None


def _losses(model: Layer) -> list[Layer]:
    return [layer for layer in model.walk(Layer).values() if layer.is_loss]


@dataclass
class Tally:
    """How much was right, of how much, over several batches."""

    right: float = 0.0
    counted: float = 0.0

    def add(self, batch: Correct) -> None:
        """Count another batch, None where nothing is classified."""
        if batch:
            right, counted = batch
            self.right += right if type(right) is int else float(right)  # of NumPy's float32 the sum would be one too
            self.counted += counted if type(counted) is int else float(counted)

    def accuracy(self) -> dict[str, float]:
        """The share that was right, by its name; nothing if nothing was classified."""
        return {"accuracy": self.right / self.counted} if self.counted else {}
