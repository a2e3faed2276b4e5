"""Faults of what a checkpoint holds, and of which run it is taken for."""

from __future__ import annotations

CHECKPOINTS = {
    "training/checkpoint": [
        (
            '    checkpoint.generators.set_states(notes["generators"])\n',
            "",
            "generators start where the walk through the data began",
        ),
        (
            "        self.generators.set_states(now)\n",
            "",
            "resumed within an epoch, a generator that data and layers share is behind",
        ),
        (
            "        self.generators.set_states(self.walk_began)\n",
            "",
            "resumed within an epoch, the batches have another order",
        ),
        ("if found < done:", "if not found and done:", "data with fewer batches than were done are accepted"),
        (
            "            validation=run.validation,\n",
            "",
            "a checkpoint is without the generator of the validation data",
        ),
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
            "        run.optimizer.load_state_dict(optimizer)\n        generators.set_states(states)\n",
            "        generators.set_states(states)\n",
            "after a checkpoint that can't be resumed from, the optimizer has its moments",
        ),
        (
            "        except KeyboardInterrupt:\n            roll_back()",
            "        except KeyboardInterrupt:\n            pass",
            "Ctrl-C in the middle of the roll-back leaves half",
        ),
        ("            except BaseException:", "            except Exception:", "Ctrl-C leaves a run half resumed"),
        (
            "(begun := position.epoch + (position.batch > 0))",
            "(begun := position.epoch)",
            "a begun epoch beyond the last is dropped",
        ),
        (
            "    for name in run.history.keys() - history.keys():\n        del run.history[name]\n",
            "",
            "empty columns of a given history stay",
        ),
        (
            '        "numbers": plain_numbers(run.optimizer),\n',
            '        "numbers": checkpoint.identity[NUMBERS],\n',
            "numbers that the callback set are those of the beginning",
        ),
        ("type(n) is int and 0 <= n < 2**63", "type(n) is int", "a negative count is accepted"),
        (
            "        run.history.clear()\n",
            "",
            "after a checkpoint that can't be resumed from, the history has its columns",
        ),
        (
            '"walk began": checkpoint.walk_began,',
            '"walk began": checkpoint.generators.states(),',
            "within an epoch the order is lost",
        ),
        (
            "return self.every is not None and self.run.position.batch % self.every == 0",
            "return self.every is not None",
            "a checkpoint is written after every batch",
        ),
    ],
    "training/identity": [
        (
            'names[id(p)] + ", not decayed" * (not p.decay) for p',
            "names[id(p)] for p",
            "a run with other decayed parameters is taken for the same",
        ),
        ("        generators.set_states(states)  # it may have drawn", "        pass", "a look at a schedule draws"),
        ("        if not steps and (unlike", "        if False and (unlike", "a schedule that draws is accepted"),
        ('.partition(", lr=")[0]', "", "an old file, without the rates of its schedule, is refused by its optimizer"),
        ("SCHEDULE: here[SCHEDULE]}", "SCHEDULE: {}}", "an old file, without the rates of its schedule, is refused"),
        (" or not are_rates(there[SCHEDULE])", "", "what a file tells of rates is trusted"),
        (", shuffle={data.shuffle}", "", "a run whose batches come in order is taken for the same"),
        ("kept = [OPTIMIZER, SCHEDULE, PARAMETERS,", "kept = [", "a changed optimizer is written"),
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
