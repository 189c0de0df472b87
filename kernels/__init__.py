"""Numba kernels: they take arrays and scalars, the result array last, and import no bidual module.

To add a kernel, write one function in the file named for its subject and
decorate it with ``@compiled`` of ``compiled.py``. A kernel calls only functions
of its own file: a cached kernel does not notice that a function in another file
has changed, and would go on answering with the old arithmetic. Then test the
kernel against NumPy. Kernels check nothing: the object that calls a kernel has
checked its arguments.
"""
