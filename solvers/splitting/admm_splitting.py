"""ADMMSplitting: train all layers of a spiking network by block minimisation.

``formulations/splitting.py`` states the problem. A sweep visits the layers from the input up.
In each layer it minimises over weights, spikes and membranes in turn, with all other blocks
fixed. The problem is not convex and its optimum has no certificate. Exact block minimisation
never raises the augmented Lagrangian. ``readout_program`` then solves the readout of the
trained network to its optimum, with a certificate.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from ...dictionaries.validation import array_shape, check_seconds, check_whole, is_number
from ...formulations.losses import Loss, find_loss
from ...formulations.targets import encode
from ...networks import SpikingNetwork
from ..backend import Backend
from ..clock import now
from ..registry import find_backend
from .settings import SplittingSettings
from .sweeps import Sweep, Training


class SplittingStopReason(Enum):
    """Reason why training ended."""

    SWEEPS = "budget: out of sweeps"
    TIME = "budget: out of time"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, eq=False)
class Splitting:
    """Network trained by ADMM splitting, with its training history.

    Attributes
    ----------
    network : SpikingNetwork
        One subnetwork. Its output has the leak of its neurons.
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

    Neurons fire above the threshold. A spike subtracts the threshold from the membrane of the
    next step. The output is a leaky integrator read at the last step. Layers have no bias; use
    a constant input instead.

    Parameters
    ----------
    hidden : sequence of int
        Width of each hidden layer.
    leak : float
        Fraction of a membrane that remains from step to step, in [0, 1].
    threshold : float
        Firing threshold, above 0.
    rho : float
        Penalty of the errors of the membranes' equations.
    spike_rho : float
        Penalty of the distance between relaxed spikes and those of the membranes; beta in
        the paper.
    weight_decay : float
        Penalty of all weights, >= 0; 0 gives the least-squares weights of smallest norm.
    weight_norm : {"l2", "l1"}
        "l2" penalises half the squared norm. "l1" penalises the l1 norm; any backend that
        supports dense designs solves for the weights.
    initial : {"simulated", "uniform"}
        "simulated" starts from a network that satisfies all equations: a random first
        layer, upper layers that copy the spikes below, a fitted readout. "uniform" is the
        paper's start: zero weights, membranes and spikes uniform in [0, 1).
    order : {"gauss-seidel", "jacobi"}
        "gauss-seidel" updates membranes step after step. "jacobi" updates all steps from
        the previous sweep's membranes, which can raise the Lagrangian.
    spikes : {"clipped", "exact"}
        "clipped" takes the paper's ridge solution and clips it to [0, 1], which can raise
        the Lagrangian. "exact" takes the minimiser over [0, 1].
    adaptive : bool
        Whether to double or halve a layer's rho and spike_rho if its primal and dual
        residuals differ by a factor of ten.
    acceleration : int
        Number of past sweeps in Anderson acceleration, 0 for none. A step is accepted
        only if it does not raise the Lagrangian.

    Raises
    ------
    ValueError
        If a setting is out of range.

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

        Training needs about 4 T floats per neuron and sample, and the inputs. Half of the floats
        stay with the result; acceleration adds 2 acceleration + 3 times this half. With several
        batches, memory holds one batch at a time. Temporary files hold the state of all batches;
        they are deleted with the result. Keep only ``network`` of the result to free them.

        Parameters
        ----------
        X : (n, T, d) array
            With several batches, training reads it several times per sweep.
        y : array
            Labels or numbers, as in a program.
        loss : str or Loss
            Loss of the outputs at the last step, summed over samples.
        sweeps : int
            Number of sweeps, in addition to those of ``start``.
        warm_up : int
            Number of sweeps before the first update of the multiplier.
        batch : int, optional
            Samples per batch, default all. The batch size does not change the sweeps. With
            ``start``, its batch size is used.
        seed : int
            Seed of the initial state.
        backend : str
            A name in ``bd.BACKENDS``. The backend solves for the weights under "l1" to a
            relative gap of 1e-6. Training keeps the previous weights if an answer misses this
            gap and is worse.
        time_limit : float, seconds
            Checked after each sweep.
        start : Splitting, optional
            Result to continue, in its own memory, with the same X and y. ``seed`` is unused.
        callback : callable, optional
            Called with each Sweep. An exception other than KeyboardInterrupt ends training
            without a result.

        Returns
        -------
        Splitting
            After Ctrl-C, the state reached so far. It may include block updates after the last
            sweep in the history.

        Raises
        ------
        ValueError
            If an argument is out of range, if a program would refuse X or y, or if ``start``
            has other data or settings or has already been continued.
        """
        begun = now()
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
        if not (is_number(time_limit) and time_limit == 0):  # 0 means one sweep
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
                seconds = earlier + now() - begun
                history.append(replace(sweep, seconds=seconds))
                done += 1
                if callback is not None:
                    callback(history[-1])
                if done == sweeps:
                    stopped = SplittingStopReason.SWEEPS
                elif now() - begun > time_limit:
                    stopped = SplittingStopReason.TIME
        except KeyboardInterrupt:
            if not history:
                raise
            stopped = SplittingStopReason.INTERRUPTED
        return Splitting(training.network(), history, stopped, training)


def _samples(X: ArrayLike) -> int:
    shape = array_shape("X", X)
    if len(shape) != 3:
        raise ValueError(f"X: expected sequences of shape (n, T, d), got {shape}")
    if 0 in shape:
        raise ValueError(f"X: expected at least one entry, got shape {shape}")
    return int(shape[0])
