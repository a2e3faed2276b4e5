from minnet.insight.differences import Comparison
from minnet.insight.report import CheckReport, GradientCheck

ROW = GradientCheck("training", "W", (4, 3), Comparison("12 of 12", 1.2e-9, 2, ""))


def test_a_report_prints_what_it_holds_and_its_notes_below():
    assert str(CheckReport("Layer(3)", [ROW], ["it could be better", "a lot"])).splitlines() == [
        "Layer(3): the gradients are right and the contract holds",
        "mode      array  shape   entries checked  worst error  on a kink",
        "training  W      (4, 3)  12 of 12         1.2e-09      2",
        "- it could be better",
        "- a lot",
    ]


def test_a_report_without_notes_ends_with_the_table():
    report = CheckReport("Layer(3)", [ROW])
    assert report.notes == [] and repr(report).splitlines()[-1].startswith("training")
