"""Answers about a layer or a model: whether its gradients are right, what it consists of, why it does not learn.

It may import the ground floor.
Start with check_layer.py.
"""
