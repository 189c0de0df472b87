"""Solution: an answer with its certificate, its status and its times."""

from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ..certificates.certificate import Certificate
from ..certificates.certify import certify_answer
from ..dictionaries.validation import Array
from ..formulations import ConvexProgram, NetworkClass
from ..networks import Network
from . import prune
from .clock import now
from .monitor import Progress

INTERRUPTED = "interrupted"  # message of a solve that Ctrl-C ended, whatever its gap


class Status(Enum):
    """Status of a solve, decided by the certificate and never by the backend's own status."""

    CERTIFIED = "the asked gap is certified"  # with the rounding of the certificate
    TIME_LIMIT = "out of time before the asked gap was certified"
    INTERRUPTED = "interrupted before the asked gap was certified"
    INACCURATE = "the backend ended before the asked gap was certified"
    FAILED = "the backend gave no answer"


def status_of(
    program: ConvexProgram, certificate: Certificate, asked_gap: float, otherwise: Status
) -> Status:
    """Return CERTIFIED if a certificate proves the asked gap, else another status.

    The rounding counts: gap + rounding must be at most the asked gap times the reference. At the
    reference 0 the gap must be 0.
    """
    proven = certificate.absolute_gap
    if program.reference > 0:
        proven += certificate.rounding
    if program.relative(proven) <= asked_gap:
        return Status.CERTIFIED
    return Status.INACCURATE if otherwise is Status.CERTIFIED else otherwise


@dataclass(frozen=True, eq=False)
class Solution:
    """Answer to a program, with its certificate.

    Attributes
    ----------
    program : ConvexProgram
        The program that was solved.
    backend : str
        Name of the backend that solved it.
    status : Status
        CERTIFIED if ``certificate`` proves the asked gap: gap and rounding together are within it.
    message : str
        The backend's final message, to be read by the user.
    weights : (P, C) array
        W.
    intercept : (C,) array
        b, zeros if the program has no intercept.
    dual_point : (N, C) array
        V, feasible.
    certificate : Certificate
        Certificate of these weights for ``program``.
    asked_gap : float
        The relative gap that the caller asked for.
    compile_seconds, solve_seconds, recover_seconds : float
        Time to build the backend's model, to solve it, and to convert and certify its
        answers.
    iterations : int
        Iterations of the backend, summed over all outputs and runs.
    history : list of Progress
        One entry per improvement of the best certified answer.
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
        verdict = f"{self.status.value}: relative gap {reached:.2g}"
        if reached > self.asked_gap:
            verdict += f", {reached / self.asked_gap:.2g} times the asked {self.asked_gap:.2g}"
        elif self.status is not Status.CERTIFIED:
            rounding = self.program.relative(self.certificate.rounding)
            verdict += f", rounding up to {rounding:.2g}, together above {self.asked_gap:.2g}"
        return f"{self.backend}: {verdict} ({self.message})"

    @property
    def active(self) -> NDArray[np.intp]:
        """Indices of the atoms that carry a weight in any output."""
        return np.flatnonzero(self.weights.any(axis=1))

    @property
    def support_rank(self) -> int:
        """Rank of the active atoms in float64, which bounds the atoms of a pruned answer.

        Under l1 it is the rank of the active columns of D, summed over outputs. Under the group
        norm it is the rank of the matrices d_j W_j'. If the program has an intercept, the
        columns are centred first.
        """
        return prune.support_rank(self.program, self.weights)

    def network(self) -> Network:
        """Rebuild the network that computes D W + b.

        The program stores the network class that stated it and the dictionary. A program of
        :func:`bidual.readout_program` stores the network instead; the result is that network
        with this readout.

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
            "program: expected a program that a network class stated (lif.program(atoms, y)), got "
            "a program without a network class; if its design is atoms.atoms of a dictionary of "
            "the class lif, call lif.network(atoms, solution)"
        )

    def prune(self) -> "Solution":
        """Return an answer with independent atoms, so that their number is at most their rank.

        The rank is at most N C, or (N - 1) C if the program has an intercept. N is the number
        of rows of D: n, or n T for a readout at every step. Under l1 the bound counts weights
        other than 0, and an atom may have one per output. ``support_rank`` is the rank itself
        and can be much smaller.

        Caratheodory's theorem gives N C + 1 for points in the hull of the atoms (Ergen et al.
        2023, Theorem 2.2; Udupi, Yang and Zhai 2026, Theorem 3.4). Pruning needs one atom less
        because the penalty may fall: it uses every dependence, not only those that keep the sum
        of the weights. An intercept adds a fixed vector per output that is not counted as an
        atom.

        Pruning keeps the fits, so it keeps the loss, and it does not raise the penalty.
        Rounding in float64 may raise the objective in exact arithmetic by at most

            2 (N + s + C + 16) eps (objective + sum_i a_i g_i r).

        This is four times the rounding error of evaluating the objective. Here s is the number
        of active atoms, g_i the largest slope of the loss of row i within rounding of its fit,
        and r the largest entry of ``|D| |W| + |b|``. If rounding could raise the objective by
        more, pruning keeps dependent atoms and ``message`` says so.

        Returns
        -------
        Solution
            The pruned answer with a new certificate. Its dual point is that of this solution
            unless a better one is found.

        Raises
        ------
        ValueError
            If the penalty is neither l1 nor group.

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
        start = now()
        weights, intercept, complete = prune.prune(self.program, self.weights, self.intercept)
        left = int(np.count_nonzero(weights.any(axis=1)))
        message = f"{self.message}; pruned from {self.active.size} atoms to {left}"
        if not complete:
            message += "; dependent atoms remain, because rounding could raise the objective"
        certificate = certify_answer(self.program, weights, intercept, [self.dual_point], "solve")
        return replace(
            self,
            status=status_of(self.program, certificate, self.asked_gap, self.status),
            message=message,
            weights=weights,
            intercept=intercept,
            dual_point=certificate.dual_point,
            certificate=certificate,
            recover_seconds=self.recover_seconds + now() - start,
        )
