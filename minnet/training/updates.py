"""The updates of a training run: when its optimizers step, and that no gradient piles up that none of them clears."""

from __future__ import annotations

from collections.abc import Sequence

from ..layer import Layer
from ..optimizers.first_step import check_step
from ..optimizers.optimizer import Optimizer


class Updates:
    """One step of all optimizers for one batch or for several.

    optimizers: of disjoint parameters of the model.
    accumulate: how many batches there are to a step, which takes the mean of their gradients.
    """

    def __init__(self, model: Layer, optimizers: Sequence[Optimizer], accumulate: int = 1) -> None:
        self.optimizers, self.accumulate = list(optimizers), accumulate
        held = {id(parameter) for optimizer in optimizers for parameter in optimizer.parameters}
        # A frozen one has no gradient, and is left out: it may be large.
        self.others = [p for p in model.parameters() if id(p) not in held and not p.frozen]
        self.stepped = False
        self.waiting = 0  # batches whose gradients have not been applied

    def gradient_is_finite(self) -> bool:
        """Whether the gradients of all optimizers are finite."""
        finite = True
        for optimizer in self.optimizers:  # a third of what all() takes, for each batch
            finite = finite and optimizer.gradient_is_finite()
        return finite

    def add_batch(self) -> None:
        """Count the gradient of another batch, and step if that makes enough of them."""
        self.waiting += 1
        if self.waiting == self.accumulate:
            self.step()
        for parameter in self.others:
            parameter.zero_grad()

    def step(self) -> None:
        """Step with the mean of the gradients since the last step, if there are any."""
        if not self.waiting:
            return
        if self.waiting > 1:
            for optimizer in self.optimizers:
                for parameter in optimizer.parameters:
                    parameter.grad *= 1 / self.waiting
        for optimizer in self.optimizers:
            optimizer.step()
            if not self.stepped:
                check_step(optimizer)
        self.stepped, self.waiting = True, 0

    def last_lr(self) -> dict[str, float]:
        """The learning rate of the last step by name: lr, and of further optimizers lr_1, lr_2 and so on."""
        stepped = [(f"lr_{i}" if i else "lr", each) for i, each in enumerate(self.optimizers) if each.steps]
        return {name: float(optimizer.lr_at(optimizer.steps - 1)) for name, optimizer in stepped}
