"""Thin adapters to other training stacks: the reward engine in each one's own signature."""
