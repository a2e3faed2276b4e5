"""The same in PyTorch, with slices of permuted tensors, which are faster than its DataLoader. Called with the data."""

import sys

import numpy as np
import torch

with np.load(sys.argv[1]) as file:
    x, y = torch.from_numpy(file["images"]).reshape(-1, 64).float() / 16, torch.from_numpy(file["labels"]).long()
x_train, y_train, x_test, y_test = x[:1437], y[:1437], x[1437:], y[1437:]
model = torch.nn.Linear(64, 10)
torch.nn.init.zeros_(model.weight)
torch.nn.init.zeros_(model.bias)
optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.5), torch.nn.CrossEntropyLoss()
rng = np.random.default_rng(0)
for _ in range(30):
    order = torch.from_numpy(rng.permutation(1437))
    x_shuffled, y_shuffled = x_train[order], y_train[order]
    for i in range(0, 1437, 32):
        optimizer.zero_grad()
        loss = criterion(model(x_shuffled[i : i + 32]), y_shuffled[i : i + 32])
        loss.backward()
        optimizer.step()
with torch.no_grad():
    scores = model(x_test)
    print(criterion(scores, y_test).item(), (scores.argmax(1) == y_test).float().mean().item())
