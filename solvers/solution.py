"""Solution: an answer with its certificate, its status and its times."""

import time
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ..certificates import Certificate, certify
from ..dictionaries.validation import Array
from ..formulations import ConvexProgram, NetworkClass
from ..networks import Network
from . import prune
from .monitor import Progress


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

    @property
    def support_rank(self) -> int:
        """Rank of the atoms in use, to float64's rounding: how many a pruned answer may need.

        Under l1 that of the active columns of D, summed over outputs; under the
        group norm that of the matrices d_j W_j'. Beside an intercept columns count
        by what is left of them without their mean.
        """
        return prune.support_rank(self.program, self.weights)

    def network(self) -> Network:
        """Rebuild the network that computes D W + b.

        The program knows the network class that stated it and its dictionary; for a program
        of :func:`bidual.readout_program` it is the network with this readout.

        Raises
        ------
        ValueError
            If no network class stated the program.

        Examples
        --------
        >>> import bidual as bd
        >>> X, y = bd.tasks.first_last_xor(steps=4)
        >>> lif = bd.LIF(hidden=(4,), leak=0.5)
        >>> solution = bd.solve(lif.program(lif.complete(X), y, loss="hinge", beta=0.05))
        >>> solution.network().predict(X).shape
        (16,)
        """
        source, dictionary = self.program.source, self.program.dictionary
        if isinstance(source, Network):
            return source.with_readout(self.weights, self.intercept, self.program.classes)
        if isinstance(source, NetworkClass) and dictionary is not None:
            network: Network = source.network(dictionary, self)
            return network
        raise ValueError(
            "program: expected one that a network class stated, such as lif.program(atoms, y), "
            "got one of a design alone; lif.network(atoms, solution) rebuilds the network, where "
            "the design is atoms.atoms of a dictionary of the class lif"
        )

    def prune(self) -> "Solution":
        """Move to an answer whose atoms are independent, so that there are no more than their rank.

        That is at most N C atoms, and (N - 1) C beside an intercept, N being the
        rows of D: n, or n T where the loss is read at every step. Caratheodory's
        theorem alone gives N C + 1 (Ergen et al. 2023, Theorem 2.2; Udupi, Yang and
        Zhai 2026, Theorem 3.4), for points anywhere in the hull of the atoms. Here
        the penalty may fall, so that any dependence can be used and not only those
        that leave the sum of weights as it is: one less. An intercept is one more
        vector in each output, always there and never counted. Under l1 it is weights
        other than 0 that are bounded, of which an atom may have one for each output.
        Where there are few atoms, ``support_rank`` says more than the bound.

        Pruning keeps the fits, and with them the loss, and does not raise the penalty.
        Rounding in float64 may raise the objective in exact arithmetic by at most

            2 (N + s + C + 16) eps (objective + sum_i a_i g_i r),

        which bounds four times the rounding of evaluating it: s atoms are in use, g_i
        is the largest slope of the loss of row i within rounding of its fit, and r the
        largest entry of ``|D| |W| + |b|``. Where rounding could raise it by more,
        atoms stay, and ``message`` says so.

        Returns
        -------
        Solution
            With a new certificate, by the dual point of this one if there is no better.

        Raises
        ------
        ValueError
            If the penalty is another than l1 and group.

        Examples
        --------
        >>> import bidual as bd
        >>> from dataclasses import replace
        >>> D = bd.BinaryMatrix.from_dense([[1, 0, 1], [0, 1, 1]])
        >>> program = bd.ConvexProgram(D, [3.0, 2.0], strength=0.1)
        >>> solution = bd.solve(program, gap=1e-9)
        >>> wide = replace(solution, weights=solution.weights + [[-0.5], [-0.5], [0.5]])
        >>> wide.active.size, wide.support_rank, wide.prune().active.size
        (3, 2, 2)
        """
        start = time.perf_counter()
        weights, intercept, complete = prune.prune(self.program, self.weights, self.intercept)
        left = int(np.count_nonzero(weights.any(axis=1)))
        message = f"{self.message}; pruned from {self.active.size} atoms to {left}"
        if not complete:
            message += ", and no further, where rounding would raise the objective"
        certificate = certify(
            self.program, weights=weights, intercept=intercept, dual_point=self.dual_point
        )
        status = self.status
        if certificate.relative_gap <= self.asked_gap:
            status = Status.CERTIFIED
        elif status is Status.CERTIFIED:
            status = Status.INACCURATE
        return replace(
            self,
            status=status,
            message=message,
            weights=weights,
            intercept=intercept,
            dual_point=certificate.dual_point,
            certificate=certificate,
            recover_seconds=self.recover_seconds + time.perf_counter() - start,
        )
