"""Evaluation metrics: bootstrap intervals, the published RecBench+ figures, reports."""

from rerec_engine.metrics.bootstrap import bootstrap_interval
from rerec_engine.metrics.recbench import RowScore, mean_metrics, score_recbench
from rerec_engine.metrics.report import CategoryReport, Estimate, EvalReport

__all__ = [
    "CategoryReport",
    "Estimate",
    "EvalReport",
    "RowScore",
    "bootstrap_interval",
    "mean_metrics",
    "score_recbench",
]
