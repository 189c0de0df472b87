"""Solution: an answer with its certificate, its status and its times."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ..certificates import Certificate
from ..formulations import ConvexProgram
from .monitor import Progress

Array = NDArray[np.float64]


class Status(Enum):
    """How a solve ended, judged by the certificate and never by the backend's own word."""

    CERTIFIED = "the asked gap is certified"
    TIME_LIMIT = "out of time before the asked gap was certified"
    INTERRUPTED = "interrupted before the asked gap was certified"
    INACCURATE = "the backend ended before the asked gap was certified"
    FAILED = "the backend gave no answer"


@dataclass(frozen=True, eq=False)
class Solution:
    """An answer to a program.

    Attributes
    ----------
    program : ConvexProgram
        What was asked.
    backend : str
        Who answered.
    status : Status
    message : str
        The backend's own last word, for people to read.
    weights : (P, C) array
        W.
    intercept : (C,) array
        b, zeros where the program has none.
    dual_point : (N, C) array
        V, feasible.
    certificate : Certificate
        Of these weights, in the original program.
    asked_gap : float
        The relative gap that was asked for.
    compile_seconds, solve_seconds, recover_seconds : float
        Building the backend's model; solving it; and turning its answers into
        certified ones of the program.
    iterations : int
        The backend's own, over all outputs and runs.
    history : list of Progress
        The best certified answer so far, each time that it became better.
    """

    program: ConvexProgram
    backend: str
    status: Status
    message: str
    weights: Array = field(repr=False)
    intercept: Array = field(repr=False)
    dual_point: Array = field(repr=False)
    certificate: Certificate
    asked_gap: float
    compile_seconds: float
    solve_seconds: float
    recover_seconds: float
    iterations: int
    history: list[Progress] = field(repr=False)

    def __str__(self) -> str:
        reached = self.certificate.relative_gap
        if self.program.strength == 0 and self.status is not Status.CERTIFIED:
            bound = "at strength 0 only the bound 0 can be proven"
            return f"{self.backend}: {bound}; primal {self.certificate.primal:.6g} ({self.message})"
        verdict = f"{self.status.value}: {reached:.2g}"
        if reached > self.asked_gap:
            verdict += f", {reached / self.asked_gap:.2g} times the asked {self.asked_gap:.2g}"
        return f"{self.backend}: {verdict} ({self.message})"

    @property
    def active(self) -> NDArray[np.intp]:
        """Indices of the atoms that carry a weight in any output."""
        return np.flatnonzero(self.weights.any(axis=1))
