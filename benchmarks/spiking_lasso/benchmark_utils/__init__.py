"""Programs and solvers of the benchopt benchmark and of ``race.py``."""
