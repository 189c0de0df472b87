"""Threads of products and rollouts: how many there are, and how work is shared among them."""
