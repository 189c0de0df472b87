"""The command line: demo, compare, certify, verify, backends.

To add a command, write a file with ``add_parser(commands)`` and a function that works through
the public names. Add a line to ``COMMANDS`` in ``main.py`` and tests to ``tests/test_cli.py``.
"""
