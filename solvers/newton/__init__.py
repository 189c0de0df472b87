"""newton: the semismooth Newton method on working sets.

``newton_.py`` is the backend. ``working_set.py`` solves the program of a working set of atoms,
either by quadratics on their Gram matrix (``proximal_newton.py``, ``gram_steps.py``) or by
rows (``row_steps.py``, ``linear_system.py``). ``tuning.py`` holds all constants.
"""
