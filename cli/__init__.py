"""The command line: demo, compare, backends.

To add a command: a file with ``add_parser(commands)`` and a function that does
the work through the public names, a line in ``COMMANDS`` in ``main.py``, and its
tests in ``tests/test_cli.py``.
"""
