"""Sampling responses: one protocol, the built-in sampler and vLLM."""
