"""The last layer of a model: with a target it gives the loss, without one the prediction.

They may import the ground floor.
Start with elementwise.py.
"""
