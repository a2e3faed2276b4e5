"""Softmax regression on the digits, as a whole program: it prints the loss and the accuracy on unseen ones."""

import minnet as mn

x, y = mn.load_digits()
model = mn.Sequential(mn.Linear(64, 10), mn.SoftmaxCrossEntropy())
for parameter in model.parameters():
    parameter.data.fill(0)
mn.fit(model, mn.SGD(model.parameters(), lr=0.5), mn.Batches(x[:1437], y[:1437], 32, rng=0), epochs=30)
result = mn.evaluate(model, mn.Batches(x[1437:], y[1437:], 360, shuffle=False))
print(result["loss"], result["accuracy"])
