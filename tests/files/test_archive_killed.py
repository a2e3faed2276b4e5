"""A process that is killed while it saves leaves the old file or the new one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minnet

TRIALS = 130
TIMEOUT = 300  # seconds, for what takes a few

# In a process of its own, since a process with threads should not fork, and in one for all, since it takes longer to
# start one than to kill many. It prints how often what was found: by fault, until it was found often enough.
SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path
import minnet
from minnet.files import archive, models

path, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
random.seed(5)

def write_in_place(path, arrays, notes=None):
    with open(path, "wb") as file:
        archive._write(file, arrays, notes)

def rename_first(path, arrays, notes=None):
    with archive._temporary(path) as temporary:
        os.replace(temporary, path)
        write_in_place(path, arrays, notes)

faults = {"in place": write_in_place, "renamed first": rename_first}

def model_of(value):
    model = minnet.Sequential(*(minnet.Linear(150, 150) for _ in range(4)))
    for parameter in model.parameters():
        parameter.data.fill(value)
    return model

def save_in_turn(fault):
    models.write = faults.get(fault, models.write)
    while True:
        for model in (new, old):
            minnet.save(model, path)

old, new, found = model_of(1), model_of(2), model_of(0)
minnet.save(old, path)
times = []
for _ in range(5):
    start = time.perf_counter()
    minnet.save(old, path)
    times.append(time.perf_counter() - start)
duration = sorted(times)[2]  # of a save

def kill(fault, what, enough):
    counts = dict(killed=0, old=0, new=0, broken=0, interrupted=0, left=0)
    while counts["killed"] < MOST and counts[what] < enough:
        child = os.fork()
        if not child:
            save_in_turn(fault)
        time.sleep(random.uniform(0, 4 * duration))
        os.kill(child, signal.SIGKILL)
        counts["killed"] += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        counts["interrupted"] += len(os.listdir(path.parent)) > 1
        try:
            minnet.load(found, path)
            values = {value for array in found.state_dict().values() for value in (array.min(), array.max())}
            counts["old" if values == {1} else "new" if values == {2} else "broken"] += 1
        except minnet.CheckpointError:
            counts["broken"] += 1
        if fault == "leftovers stay":
            archive._remove_leftovers = lambda path: None
        minnet.save(old, path)
        counts["left"] += len(os.listdir(path.parent)) > 1
    return counts

print(json.dumps([kill(*step) for step in plan]))
""".replace("MOST", str(TRIALS))


def kill(folder, *plan):
    """How often the file was old, new or broken after a kill in the middle of one save after the other.

    plan: the faults, and until what was found how often; TRIALS kills at most for each.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder / "model"), json.dumps(plan)],
        env=os.environ | threads | {"PYTHONPATH": str(Path(minnet.__file__).parents[1])},
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert result.stderr.decode() == ""
    assert result.returncode == 0
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """What a few kills come to, by fault."""
    plan = [("none", "interrupted", 3), ("in place", "broken", 3), ("renamed first", "broken", 3)]
    plan += [("leftovers stay", "left", 1)]  # the last, since they do so from then on
    counts = kill(tmp_path_factory.mktemp("killed"), *plan)
    return {fault: counted for (fault, _, _), counted in zip(plan, counts)}


def is_old_or_new(counts):
    return counts["broken"] == counts["left"] == 0 and counts["old"] + counts["new"] == counts["killed"]


def test_process_killed_in_the_middle_of_a_save_leaves_the_old_file_or_the_new(few):
    assert is_old_or_new(few["none"])
    assert few["none"]["interrupted"] == 3


@pytest.mark.long
def test_process_killed_at_any_moment_leaves_the_old_file_or_the_new(tmp_path):
    (counts,) = kill(tmp_path, ("none", "killed", TRIALS))
    assert counts["killed"] == TRIALS
    assert is_old_or_new(counts)
    # That the kills do hit saves, early and late ones:
    assert counts["interrupted"] >= TRIALS // 10
    assert counts["old"] >= 3
    assert counts["new"] >= 3


@pytest.mark.parametrize("fault", ["in place", "renamed first"])
def test_killed_processes_would_be_found_to_break_a_file_that_is_not_first_written_whole(few, fault):
    assert few[fault]["broken"] == 3


def test_leftovers_of_killed_processes_would_be_found_if_they_stayed(few):
    assert few["leftovers stay"]["left"] == 1
