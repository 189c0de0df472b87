"""Growing: column generation, which adds the atoms with the most violated dual constraints.

``grow.py`` holds :func:`bidual.grow`. ``column_generation.py`` holds the loop. ``pricing/``
holds the searches for violating atoms.
"""
