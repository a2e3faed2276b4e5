"""Data on its way into a model: read, split, encoded, and handed out in batches.

It may import the ground floor.
Start with batches.py.
"""
