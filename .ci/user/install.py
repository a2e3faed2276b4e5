"""What an install must bring, and what not; run outside of the checkout."""

import importlib.metadata
import importlib.util

import minnet as mn

for name in ("datasets", "docs", "examples", "findings", "tests"):
    assert importlib.util.find_spec(name) is None, f"the install brings a package {name}"

assert importlib.metadata.version("minnet") == mn.__version__
x_train, x_test, y_train, y_test = mn.train_test_split(*mn.load_digits(), rng=0)
model = mn.Sequential(mn.Linear(64, 10, rng=0), mn.SoftmaxCrossEntropy())
mn.fit(model, mn.SGD(model.parameters(), lr=0.5), mn.Batches(x_train, y_train, 32, rng=0), epochs=20)
accuracy = mn.evaluate(model, [(x_test, y_test)])["accuracy"]
print(f"{mn.__file__} trains to {accuracy:.1%}")
assert accuracy > 0.94
