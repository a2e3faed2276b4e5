"""Faults of a training run: of the loop, of what it resumes from, and of what it refuses."""

from __future__ import annotations

TRAINING = {
    "training/fit": [
        ("                run.model.zero_grad()\n", "", "a gradient from before is in the first step"),
        ("    run.model.train()\n", "", "layers that the callback put into evaluation mode stay there"),
        (
            "return isinstance(answer, (bool, np.bool_)) and not answer",
            "return answer is not None and not answer",
            "a callback that returns 0 ends the training",
        ),
        (
            "return isinstance(answer, (bool, np.bool_)) and not answer",
            "return answer is False",
            "a callback that returns NumPy's False does not end the training",
        ),
        (
            "        with bars.hidden(run.on_epoch_end):\n"
            "            run.stopped = _ends_training(run, run.history)\n"
            "        if checkpoint:\n"
            "            checkpoint.write()\n",
            "        if checkpoint:\n"
            "            checkpoint.write()\n"
            "        with bars.hidden(run.on_epoch_end):\n"
            "            run.stopped = _ends_training(run, run.history)\n",
            "a checkpoint does not have what the callback changes",
        ),
        (
            "_ends_training(run, copy.deepcopy(run.history))",
            "_ends_training(run, run.history)",
            "what the callback does to the history is done twice to a run that had stopped",
        ),
        (
            "start = time.perf_counter() - position.seconds",
            "start = time.perf_counter()",
            "the seconds of an epoch that was resumed forget those before",
        ),
        (
            '            guard.after_update(f"epoch {position.epoch + 1}, batch {position.batch}", position.last)\n',
            "",
            "a model with NaN takes the place of a good checkpoint within an epoch",
        ),
        (
            'return check_values("validation", validation) and values_checked',
            'return check_values("validation", validation) or values_checked',
            "validation data that can't be looked at beforehand are never looked at",
        ),
        (
            "loss = loss_of(model, *batch)",
            "loss = loss_of(model, *batch[:2])",
            "weights of samples count in the validation only",
        ),
        (
            "            position.seconds = time.perf_counter() - start\n",
            "",
            "a checkpoint within an epoch has no seconds",
        ),
    ],
    "training/run": [
        ("0, 0.0, Tally(), 0.0", "0, 0.0, self.tally, 0.0", "the accuracy of an epoch counts those before"),
        ("self.optimizer.lr_at(steps - 1)", "self.optimizer.lr_at(steps)", "the rate shown is the next one"),
        ("        self.model.zero_grad()\n", "", "gradients are left behind"),
        (
            "exhausted = self.stopping is not None and self.stopping.exhausted()",
            "exhausted = False",
            "patience is without an end",
        ),
    ],
    "training/early_stopping": [
        (
            "for name in (*measured, *metrics)]",
            "for name in measured]",
            "a metric of the validation can't be monitored",
        ),
        (
            "mode or BETTER[monitor]",
            "BETTER.get(monitor, mode)",
            "a mode that is given is not heard",
        ),
        ("return self.waited >= self.patience", "return self.waited > self.patience", "patience lasts an epoch longer"),
        ("if value < self.lowest:", "if value <= self.lowest:", "of equal epochs the last is restored"),
        ("if value < self.lowest:", "if not value >= self.lowest:", "an epoch of NaN is the best"),
        ("else -results[self.monitor]", "else 1 / results[self.monitor]", "an accuracy of 0 can't be monitored"),
    ],
    "training/divergence": [
        (
            "        for generator, state in zip(self.generators, self.generators_before):\n"
            "            generator.bit_generator.state = state\n",
            "",
            "after a batch that diverged, generators are not where they were",
        ),
        ("[buffer.data.copy() for buffer", "[buffer.data for buffer", "a batch that diverged stays in the buffers"),
        (
            '        arrays |= {f"{name} of {self.optimizer.name}": moment for name, moment in'
            " self.optimizer.moments.items()}\n",
            "",
            "a moment that overflows goes unseen",
        ),
        (
            'for kind, action in np.geterr().items() if action == "warn"',
            "for kind in np.geterr()",
            "an error that NumPy was told to raise is not raised",
        ),
        (
            "            trial = Observation(self.model, *batch)",
            "            trial = Observation(self.model, *batch[:2])",
            "where a batch diverged is told without its weights",
        ),
    ],
    "training/evaluate": [
        (
            "            share = model.total_weight()\n",
            "            share = None\n",
            "batches are weighed by their rows",
        ),
        ('"loss": total / weight if weight else 0.0}', '"loss": total / weight}', "weights of 0 only divide by zero"),
    ],
    "training/predict": [
        ("range(0, max(1, x.shape[0]), batch_size)", "range(0, x.shape[0], batch_size)", "no rows give no prediction"),
        (
            "layer = copies[id(value)] = object.__new__",
            "layer = object.__new__",
            "a layer that knows the one above it is copied without end",
        ),
    ],
    "training/modes": [
        ("            layer.training = mode\n", "            layer.training = True\n", "a mode is not given back"),
        (
            "    except KeyboardInterrupt:\n        tidy_up()\n",
            "    except KeyboardInterrupt:\n        pass\n",
            "Ctrl-C in between leaves some layers in evaluation mode",
        ),
        (
            "        model.clear_cache()\n\n    try:",
            "\n    try:",
            "a cache of the last batch is left behind",
        ),
    ],
    "training/inputs": [
        (
            "if not own.issuperset(id(parameter) for parameter in optimizer.parameters):",
            "if own.isdisjoint(id(parameter) for parameter in optimizer.parameters):",
            "an optimizer that holds parameters of another model too is accepted",
        ),
        ("in row {start + row}{column}", "in row {row}{column}", "beyond a chunk the row of a NaN is another"),
        (
            "[plain_array(owner, name, part) for name, part in zip(PARTS, batch)]",
            "[plain_array(owner, name, part) for name, part in zip(PARTS[:2], batch)]",
            "weights of another length are left to the loss",
        ),
        (
            '{"x": data.x, "y": data.y, **{f"extra[{i}]": a for i, a in enumerate(data.extra)}}.items()',
            '{"x": data.x, "y": data.y}.items()',
            "weights of NaN are not refused beforehand",
        ),
        ("len(train.x) < train.batch_size", "len(train.x) <= train.batch_size", "a single whole batch is refused"),
        ("enumerate(data, done + 1)", "enumerate(data, 1)", "resumed within an epoch, an error names another batch"),
        ("if again and isinstance(data, Iterator):", "if False:", "a generator is used up after one epoch"),
    ],
    "training/history": [
        ("        except BaseException:", "        except Exception:", "Ctrl-C leaves half of an epoch"),
        ("repr(float(a)) == repr(float(b))", "a == b", "a history with NaN is not the one in the checkpoint"),
        ("SHOWN // 2 : -SHOWN // 2]", "SHOWN // 2 : 1 - SHOWN // 2]", "a long table lacks one of the last epochs"),
        ("if i >= len(column):", "if i > len(column):", "a history with a column that is shorter can't be printed"),
    ],
    "training/progress": [
        ("total=total, initial=done,", "total=total, initial=0,", "the bar of a resumed run starts at 0"),
        (
            "        while self.bars:\n",
            "        if self.bars:\n",
            "the bar of the batches is left where training fails",
        ),
        (
            'getattr(sys.stderr, "isatty", bool)()',
            "sys.stderr.isatty()",
            "without a stderr training fails",
        ),
        ('len(wanted) + (name == "lr")', "len(wanted)", "the learning rate does not stand last"),
    ],
    "training/generators": [
        ("*_closure(value), *defaults, *vars", "*_closure(value), *vars", "a generator in a default is not saved"),
        (
            "return [*code.co_names, *inner]",
            "return [*code.co_names]",
            "a generator that a comprehension draws from is not saved",
        ),
        (
            "        with suppress(ValueError):\n            yield name, cell.cell_contents",
            "        yield name, cell.cell_contents",
            "a function that mentions a name without a value yet ends the training",
        ),
        (
            '("func", value.func), ("args", value.args), ("keywords", value.keywords)]',
            '("func", value.func)]',
            "a generator that partial holds is not saved",
        ),
        ("for kind in type(value).__mro__)", "for kind in (type(value),))", "a subclass of another kind goes unseen"),
        (
            "                if id(rng) not in known:\n",
            "                if True:\n",
            "a shared generator is there twice",
        ),
    ],
}
