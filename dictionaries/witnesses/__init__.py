"""Witnesses: the hidden weights that generate each atom, sampled or given, and their records.

To add a kind of witness: a class with ``subnetworks``, ``hidden``, ``inputs`` and
``layers(index)`` in a file of its own here, its record in ``records.py``, a line in
``dictionaries/__init__.py``, and lines in the tables of ``tests/test_spike_dictionary.py``
and ``tests/test_build.py``.
"""
