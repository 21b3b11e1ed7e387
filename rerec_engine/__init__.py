"""rerec_engine: reinforcement fine-tuning of a language model into a recommendation assistant that reasons."""

__version__ = "0.1.0"
