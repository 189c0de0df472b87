"""Lowering of programs: to cones, to quadratic programs and to CVXPY."""
