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
        (
            'STOPPING = "lowest", "to_beat", "waited"',
            'STOPPING = "lowest", "to_beat", "patience"',
            "patience can't be resumed",
        ),
        ('float(notes.get("to_beat", lowest))', "lowest", "the epoch to beat is the best one, however little it was"),
        (
            "for name, array in run.stopping.state.items()}",
            "for name, array in (run.stopping.state and run.model.state_dict()).items()}",
            "resumed, the last epoch is taken for the best",
        ),
        (
            "        vars(optimizer).update(of_the_file)\n",
            "        pass\n",
            "a learning rate that the callback lowered is back",
        ),
        (
            "            optimizer.load_state_dict(state)\n        generators.set_states(states)\n",
            "            pass\n        generators.set_states(states)\n",
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
            "    for name in history.keys() - by.keys():\n        del history[name]\n",
            "",
            "empty columns of a given history stay",
        ),
        (
            '        notes[numbered("numbers", i)] = plain_numbers(optimizer)\n',
            '        notes[numbered("numbers", i)] = checkpoint.identity[numbered(NUMBERS, i)]\n',
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
        (
            "identity[numbers] = own[numbers] | without_lr(identity[numbers])",
            "pass",
            "a new learning rate is new for ever",
        ),
        (
            "        own, numbers = without_lr(own), without_lr(numbers)\n",
            "        own, numbers = plain_numbers(optimizer), numbers\n",
            "the file's learning rate takes the place of a new one",
        ),
        ("    if numbers and run.on_epoch_end:", "    if numbers:", "an error speaks of a callback that is not there"),
        ("    return f\"optimizer{i or ''}\"", '    return "optimizer"', "all optimizers have the state of the last"),
    ],
    "training/identity": [
        (
            'names[id(p)] + ", not decayed" * (not p.decay) for p',
            "names[id(p)] for p",
            "a run with other decayed parameters is taken for the same",
        ),
        ("        generators.set_states(states)  # it may have drawn", "        pass", "a look at a schedule draws"),
        ("        if not steps and (unlike", "        if False and (unlike", "a schedule that draws is accepted"),
        (
            "start=optimizer.steps, end=steps",
            "start=0, end=0",
            "a schedule is compared at its beginning alone, wherever the run goes on",
        ),
        ("    if theirs not in (0, ours):", "    if False:", "a file of two optimizers is of another version"),
        (" or (what in schedules and new_lr):", ":", "a new schedule is refused that was asked for"),
        ('.partition(", lr=")[0]', "", "an old file, without the rates of its schedule, is refused by its optimizer"),
        ("SCHEDULE: here[SCHEDULE]}", "SCHEDULE: {}}", "an old file, without the rates of its schedule, is refused"),
        (" or not all(are_rates(there[what]) for what in schedules)", "", "what a file tells of rates is trusted"),
        (", shuffle={data.shuffle}", "", "a run whose batches come in order is taken for the same"),
        ("for what in (OPTIMIZER, SCHEDULE, PARAMETERS)]", "for what in ()]", "a changed optimizer is written"),
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
        ("(start + step for step in STEPS), *even}", "(start + step for step in STEPS)}", "a late change goes unseen"),
        ("*(start + step for step in STEPS), *even}", "*STEPS, *even}", "the steps to come are not looked at closely"),
        ("rel_tol=1e-6, abs_tol=1e-9 * scale", "rel_tol=0.0", "a schedule with another rounding is another one"),
        ("if own is not None and other is not None and not", "if not", "a table of rates can't grow"),
        ("type(rate) is float and math.isfinite(rate)", "type(rate) is float", "a file's infinite rate is a rate"),
    ],
}
