"""The stages of a training run: batches, advantages, curriculum, loss, update, warm start."""
