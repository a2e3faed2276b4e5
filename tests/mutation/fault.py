"""What a planted fault is: a mistake in one place of the package that some test must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .checkpoints import CHECKPOINTS
from .containers import CONTAINERS
from .files import FILES
from .insight import INSIGHT
from .layers import FEATURES, IMAGES
from .numbers import NUMBERS
from .training import TRAINING
from .updates import UPDATES

Row = tuple[str, str, str]

# Beside the files that mirror the module: which are most likely to notice a fault in it or its room, as globs in tests.
LIKELY = {
    "arguments": ("test_layer*.py", "optimizers/test_optimizer*.py"),
    "files/archive": ("files/test_models*.py", "training/test_checkpoint.py"),
    "insight/arrays": ("insight/test_diagnose*.py", "training/test_divergence*.py"),
    "insight/diagnose": ("insight/test_shared*.py",),
    "insight/diagnosis": ("insight/test_diagnose*.py",),
    "insight/findings": ("insight/test_diagnose*.py",),
    "insight/shared": ("insight/test_diagnose*.py",),
    "insight/targets": ("insight/test_diagnose*.py",),
    "insight/check_layer": ("insight/test_plain_arrays*.py",),
    "insight/explanations": ("insight/test_check_layer*.py",),
    "insight/inputs": ("insight/test_check_layer*.py",),
    "insight/plain_arrays": ("insight/test_summary*.py", "insight/test_check_layer*.py"),
    "insight/rebuilding": ("insight/test_plain_arrays*.py",),
    "insight/differences": ("insight/test_check_layer*.py", "insight/test_gradients*.py"),
    "insight/experiments": ("insight/test_diagnose*.py",),
    "insight/alone": ("insight/test_gradients*.py",),
    "insight/observation": ("insight/test_gradients*.py", "insight/test_diagnose*.py", "insight/test_summary*.py"),
    "insight/table": ("insight/test_summary*.py", "insight/test_check_layer*.py", "insight/test_diagnose*.py"),
    "insight/trial": ("insight/test_check_layer*.py", "insight/test_inputs*.py"),
    "calls": ("test_layer_freezing.py",),
    "layer": ("test_contract*.py", "insight/test_summary*.py", "layers/test_containers*.py"),
    "layers": ("test_contract*.py",),
    "layers/containers": ("test_layer_freezing.py",),
    "layers/batch_norm": ("layers/test_normalization.py", "test_contract*.py"),
    "layers/branches": ("layers/test_padded.py", "test_contract*.py"),
    "layers/inner": ("layers/test_containers*.py", "layers/test_padded.py", "test_layer_freezing.py"),
    "layers/convolution": ("layers/test_correlation*.py",),
    "layers/correlation": ("layers/test_convolution*.py", "layers/test_winograd.py"),
    "layers/gates": ("layers/test_recurrent.py",),
    "layers/recurrent": ("layers/test_recurrence.py",),
    "losses": ("losses/*.py", "test_contract*.py"),
    "gaussian": ("layers/test_activations*.py",),
    "numerics": ("layers/test_activations*.py", "layers/test_recurrent*.py"),
    "optimizers/lbfgs": ("optimizers/test_vectors.py", "optimizers/test_optimizer*.py"),
    "optimizers/optimizer": ("optimizers/*.py", "training/test_divergence*.py"),
    "optimizers/segments": ("optimizers/*.py",),
    "optimizers/vectors": ("optimizers/*.py",),
    "parameter": ("layers/test_linear.py", "optimizers/test_segments.py"),
    "random": ("test_layer*.py", "layers/test_dropout*.py"),
    "training/divergence": ("training/test_fit*.py",),
    "training/callbacks": ("training/test_fit*.py",),
    "training/conditions": ("training/test_inputs*.py", "training/test_walk*.py", "training/test_fit*.py"),
    "training/early_stopping": ("training/test_fit*.py", "training/test_checkpoint*.py"),
    "training/evaluate": ("training/test_fit*.py",),
    "training/fit": (
        "training/test_divergence*.py",
        "training/test_inputs*.py",
        "training/test_checkpoint*.py",
        "training/test_callbacks*.py",
        "training/test_updates*.py",
        "training/test_walk*.py",
    ),
    "training/generators": ("training/test_checkpoint*.py",),
    "training/identity": ("training/test_checkpoint*.py",),
    "training/modes": ("training/test_fit*.py",),
    "training/history": ("training/test_fit*.py", "training/test_checkpoint*.py"),
    "training/inputs": ("training/test_fit*.py", "training/test_evaluate*.py", "training/test_conditions*.py"),
    "training/run": ("training/test_checkpoint*.py", "training/test_fit*.py"),
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

    def told_by(self, text: str) -> bool:
        """Whether its module or description has a text in it, in capitals or not."""
        return text.lower() in str(self).lower()

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
        likely = LIKELY.get(self.module) or LIKELY.get("".join(folder), ())
        globs = [f"{mirror}.py", f"{mirror}_*.py", *likely]
        return list(dict.fromkeys(path for glob in globs for path in sorted(tests.glob(glob))))


def faults(*tables: dict[str, list[Row]]) -> list[Fault]:
    return [Fault(module, *row) for table in tables for module, rows in table.items() for row in rows]


FAULTS = faults(IMAGES, FEATURES, CONTAINERS, NUMBERS, UPDATES, FILES, TRAINING, CHECKPOINTS, INSIGHT)
