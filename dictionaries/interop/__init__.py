"""Readers of networks of other libraries: snnTorch, SpikingJelly and NIR.

These are the only files that know torch, which they import when they are used.
"""
