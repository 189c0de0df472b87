"""Certificates: proven bounds on the distance of an answer from the optimum.

A certificate is about the original program. It needs weights W, an intercept b and any dual
point V, whatever program computed them. It uses no status and no gap that a solver reports.

This file imports nothing, so that ``bidual verify`` loads the checkers without NumPy and Numba.
"""
