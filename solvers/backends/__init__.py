"""Backends: one file per solver, either an adapter or a built-in solver.

``../backend.py`` holds the interface, ``../registry.py`` the names. The adapter of a conic
solver derives from :class:`~bidual.solvers.backends.conic.ConicBackend`, any other backend
from :class:`~bidual.solvers.backend.Backend`.
"""
