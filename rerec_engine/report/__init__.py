"""A run directory as one HTML file that needs nothing else: curves, the curriculum, and the rollouts themselves."""

from rerec_engine.report.page import write_report

__all__ = ["write_report"]
