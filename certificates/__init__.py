"""Certificates: how far an answer is from the optimum, proven in the original program.

A certificate needs W, b and any V; it does not matter who made them, and
nothing a solver says about itself is used.
"""

from .cert_file import columns_sha256
from .certificate import Certificate
from .certify import certify
from .exact_certificate import ExactCertificate

__all__ = ["Certificate", "ExactCertificate", "certify", "columns_sha256"]
