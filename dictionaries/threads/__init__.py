"""Threads of products and rollouts: their number, and the split of work among them."""
