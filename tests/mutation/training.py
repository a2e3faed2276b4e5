"""Faults of a training run: of the loop, of what it resumes from, and of what it refuses."""

from __future__ import annotations

TRAINING = {
    "training/fit": [
        ("                run.model.zero_grad()\n", "", "a gradient from before is in the first step"),
        (
            "(history)\n    run.model.train()\n",
            "(history)\n",
            "layers that the callback put into evaluation mode stay there",
        ),
        (
            "(told)\n    run.model.train()\n",
            "(told)\n",
            "layers that on_batch_end put into evaluation mode stay there",
        ),
        (
            "    updates.step()\n    return True",
            "    return True",
            "the last batches of an epoch wait for the next one",
        ),
        (
            "                    return False\n                updates.add_batch()",
            "                    return True\n                updates.add_batch()",
            "an epoch that on_batch_end has ended is recorded",
        ),
        (
            "float(first.lr_at(first.steps))",
            "float(first.lr_at(first.steps - 1))",
            "on_batch_end is told the last rate",
        ),
        ("bool(run.on_batch_end)", "len(run.on_batch_end) > 1", "a single on_batch_end is not called"),
        ("walk.epoch(), run.length(), ", "walk.epoch(), None, ", "the bar does not know how long an epoch is"),
        ("        results |= run.updates.last_lr()\n", "", "the history has no learning rates"),
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
            'guard.after_update(f"epoch {run.position.epoch + 1}, batch {run.position.batch}", run.position.last)',
            "pass",
            "a model with NaN takes the place of a good checkpoint within an epoch",
        ),
        (
            "model(*batch))\n            correct",
            "model(*batch[:2]))\n            correct",
            "weights of samples count in the validation only",
        ),
        (
            "    run.position.seconds = time.perf_counter() - start\n",
            "",
            "a checkpoint within an epoch has no seconds",
        ),
    ],
    "training/conditions": [
        (
            'check_values("validation", run.validation) and checked',
            'check_values("validation", run.validation) or checked',
            "validation data that can't be looked at beforehand are never looked at",
        ),
        (
            "        if every % accumulate:",
            "        if every < accumulate:",
            "a checkpoint is written between two steps",
        ),
        ("    if isinstance(run.train, Iterator):", "    if False:", "an iterator, which is used up, has a checkpoint"),
        ("    check_modes(run.model)\n", "", "a part in evaluation mode trains unasked"),
        ("again=run.steps_per_epoch is None", "again=True", "no iterator has epochs of a given number of steps"),
    ],
    "training/callbacks": [
        (
            "any(isinstance(answer, (bool, np.bool_)) and not answer for",
            "any(answer is not None and not answer for",
            "a callback that returns 0 ends the training",
        ),
        (
            "any(isinstance(answer, (bool, np.bool_)) and not answer for",
            "any(answer is False for",
            "a callback that returns NumPy's False does not end the training",
        ),
        (
            "            with np.errstate(**self.settings):",
            "            if True:",
            "a callback has NumPy's settings of fit",
        ),
        (
            "            if not callable(function):",
            "            if not (callable(function) or several):",
            "a list of callbacks is not looked at beforehand",
        ),
    ],
    "training/updates": [
        ("optimizer.lr_at(optimizer.steps - 1)", "optimizer.lr_at(optimizer.steps)", "the rate shown is the next one"),
        ("parameter.grad *= 1 / self.waiting", "parameter.grad *= 1", "a step takes the sum of its batches' gradients"),
        (
            "parameter.grad *= 1 / self.waiting",
            "parameter.grad *= 1 / self.accumulate",
            "the last step of an epoch is shorter than the mean",
        ),
        (
            "self.stepped, self.waiting = True, 0",
            "self.stepped = True",
            "after the first group of batches there is no further step",
        ),
        (
            "            parameter.zero_grad()\n",
            "            pass\n",
            "a gradient piles up where no optimizer holds it",
        ),
        (
            " and not p.frozen]",
            "]",
            "frozen parameters, which have no gradient, are cleared for every batch",
        ),
        ("finite = finite and optimizer", "finite = optimizer", "only the last optimizer's gradient must be finite"),
    ],
    "training/walk": [
        ("self.begin(position.walked)", "self.begin(0)", "a run that resumes begins its data anew"),
        (
            "        self.present, position.walked = None, 0",
            "        self.present = None",
            "behind the end of the data as many batches are left out as were done",
        ),
        ("if not position.walked or isinstance", "if isinstance", "data without a batch are read for ever"),
        ("islice(self.present, steps - done)", "self.present", "an epoch is as long as the data"),
    ],
    "training/run": [
        ("0, 0.0, Tally(), 0.0", "0, 0.0, self.tally, 0.0", "the accuracy of an epoch counts those before"),
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
        ("value < self.to_beat - self.min_delta", "value < self.to_beat", "an improvement of any size is one"),
        ("self.to_beat, self.waited = value, 0", "self.waited = 0", "the first epoch is the one to beat for ever"),
        (
            "if value < self.lowest:",
            "if value < self.lowest - self.min_delta:",
            "an epoch that is better by a little is not kept",
        ),
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
            '        arrays += [(f"{name} of {o.name}", moment) for o in self.optimizers for name, moment in'
            " o.moments.items()]\n",
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
            "share = judge.weight(len(batch[1]))",
            "share = len(batch[1])",
            "batches are weighed by their rows",
        ),
        (
            '{"sample_weight": sample_weight}',
            "{}",
            "a metric that takes sample weights does not get them",
        ),
        ('"loss": total / weight if weight else 0.0}', '"loss": total / weight}', "weights of 0 only divide by zero"),
        ("np.array(batch[1])", "np.asarray(batch[1])", "metrics of data with one buffer see the last batch alone"),
    ],
    "training/tally": [
        (
            "if self.loss is not None:",
            "if False:",
            "a model that has not called its loss is told what was right in the batch before",
        ),
        (
            "if own is None and (loss := self._called()):",
            "if False:",
            "the loss of a model of one's own depends on the batch size",
        ),
        (
            "inner[0] if len(inner) == 1 else None",
            "inner[0] if inner else None",
            "a model of two losses is weighed by the first",
        ),
        (
            "if loss is not end and len(_losses(loss)) == 1]",
            "if loss is not end]",
            "a loss around another hides what the other tells",
        ),
        ("right if type(right) is int else float(right)", "right", "a long tally in float32 stands still"),
    ],
    "training/predict": [
        ("range(0, max(1, n), batch_size)", "range(0, n, batch_size)", "no rows give no prediction"),
        (
            "layer = copies[id(value)] = object.__new__",
            "layer = object.__new__",
            "a layer that knows the one above it is copied without end",
        ),
        ("    copies[OTHERS] = True\n", "", "layers in a set are left out"),
        (
            "np.random.Generator, object}",
            "np.random.Generator}",
            "a model that was trained is searched at every predict",
        ),
        ("Layer.__getstate__(value)", "value.__getstate__()", "a layer that can't pickle its lock predicts without it"),
    ],
    "training/modes": [
        ("    layer.training = mode\n", "    layer.training = True\n", "a mode is not given back"),
        ("if layer.frozen == frozen:", "if True:", "what a callback freezes is in training mode afterwards"),
        ("model.train(training)", "training and model.train()", "a layer's threads drop out while it is evaluated"),
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
            "            if id(parameter) not in names:",
            "            if names.keys().isdisjoint(map(id, optimizer.parameters)):",
            "an optimizer that holds parameters of another model too ends in a KeyError",
        ),
        ("            held.add(id(parameter))\n", "", "two optimizers may hold one parameter"),
        (
            "    _check_left_out(optimizers, names, held)\n",
            "",
            "a part that was unfrozen later is not trained, and nobody is told",
        ),
        (
            "            if parameter.frozen:",
            "            if False:",
            "an optimizer that holds a frozen parameter is accepted",
        ),
        ("if len(layer.walk(Layer)) == 1}", "}", "a Sequential of layers that were evaluated is refused"),
        ("    ordered.shuffle = False\n", "", "validation that is shuffled changes the training"),
        ("dtype=None if ids else dtype", "dtype=dtype", "ids in arrays become floats"),
        ("(x if is_stored(x) else np.asarray(x))", "np.asarray(x)", "all of a file is read to see whether it has ids"),
        ("extra=tuple(weight))", "extra=())", "the weights beside arrays do not count"),
        ("in row {start + row}{column}", "in row {row}{column}", "beyond a chunk the row of a NaN is another"),
        (
            "dict(zip(PARTS[1:], rest))",
            "dict(zip(PARTS[1:2], rest))",
            "weights of another length are left to the loss",
        ),
        (
            "for part, array in data.arrays().items():",
            'for part, array in {"x": data.x, "y": data.y}.items():',
            "weights of NaN are not refused beforehand",
        ),
        ("train.y.shape[0] < train.batch", "train.y.shape[0] <= train.batch", "a single whole batch is refused"),
        ("enumerate(data, done + 1)", "enumerate(data, 1)", "resumed within an epoch, an error names another batch"),
        ("if again and isinstance(data, Iterator):", "if False:", "a generator is used up after one epoch"),
    ],
    "training/history": [
        ("        except BaseException:", "        except Exception:", "Ctrl-C leaves half of an epoch"),
        ("repr(float(a)) == repr(float(b))", "a == b", "a history with NaN is not the one in the checkpoint"),
        ("column.extend([math.nan] * (epochs - lengths[name]))", "pass", "a column that begins later is out of line"),
        ('.partition("_")[0] != "lr"]', "]", "a history without learning rates is not the one in the checkpoint"),
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
        (
            'len(wanted) + (name.partition("_")[0] == "lr")',
            "len(wanted)",
            "the learning rate does not stand last",
        ),
        ("        self.done += 1\n", "", "every line is of the same epoch"),
        ("file=sys.stderr, flush=True", "flush=True", "lines go elsewhere than bars"),
        ("wanted == LINES and sys.stderr is not None", "wanted == LINES", "without a stderr lines end up in stdout"),
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
