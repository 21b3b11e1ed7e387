"""The assistant: conditions of a free request, candidates, the prompt, and the answer read with its evidence."""

from rerec_engine.assistant.answer import Answer, Ask, Assistant, Item, Turn
from rerec_engine.assistant.conditions import Condition, Request
from rerec_engine.assistant.shortlist import Shortlist, Shortlister

__all__ = ["Answer", "Ask", "Assistant", "Condition", "Item", "Request", "Shortlist", "Shortlister", "Turn"]
