"""ADMM splitting: training of all layers of a spiking network by block minimisation.

``admm_splitting.py`` holds :class:`bidual.ADMMSplitting`. ``sweeps.py`` holds a sweep over
the blocks, ``memory.py`` the memory of batches.
"""
