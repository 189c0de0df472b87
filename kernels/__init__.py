"""Numba kernels: arrays and scalars in, the result array last, nothing of bidual imported.

To add a kernel: one function in the file named for its subject, decorated
``@njit(cache=True, nogil=True)``, calling only functions of its own file (a
cached kernel does not notice that one in another file has changed, and would
go on answering with the old arithmetic); then a test of it against NumPy.
Kernels check nothing: the object that calls one has checked its arguments.
"""
