"""Worlds and requests that are made: the demo's, and MovieLens as one."""
