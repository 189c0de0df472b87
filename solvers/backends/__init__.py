"""Backends: one file per solver, each an adapter or a solver of our own.

``../backend.py`` holds the interface, ``../registry.py`` the names. A conic solver
derives from :class:`~bidual.solvers.backends.conic.ConicBackend`; any other derives
from :class:`~bidual.solvers.backend.Backend`.
"""
