"""Ranked lists of items and their figures, whoever made them: HR, Recall, NDCG and MRR at several depths."""
