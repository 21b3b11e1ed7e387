"""The assistant: conditions of a free request, candidates, the prompt, and the answer read with its evidence."""

from rerec_engine.assistant.answer import Assistant
from rerec_engine.assistant.conditions import Condition, Request
from rerec_engine.assistant.exchange import Answer, Ask, Exchange, Item
from rerec_engine.assistant.shortlist import Shortlist, Shortlister

__all__ = ["Answer", "Ask", "Assistant", "Condition", "Exchange", "Item", "Request", "Shortlist", "Shortlister"]
