"""The item side: catalogue and titles, attribute graph, user-item embeddings."""
