"""What check_layer returns: the gradients that it compared, as a table with notes below it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .differences import Comparison
from .table import table


@dataclass(frozen=True)
class GradientCheck:
    """A row of the report: how the gradient of one array compares with differences in one mode."""

    mode: str
    name: str
    shape: tuple[int, ...]
    comparison: Comparison


@dataclass(frozen=True)
class CheckReport:
    """What check_layer compared and found right. Prints as a table, with relative errors and a count of kinks.

    notes: what keeps the contract and could still be better, in sentences, which stand below the table.
    """

    layer: str
    gradients: list[GradientCheck]
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rows = [("mode", "array", "shape", "entries checked", "worst error", "on a kink")]
        for row in self.gradients:
            compared = row.comparison
            rows.append(
                (row.mode, row.name, str(row.shape), compared.checked, f"{compared.error:.1e}", str(compared.kinks))
            )
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([f"{self.layer}: the gradients are right and the contract holds", *table(rows), *notes])

    __repr__ = __str__
