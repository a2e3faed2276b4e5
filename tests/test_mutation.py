"""The faults that `python -m tests.mutation` plants are there to be planted, and its verdicts are right."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def mutation(monkeypatch):
    """The two modules of it, imported as it is run: from the checkout."""
    monkeypatch.syspath_prepend(ROOT / "tests")
    from mutation import fault, trial

    yield fault, trial
    for name in [name for name in sys.modules if name.split(".")[0] == "mutation"]:
        del sys.modules[name]


def test_every_fault_has_one_place_and_leaves_a_program(mutation):
    faults = mutation[0].FAULTS
    assert len(faults) >= 100
    assert len({(fault.module, fault.right, fault.wrong) for fault in faults}) == len(faults)
    assert len({str(fault) for fault in faults}) == len(faults)
    for fault in faults:
        text = fault.planted(ROOT / "minnet")
        assert text != (ROOT / "minnet" / f"{fault.module}.py").read_text(encoding="utf-8"), fault
        compile(text, f"{fault.module}.py", "exec")


def test_every_module_has_a_fault(mutation):
    modules = {path.relative_to(ROOT / "minnet").with_suffix("").as_posix() for path in ROOT.glob("minnet/**/*.py")}
    faultless = modules - {fault.module for fault in mutation[0].FAULTS}
    assert {module.split("/")[-1] for module in faultless} == {"__init__"}


@pytest.mark.parametrize(
    "wrong, caught_by", [("return x * 3", "tests/test_double.py::test_two_is_doubled"), ("return 2 * x", "")]
)
def test_a_fault_is_caught_by_the_test_that_fails_and_a_harmless_change_survives(mutation, tmp_path, wrong, caught_by):
    fault, trial = mutation
    for folder in ("minnet", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "minnet/__init__.py").touch()  # without it, a minnet that is installed comes first
    (tmp_path / "minnet/double.py").write_text("def double(x):\n    return x * 2\n", encoding="utf-8")
    (tmp_path / "tests/test_double.py").write_text(
        "from minnet.double import double\n\n\ndef test_two_is_doubled():\n    assert double(2) == 4\n",
        encoding="utf-8",
    )
    planted = fault.Fault("double", "return x * 2", wrong, "doubling")
    assert trial.try_fault(planted, tmp_path, limit=60.0).caught_by == caught_by
