"""What turns gradients into updates, and schedules of the learning rate.

They may import the ground floor.
Start with optimizer.py, the base of them all.
"""
