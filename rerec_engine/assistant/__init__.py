"""The assistant: candidates for a free request, the prompt, and the answer read with its evidence."""

from rerec_engine.assistant.answer import Answer, Ask, Assistant, Item
from rerec_engine.assistant.shortlist import Shortlist, Shortlister

__all__ = ["Answer", "Ask", "Assistant", "Item", "Shortlist", "Shortlister"]
