"""Growing: column generation, which adds the atoms that violate the dual constraints most.

``grow.py`` holds :func:`bidual.grow`, ``column_generation.py`` the loop, and
``pricing/`` the searches for violating atoms.
"""
