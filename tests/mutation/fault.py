"""What a planted fault is: a mistake in one place of the package that some test must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .containers import CONTAINERS
from .files import FILES
from .layers import FEATURES, IMAGES
from .looking import LOOKING
from .numbers import NUMBERS
from .resumption import RESUMPTION
from .training import TRAINING
from .updates import UPDATES

Row = tuple[str, str, str]

# Beside the files that mirror the module: which are most likely to notice, as a glob in tests.
LIKELY = {
    "layers": ("test_contract*.py",),
    "layer": ("test_contract*.py", "test_inspection*.py", "layers/test_containers*.py"),
    "losses": ("test_classification*.py", "test_contract*.py"),
    "numerics": ("layers/test_activations*.py", "layers/test_recurrent*.py"),
    "run": ("test_resumption*.py", "test_training*.py"),
    "stopping": ("test_training*.py",),
    "divergence": ("test_training*.py",),
    "history": ("test_training*.py", "test_resumption*.py"),
    "generators": ("test_resumption*.py",),
    "admission": ("test_training*.py", "test_evaluation*.py"),
    "optimizer": ("test_optimizers*.py", "test_divergence*.py"),
    "training": ("test_divergence*.py", "test_admission*.py", "test_resumption*.py"),
    "evaluation": ("test_training*.py",),
    "classification": ("test_losses*.py", "test_contract*.py"),
    "archive": ("test_checkpoint*.py", "test_resumption.py"),
    "trial": ("test_check*.py",),
    "differences": ("test_check*.py",),
    "observation": ("test_diagnosis*.py",),
    "arguments": ("test_layer*.py", "test_optimizer*.py"),
    "random": ("test_layer*.py", "layers/test_dropout*.py"),
}


@dataclass(frozen=True)
class Fault:
    """A wrong text in the place of a right one that a module has exactly once, and what that breaks."""

    module: str
    right: str
    wrong: str
    breaks: str

    def __str__(self) -> str:
        return f"{self.module}: {self.breaks}"

    def planted(self, package: Path) -> str:
        """The module's text with the fault in it. Raises ValueError if it has no one place."""
        path = package / f"{self.module}.py"
        text = path.read_text(encoding="utf-8")
        if text.count(self.right) != 1:
            raise ValueError(f"{self}: expected the right text once, found it {text.count(self.right)} times")
        return text.replace(self.right, self.wrong)

    def likely(self, tests: Path) -> list[Path]:
        """The files that mirror the module, then others that are likely to notice, as far as they are there."""
        *folder, name = self.module.split("/")
        mirror = "/".join([*folder, f"test_{name}"])
        globs = [f"{mirror}.py", f"{mirror}_*.py", *LIKELY.get((*folder, name)[0], ())]
        return list(dict.fromkeys(path for glob in globs for path in sorted(tests.glob(glob))))


def faults(*tables: dict[str, list[Row]]) -> list[Fault]:
    return [Fault(module, *row) for table in tables for module, rows in table.items() for row in rows]


FAULTS = faults(IMAGES, FEATURES, CONTAINERS, NUMBERS, UPDATES, FILES, TRAINING, RESUMPTION, LOOKING)
