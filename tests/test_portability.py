"""What `python -m tests.portability` calls passed has passed."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PASSED = '<testcase classname="tests.test_a" name="test_one"/>'
FAILED = '<testcase classname="tests.test_a" name="test_two"><failure message="E   assert 1 == 2"/></testcase>'
SKIPPED = '<testcase classname="tests.test_a" name="test_three"><skipped message="no reason"/></testcase>'


@pytest.fixture
def harness(monkeypatch):
    """Two of its modules, imported as it is run: from the checkout."""
    monkeypatch.syspath_prepend(ROOT / "tests")
    from portability import outcomes, surroundings

    yield outcomes, surroundings.Surrounding
    for name in [name for name in sys.modules if name.split(".")[0] == "portability"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("cases", "status", "passed", "failures"),
    [
        (PASSED, 0, 1, []),
        (PASSED + FAILED, 1, 1, [("tests/test_a.py::test_two", "E   assert 1 == 2")]),
        (PASSED + SKIPPED, 0, 1, [("tests/test_a.py::test_three", "no reason")]),
        (PASSED, 3, 1, [("the whole run", "the last line")]),
        (PASSED, -9, 1, [("the whole run", "ended by SIGKILL")]),
        ("", 0, 0, [("the whole run", "the last line")]),
        (None, 4, 0, [("the whole run", "the last line")]),
        (None, None, 0, [("the whole run", "not at its end after 1800 s")]),
    ],
    ids=["passed", "failed", "skipped", "pytest's own error", "killed", "no test", "no report", "too long"],
)
def test_a_row_passes_only_if_all_of_its_tests_do(harness, tmp_path, cases, status, passed, failures):
    outcomes, surrounding = harness
    report = tmp_path / "report.xml"
    if cases is not None:
        report.write_text(f"<testsuite>{cases}</testsuite>", encoding="utf-8")
    outcome = outcomes.read(surrounding("a row", None), report, status, "the first line\nthe last line\n")
    assert (outcome.passed, outcome.failures, outcome.ran) == (passed, failures, True)


@pytest.mark.parametrize(
    ("cases", "status", "text"), [(PASSED, 0, ""), (None, 4, "another complaint"), (None, 0, "no -O")]
)
def test_what_is_to_be_refused_and_is_not_has_failed(harness, tmp_path, cases, status, text):
    outcomes, surrounding = harness
    row, report = surrounding("a row", None, refusal="no -O"), tmp_path / "report.xml"
    assert outcomes.read(row, report, 4, "pytest says: no -O").failures == []
    if cases:
        report.write_text(f"<testsuite>{cases}</testsuite>", encoding="utf-8")
    assert len(outcomes.read(row, report, status, text).failures) == 1
