"""Witnesses: the hidden weights that generate each atom, sampled or given, and their records.

To add a kind of witness, write a class with ``subnetworks``, ``hidden``, ``inputs`` and
``layers(index)`` in a file of its own here. Then add its record to ``records.py``, a line
to ``dictionaries/__init__.py``, and lines to the tables of
``tests/test_spike_dictionary.py`` and ``tests/test_build.py``.
"""
