"""Worlds and data sets: the demo world, RecBench+, MovieLens, prompts and the dataset directory."""
