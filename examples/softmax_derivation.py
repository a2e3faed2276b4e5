"""Where Xᵀ(P − Y)/N comes from: the gradient of softmax regression, step by step."""

import numpy as np

from minnet import Linear, Sequential, SoftmaxCrossEntropy


def softmax(s: np.ndarray) -> np.ndarray:
    e = np.exp(s - s.max(axis=-1, keepdims=True))  # the quotient stays the same, and nothing overflows
    return e / e.sum(axis=-1, keepdims=True)


def naive(X: np.ndarray, y: np.ndarray, W: np.ndarray, reg: float) -> tuple[float, np.ndarray]:
    """−1/N Σ log p[y] + reg Σ W² and its gradient, one sample and one class at a time."""
    loss, dW = reg * float((W**2).sum()), 2 * reg * W
    for x, label in zip(X, y):
        p = softmax(x @ W)
        loss -= float(np.log(p[label])) / len(X)
        for c in range(W.shape[1]):
            dW[:, c] += (p[c] - (c == label)) * x / len(X)
    return loss, dW


def main() -> dict[str, np.ndarray | float]:
    s = np.array([1.0, 3, 5, 2, 4])
    p = softmax(s)
    print(f"1. The softmax turns scores into probabilities: {s} -> {p.round(4)}")
    with np.errstate(all="ignore"):
        print(f"   Scores larger by 1000: {np.exp(s + 1000) / np.exp(s + 1000).sum()} unless the maximum is subtracted")
    J, h = np.diag(p) - np.outer(p, p), 1e-6
    differences = np.transpose([(softmax(s + h * e) - softmax(s - h * e)) / (2 * h) for e in np.eye(5)])
    print(f"2. Its Jacobian, p_i (1 - p_i) on the diagonal and -p_i p_j off it:\n{J.round(4)}")
    print(f"   Central differences are {abs(J - differences).max():.0e} away from it,", end=" ")
    print(f"and {abs(np.diag(p * (1 - p)) - differences).max():.0e} from its diagonal alone")
    dp = np.array([0, 0, -1 / p[2], 0, 0])
    print(f"3. -log p_2 has the gradient J dp = {(J @ dp).round(4)}")
    print(f"   From the diagonal alone: {(np.diag(J) * dp).round(4)}, which never lowers the other scores")
    scores, labels = np.array([[1.0, 2, 3, 5], [4, 5, 2, 3]]), np.array([3, 1])
    P, Y = softmax(scores), np.eye(4)[labels]
    loss = float(-np.log(P[[0, 1], labels]).sum())
    print(f"4. The cross-entropy, sum -log p[y], is {loss:.12f} here, its gradient P - Y:\n{(P - Y).round(8)}")
    rng = np.random.default_rng(0)
    X, y, W, reg = rng.normal(size=(20, 6)), rng.integers(0, 4, 20), rng.normal(size=(6, 4)), 0.01
    loops, dW = naive(X, y, W, reg)
    line = X.T @ (softmax(X @ W) - np.eye(4)[y]) / len(X) + 2 * reg * W
    print(f"5. X^T (P - Y)/N + 2 reg W does what loops over samples and classes do: {abs(line - dW).max():.0e} apart")

    model = Sequential(Linear(6, 4, bias=False), SoftmaxCrossEntropy()).astype(np.float64)
    model.load_state_dict({"0.W": W})
    apart = abs(model(X, y) + reg * float((W**2).sum()) - loops)
    model.backward()
    layers = model.parameters()[0].grad + 2 * reg * W
    print(f"6. So do Linear and SoftmaxCrossEntropy: loss {apart:.0e}, gradient {abs(layers - dW).max():.0e} apart")
    return {"p": p, "J": J, "loss": loss, "P - Y": P - Y, "loops": dW, "line": line, "layers": layers}


if __name__ == "__main__":
    main()
