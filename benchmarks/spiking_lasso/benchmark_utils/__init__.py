"""What the benchopt benchmark and ``race.py`` share: programs and solvers."""
