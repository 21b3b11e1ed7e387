"""A trained model with its card, ready to be shared."""

from rerec_engine.share.card import write_card

__all__ = ["write_card"]
