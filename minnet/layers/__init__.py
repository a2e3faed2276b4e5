"""The layers that models are built of: a class each, with its derivation.

They may import the ground floor.
Start with linear.py.
"""
