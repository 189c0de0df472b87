"""Files of packed columns: the head, the memory-mapped reader and the resumable writer.

To add a file format, write a reader and a writer in a file of their own here, and add
a line to the table of ``tests/test_packed_file.py``.
"""
