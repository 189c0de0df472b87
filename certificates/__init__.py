"""Certificates: proven bounds on the distance of an answer from the optimum.

A certificate is about the original program. It needs weights W, an intercept b and any dual
point V, whatever program computed them. It uses no status and no gap that a solver reports.
"""

from .cert_file import columns_sha256
from .certificate import Certificate
from .certify import certify
from .exact_certificate import ExactCertificate

__all__ = ["Certificate", "ExactCertificate", "certify", "columns_sha256"]
