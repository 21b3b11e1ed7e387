"""The language model that is trained: policy, critic, adapter, packed attention, and the ranks that share it."""
