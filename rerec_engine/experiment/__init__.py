"""Comparisons of settings over seeds: run, resumed and put into one table by one command."""

from typing import TYPE_CHECKING

from rerec_engine.cli.lazy import on_demand

if TYPE_CHECKING:
    from rerec_engine.experiment.suite import Suite, load_suite
    from rerec_engine.experiment.table import Comparison, compare

__all__ = ["Comparison", "Suite", "compare", "load_suite"]
__getattr__ = on_demand(
    __name__,
    Suite="rerec_engine.experiment.suite",
    load_suite="rerec_engine.experiment.suite",
    Comparison="rerec_engine.experiment.table",
    compare="rerec_engine.experiment.table",
)
