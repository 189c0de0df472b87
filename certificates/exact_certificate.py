"""ExactCertificate: bounds on an answer proven in integers, and the file with the proof."""

from dataclasses import dataclass, field
from fractions import Fraction
from os import PathLike
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.files.replacing import replacing
from ..dictionaries.validation import check_flag
from ..formulations import ConvexProgram
from . import cert_file
from .certificate import SOURCES, DualSource
from .complete_statement import completeness
from .exact_terms import dyadic, to_integers

Integers = NDArray[Any]  # int64, or Python integers


@dataclass(frozen=True, eq=False)
class ExactCertificate:
    """Bounds on an answer, proven in integers.

    Attributes
    ----------
    primal, dual, absolute_gap, reference : Fraction
        In units of the objective: an upper bound on the objective of ``weights`` and
        ``intercept``, a lower bound on every objective, their difference, and a lower bound
        on the objective at W = 0 and ``null_intercept``.
    relative_gap : float
        ``absolute_gap`` / reference, rounded up. If the reference is 0: 0 for no gap, else
        infinity.
    program : ConvexProgram
    weights : (P, C) int64 array
        W, over 2^weight_bits. These and the arrays below hold Python integers instead where
        int64 does not suffice.
    intercept, null_intercept : (C,) int64 arrays
        b and b0, over 2^weight_bits.
    dual_point : (N, C) int64 array
        V, over 2^dual_bits.
    weight_bits, dual_bits, bound_bits : int
        Exponents of the powers of two of the weights, the dual point and all four values.
    float_gap : float
        The absolute gap of the float certificate that this one proves.
    dual_source : {"weights", "given", "solve"}
        As in :class:`Certificate`.
    looser : str
        What makes the gap more than twice the float gap plus 1e-12 of the reference; empty if
        nothing does.
    """

    primal: Fraction
    dual: Fraction
    absolute_gap: Fraction
    reference: Fraction
    relative_gap: float
    program: ConvexProgram = field(repr=False)
    weights: Integers = field(repr=False)
    intercept: Integers = field(repr=False)
    null_intercept: Integers = field(repr=False)
    dual_point: Integers = field(repr=False)
    weight_bits: int = field(repr=False)
    dual_bits: int = field(repr=False)
    bound_bits: int = field(repr=False)
    float_gap: float = field(default=float("nan"), repr=False)
    dual_source: DualSource = field(default="weights", repr=False)
    looser: str = field(default="", repr=False)

    def __str__(self) -> str:
        looser = f"; looser than the float gap {self.float_gap:.2g}: {self.looser}"
        return (
            f"objective at most {float(self.primal):.6g}, none below {float(self.dual):.6g}: "
            f"absolute gap {float(self.absolute_gap):.2g}, relative gap {self.relative_gap:.2g}, "
            f"proven in integers; {SOURCES[self.dual_source]}{looser if self.looser else ''}"
        )

    def save(self, path: str | PathLike[str], complete: bool | dict[str, Any] = False) -> None:
        """Write a ``.cert`` file, which ``checker.py`` checks with nothing but Python.

        Parameters
        ----------
        path : path
            An existing file is replaced as a whole; a failed call leaves no partial file.
        complete : bool or dict
            Whether to add the proof that the atoms are all patterns of a class of neurons.
            ``completeness.py`` then proves the bound for every network of that class. True
            works for programs that a network class stated over a complete dictionary. For
            other programs give the result of :func:`bidual.completeness`.

        Raises
        ------
        ValueError
            If the checker would refuse the file: it counts its work before it begins.
        ValueError, BudgetExceeded
            As :func:`bidual.completeness`, if ``complete`` is True.
        OSError
            If the file cannot be written.
        """
        if not isinstance(complete, dict):
            complete = completeness(self.program) if check_flag("complete", complete) else {}
        with replacing(path) as file:
            write(self, file, complete or None)


def write(
    certificate: ExactCertificate, file: IO[bytes], shown: dict[str, Any] | None = None
) -> None:
    """Write a certificate to an open file, with the result of :func:`bidual.completeness`.

    Raise ValueError if the checker would refuse the file.
    """
    design = certificate.program.design
    cert_file.write(file, _statement(certificate, cert_file.columns_sha256(design)), design, shown)


def _statement(certificate: ExactCertificate, sha256: str) -> dict[str, Any]:
    """Return all of ``statement.json``; docs/certificate_format.md describes every field."""
    program = certificate.program
    n, atoms = program.design.shape
    bits = certificate.bound_bits

    def part(scale: int, integers: Any) -> dict[str, Any]:
        return {"bits": scale, "integers": integers}

    def number(value: float) -> dict[str, int]:
        integer, scale = dyadic(value)
        return {"integer": integer, "bits": scale}

    a, y = to_integers(program.row_weights[None]), to_integers(program.target.ravel()[None])
    places = np.argwhere(certificate.weights)
    values = certificate.weights[tuple(places.T)]
    statement = {
        "format": "bidual-certificate",
        "version": 1,
        "rows": n,
        "atoms": atoms,
        "outputs": program.outputs,
        "loss": program.loss.name,
        "penalty": program.penalty.name,
        "intercept": program.intercept,
        "strength": number(program.strength),
        "columns_sha256": sha256,
        "row_weights": part(a.bits, a.integers[0].tolist()),
        "targets": part(y.bits, y.integers[0].tolist()),
        "weights": {
            "bits": certificate.weight_bits,
            "entries": [
                [*place, value]
                for place, value in zip(places.tolist(), values.tolist(), strict=True)
            ],
            "intercept": certificate.intercept.tolist(),
            "null_intercept": certificate.null_intercept.tolist(),
        },
        "dual_point": part(certificate.dual_bits, certificate.dual_point.ravel().tolist()),
        "bounds": {"bits": bits}
        | {
            name: int(value * Fraction(2) ** bits)
            for name, value in (
                ("primal", certificate.primal),
                ("dual", certificate.dual),
                ("gap", certificate.absolute_gap),
                ("reference", certificate.reference),
            )
        },
    }
    if program.loss.delta:
        statement["delta"] = number(program.loss.delta)
    return statement
