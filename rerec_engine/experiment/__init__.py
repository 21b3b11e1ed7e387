"""Comparisons of settings over seeds: run, resumed and put into one table by one command."""

from rerec_engine.experiment.suite import Suite, load_suite
from rerec_engine.experiment.table import Comparison, compare

__all__ = ["Comparison", "Suite", "compare", "load_suite"]
