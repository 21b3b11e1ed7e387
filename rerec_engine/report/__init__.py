"""A run directory as one HTML file that needs nothing else: curves, the curriculum, and the rollouts themselves."""

from typing import TYPE_CHECKING

from rerec_engine.cli.lazy import on_demand

if TYPE_CHECKING:
    from rerec_engine.report.page import write_report

__all__ = ["write_report"]
__getattr__ = on_demand(__name__, write_report="rerec_engine.report.page")
