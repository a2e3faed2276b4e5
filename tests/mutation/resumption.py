"""Faults of what a checkpoint holds, and of what it is taken up by."""

from __future__ import annotations

RESUMPTION = {
    "training/checkpoint": [
        ('    run.set_states(notes["generators"])\n', "", "generators start where the walk through the data began"),
        ('        "stopped": run.stopped,\n', '        "stopped": False,\n', "a run that was ended goes on"),
        ('"waited": run.stopping.waited}', '"waited": 0}', "patience starts anew"),
        (
            "for name, array in run.stopping.state.items()}",
            "for name, array in (run.stopping.state and run.model.state_dict()).items()}",
            "resumed, the last epoch is taken for the best",
        ),
        (
            "    vars(run.optimizer).update(numbers)\n    if run.stopping:",
            "    if run.stopping:",
            "a learning rate that the callback lowered is back",
        ),
        (
            "        run.optimizer.load_state_dict(optimizer)\n        run.set_states(states)\n",
            "        run.set_states(states)\n",
            "after a checkpoint that can't be taken up, the optimizer has its moments",
        ),
        ("        surely(bring_back)\n", "        bring_back()\n", "Ctrl-C while it is brought back leaves half"),
        (
            'names[id(p)] + ", not decayed" * (not p.decay) for p',
            "names[id(p)] for p",
            "a run with other decayed parameters is taken up",
        ),
        (
            "        run.set_states(states)  # it may have drawn",
            "        pass",
            "a look at a schedule draws",
        ),
        ("        if not steps and (unlike", "        if False and (unlike", "a schedule that draws is taken"),
        ('.partition(", lr=")[0]', "", "a file that tells its schedule by its code is refused"),
        ("SCHEDULE: here[SCHEDULE]}", "SCHEDULE: {}}", "a file that says nothing of its rates is refused"),
        (" or not are_rates(there[SCHEDULE])", "", "what a file tells of rates is trusted"),
        (", shuffle={data.shuffle}", "", "a run whose batches come in order is taken up"),
        ("(begun := at.epoch + (at.batch > 0))", "(begun := at.epoch)", "a begun epoch beyond the last is dropped"),
        ("    except BaseException as error:", "    except Exception as error:", "Ctrl-C leaves a run half taken up"),
        (
            "    for name in run.history.keys() - history.keys():\n        del run.history[name]\n",
            "",
            "empty columns of a given history stay",
        ),
        ('kept = [OPTIMIZER, SCHEDULE, "its parameters",', "kept = [", "a changed optimizer is written"),
        (
            '        "numbers": _numbers(run.optimizer),\n',
            '        "numbers": run.identity[NUMBERS],\n',
            "numbers that the callback set are those of the beginning",
        ),
        ("type(n) is int and 0 <= n < 2**63", "type(n) is int", "a negative count is taken up"),
        ("        run.history.clear()\n", "", "after a checkpoint that can't be taken up, the history has its columns"),
        ('"walk began": run.walk_began,', '"walk began": run.states(),', "within an epoch the order is lost"),
    ],
    "training/rates": [
        (
            "if found[low] == found[high] or not (ceases or begins):",
            "if True:",
            "a jump is found to a tenth of its step",
        ),
        (
            "round(32 * 1.1**k) for k in range(87)",
            "k for k in range(0)",
            "a schedule is compared at its beginning only",
        ),
        ("rel_tol=1e-6, abs_tol=1e-9 * scale", "rel_tol=0.0", "a schedule with another rounding is another one"),
        ("if own is not None and other is not None and not", "if not", "a table of rates can't grow"),
        ("type(rate) is float and math.isfinite(rate)", "type(rate) is float", "a file's infinite rate is a rate"),
    ],
}
