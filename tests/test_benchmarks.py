"""What `python -m tests.benchmarks` writes into documents: the table, the lines that sum it up, and where."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MACHINE = {"python": "3.99", "machine": "made up, 64 cores"}


@pytest.fixture
def benchmarks(monkeypatch):
    """Three of its modules, imported as it is run: from its own folder."""
    folder = ROOT / "tests" / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    import goals
    import harness
    import report

    yield goals, harness, report
    for name in {path.stem for path in folder.glob("*.py")} & sys.modules.keys():
        if Path(sys.modules[name].__file__ or "").parent == folder:
            del sys.modules[name]


def made_up(harness) -> list:
    """Results of three rounds that are alike: PyTorch takes ten times as long as minnet, twice and half as long."""

    def result(name, title, figures, *goals, unit="µs", scale=1e-6):
        race = harness.Race(name, title, {}, unit=unit, scale=scale)
        return harness.Result(race, {who: [scale * figure] * 3 for who, figure in figures.items()}, goals)

    def goal(limit, other="PyTorch", subject="minnet"):
        return harness.Goal(other, limit, subject)

    adam = {"minnet": 1500, "PyTorch": 6000, "PyTorch fused Adam": 3000, "JAX jit": 500}
    never_more = goal(1.05, "batch 1", "batch 4"), goal(1.05, "batch 4", "batch 16")
    return [
        result("step-32", "a small net", {"minnet": 20, "NumPy": 20, "PyTorch": 200}, goal(0.05)),
        result("perceptron", "a larger net", adam, goal(0.4)),
        result("convolution", "a convolution", {"minnet": 40, "PyTorch": 20}, goal(2.5), unit="ms", scale=1e-3),
        result("batch", "time per sample", {"batch 1": 10, "batch 4": 2, "batch 16": 3}, *never_more),
        result("import", "of no goals", {"minnet": 1}),
    ]


def test_the_table_has_a_row_for_each_race_with_goals_and_what_is_missed_in_bold(benchmarks):
    _, harness, report = benchmarks
    results = made_up(harness)
    results[0].figures["NumPy"] = [10e-6, 20e-6, 40e-6]
    heading, rows, growth = report.table(results, MACHINE, "a command").split("\n\n")
    assert "as `a command` measured" in heading.replace("\n", " ")
    assert heading.replace("\n", " ").endswith("3 of 5 are held. Python: 3.99; machine: made up, 64 cores.")
    assert rows.splitlines()[2:] == [
        "| a small net | 20 µs | 1.00 (0.75–1.50) | **0.100** (0.100–0.100) > 0.05 |  |",
        "| a larger net | 1,500 µs |  | 0.25 (0.25–0.25) ≤ 0.40<br>fused Adam 0.50 (0.50–0.50) "
        "| JAX jit 3.00 (3.00–3.00) |",
        "| a convolution | 40 ms |  | 2.00 (2.00–2.00) ≤ 2.50 |  |",
    ]
    assert growth.replace("\n ", "") == (
        "- time per sample (µs): batch 1 10, batch 4 2, batch 16 3; **batch 16 costs 1.50 (1.50–1.50) of batch 4**."
    )
    assert max(map(len, [*heading.splitlines(), *growth.splitlines()])) <= report.WIDTH


def test_the_summary_sets_chosen_rows_against_pytorchs_fastest_way(benchmarks):
    _, harness, report = benchmarks
    assert report.summary(made_up(harness)[::-1]).splitlines() == [
        "- 0.100 (20 µs): a small net",
        "- 0.50 (1,500 µs): a larger net",
        "- 2.00 (40 ms): a convolution",
    ]


def test_what_is_summed_up_is_in_the_table_and_in_a_quick_run(benchmarks):
    goals, _, report = benchmarks
    rows = [goals.ROWS[name] for name in report.SUMMARY]
    assert all(row.quick and any(goal.other.startswith("PyTorch") for goal in row.goals) for row in rows)


def test_what_is_written_takes_the_place_between_the_markers_and_no_other(benchmarks, tmp_path):
    report, path = benchmarks[2], tmp_path / "page.md"
    path.write_text("before\n<!-- benchmarks -->\nold\nrows\n<!-- /benchmarks -->\nafter\n", encoding="utf-8")
    report.write("new", path)
    report.write("newer", path)
    text = path.read_text(encoding="utf-8")
    assert text == "before\n<!-- benchmarks -->\nnewer\n<!-- /benchmarks -->\nafter\n"


@pytest.mark.parametrize("text", ["", "<!-- benchmarks -->", "<!-- /benchmarks -->\n<!-- benchmarks -->"])
def test_a_page_without_a_place_for_results_is_left_alone(benchmarks, tmp_path, text):
    report, path = benchmarks[2], tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md: expected a place for results"):
        report.write("new", path)
    assert path.read_text(encoding="utf-8") == text


def test_the_lines_in_the_readme_are_those_of_the_table_in_docs(benchmarks):
    report = benchmarks[2]

    def between(path):
        before, after = report.place(path)
        return path.read_text(encoding="utf-8")[len(before) : -len(after)].strip().replace("\n  ", " ")

    rows = dict(re.findall(r"^\| (.*?) \| (.*) \|$", between(ROOT / "docs" / "speed.md"), flags=re.MULTILINE))
    lines = re.findall(r"^- (\S+) \((.+?)\): (.+)$", between(ROOT / "README.md"), flags=re.MULTILINE)
    assert len(lines) == len(report.SUMMARY)
    for ratio, own, title in lines:
        figure, _, to_torch, _ = rows[title].split(" | ")
        medians = re.findall(r"([\d.]+)\**(?= \()", to_torch)
        assert (own, float(ratio)) == (figure, max(map(float, medians)))
