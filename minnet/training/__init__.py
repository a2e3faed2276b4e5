"""The loop: fit, evaluate and predict, and what a training run consists of.

It may import insight, files, data, optimizers, layers and the ground floor.
Start with fit.py.
"""
