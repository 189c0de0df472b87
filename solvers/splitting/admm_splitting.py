"""ADMMSplitting: train a whole spiking network, hidden layers too, by block minimisation.

The problem is that of ``formulations/splitting.py``; a sweep goes up the layers, and in each
sets weights, spikes and membranes to the best for all others. It is not convex and
nothing bounds its optimum: what is proven is that blocks minimised exactly never raise the
augmented Lagrangian. The readout of what comes out can be solved to its optimum, with a
certificate, by ``readout_program``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from ...dictionaries.validation import check_seconds, check_whole
from ...formulations.losses import Loss, find_loss
from ...formulations.targets import encode
from ...networks import SpikingNetwork
from ..backend import Backend
from ..registry import find_backend
from .settings import SplittingSettings
from .sweeps import Sweep, Training


class SplittingStopReason(Enum):
    """Why training ended."""

    SWEEPS = "budget: out of sweeps"
    TIME = "budget: out of time"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, eq=False)
class Splitting:
    """A network trained by ADMM splitting, and how it came about.

    Attributes
    ----------
    network : SpikingNetwork
        One subnetwork, whose output leaks as its neurons do.
    history : list of Sweep
    stopped : SplittingStopReason
    """

    network: SpikingNetwork
    history: list[Sweep] = field(repr=False)
    stopped: SplittingStopReason
    _training: Training = field(repr=False)

    def __str__(self) -> str:
        last = self.history[-1]
        learnt = "" if last.accuracy is None else f", {last.accuracy:.1%} of training right"
        return (
            f"{len(self.history)} sweeps: Lagrangian {last.lagrangian:.6g}, simulated loss "
            f"{last.simulated_loss:.4g}{learnt} ({self.stopped.value})"
        )


@dataclass(frozen=True)
class ADMMSplitting(SplittingSettings):
    """Spiking networks trained by ADMM splitting (Perin, Bidini, Mazzieri and Rossi 2025).

    Neurons fire above the threshold, a spike takes the threshold from the membrane of the
    next step, and the output is a leaky integrator read at the last step. There are no biases: a
    constant input serves as one.

    Parameters
    ----------
    hidden : sequence of int
        Width of each hidden layer.
    leak : float
        Share of a membrane that stays from step to step, in [0, 1].
    threshold : float
        Above 0.
    rho : float
        Penalty of the membranes' equations.
    spike_rho : float
        Penalty of relaxed spikes apart from those of the membranes; beta in the paper.
    weight_decay : float
        Of all weights, 0 or more; at 0 least squares of the smallest norm.
    weight_norm : {"l2", "l1"}
        Whether decay is half the square, or the l1 norm, whose program any backend solves
        that takes dense designs.
    initial : {"simulated", "uniform"}
        Whether training begins with a network that obeys all equations, random in its first
        layer, copying in those above and fitted in its readout; or, as in the
        paper, without weights and with membranes and spikes uniform in [0, 1).
    order : {"gauss-seidel", "jacobi"}
        Whether membranes are set step after step, or all at once for those that were, which can
        raise the Lagrangian.
    spikes : {"clipped", "exact"}
        Whether relaxed spikes are the paper's ridge solution clipped to [0, 1], which
        can raise the Lagrangian, or the best in [0, 1].
    adaptive : bool
        Whether each layer's rho and spike_rho are doubled or halved where its primal and dual
        residuals are ten times apart.
    acceleration : int
        Sweeps that Anderson acceleration looks back; 0 for none. A step is taken
        only where it does not raise the Lagrangian.

    Raises
    ------
    ValueError
        If a part is out of its range.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.digits()
    >>> splitting = bd.ADMMSplitting(hidden=(32,), spikes="exact")
    >>> trained = splitting.fit(X[:200], y[:200], sweeps=20, warm_up=10)
    >>> trained.network
    SpikingNetwork(1 subnetworks (32,), 10 outputs, read at the last step, leaking 0.95)
    >>> trained.history[-1].lagrangian < trained.history[0].lagrangian
    True
    """

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | Loss = "squared",
        *,
        sweeps: int = 200,
        warm_up: int = 60,
        batch: int | None = None,
        seed: int = 0,
        backend: str | Backend = "auto",
        time_limit: float = np.inf,
        start: Splitting | None = None,
        callback: Callable[[Sweep], None] | None = None,
    ) -> Splitting:
        """Train on sequences X (n, T, d).

        Memory is some 4 T floats for each neuron and sample, of which half stays with the result
        (with acceleration 2 acceleration + 3 times that half again), and the inputs: of all
        samples, or of a batch where they are more. What all batches hold lies in temporary files
        then, and goes with the result; its ``network`` alone holds nothing of it.

        Parameters
        ----------
        X : (n, T, d) array
            Read several times a sweep where there are several batches.
        y : array
            Labels or numbers, as a program takes them.
        loss : str or Loss
            Of the outputs at the last step, summed over samples.
        sweeps : int
            How many, besides those of ``start``.
        warm_up : int
            Sweeps before the multiplier is renewed for the first time.
        batch : int, optional
            Samples at a time; all of them unless given. The sweeps are the same. With ``start``
            it is that of the start.
        seed : int
            Of all that is random, at the start.
        backend : str
            Solves for weights under "l1", one of ``bd.BACKENDS``, to a relative gap of 1e-6;
            an answer that falls short is taken where it is no worse than the last one.
        time_limit : float, seconds
            Looked at after each sweep.
        start : Splitting, optional
            Goes on where that ended, in its memory: same X and y, ``seed`` unused.
        callback : callable, optional
            Called with each Sweep. What it raises ends training without a result, but for
            KeyboardInterrupt.

        Returns
        -------
        Splitting
            Interrupting ends training as well, with what there is by then: blocks may have been
            set since the last sweep in the history.

        Raises
        ------
        ValueError
            If an argument is out of its range, X or y are not such as programs take them,
            or ``start`` is of other data or settings, or something went on from it already.
        """
        begun = time.perf_counter()
        check_whole("sweeps", sweeps, 1)
        check_whole("warm_up", warm_up, 0)
        if batch is not None:
            check_whole("batch", batch, 1)
        check_whole("seed", seed, 0, 2**64 - 1)
        if backend != "auto":
            find_backend(backend)
        if start is not None and not isinstance(start, Splitting):
            raise ValueError(f"start: expected a Splitting, got {type(start).__name__}")
        if callback is not None and not callable(callback):
            raise ValueError(f"callback: expected a callable, got {type(callback).__name__}")
        if time_limit != 0:  # which asks for one sweep
            check_seconds(time_limit)
        found = find_loss(loss)
        targets, classes = encode(y, _samples(X), found)
        if start is None:
            training = Training(self, X, targets, found, classes, batch, seed)
            history: list[Sweep] = []
        else:
            training = start._training.again(self, X, targets, found, classes, len(start.history))
            history = list(start.history)
        earlier = history[-1].seconds if history else 0.0
        done, stopped = 0, None
        try:
            while stopped is None:
                sweep = training.sweep(len(history) >= warm_up, backend)
                seconds = earlier + time.perf_counter() - begun
                history.append(replace(sweep, seconds=seconds))
                done += 1
                if callback is not None:
                    callback(history[-1])
                if done == sweeps:
                    stopped = SplittingStopReason.SWEEPS
                elif time.perf_counter() - begun > time_limit:
                    stopped = SplittingStopReason.TIME
        except KeyboardInterrupt:
            if not history:
                raise
            stopped = SplittingStopReason.INTERRUPTED
        return Splitting(training.network(), history, stopped, training)


def _samples(X: ArrayLike) -> int:
    try:
        shape = np.shape(X)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"X: expected numbers of shape (n, T, d): {error}") from error
    if len(shape) != 3:
        raise ValueError(f"X: expected sequences of shape (n, T, d), got {shape}")
    if 0 in shape:
        raise ValueError(f"X: expected at least one entry, got shape {shape}")
    return int(shape[0])
