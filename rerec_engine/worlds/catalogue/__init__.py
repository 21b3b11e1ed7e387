"""Requests over any catalogue with attributes."""

from rerec_engine.worlds.catalogue.make import MadeRequests, make_requests

__all__ = ["MadeRequests", "make_requests"]
