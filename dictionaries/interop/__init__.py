"""Readers of networks of other libraries: snnTorch, SpikingJelly and NIR.

Only these files use torch. They import it when they are called.
"""
