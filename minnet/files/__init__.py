"""Models on the disk.

It may import the ground floor.
Start with models.py, which has save and load.
"""
