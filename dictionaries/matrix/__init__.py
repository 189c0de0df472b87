"""Designs: packed 0/1 matrices and dense real ones. Only this room knows the bits."""
