"""readout_program: the convex program of training an existing network's readout."""

from numpy.typing import ArrayLike

from ..dictionaries import BinaryMatrix, DenseMatrix
from ..networks import Network
from .losses import Loss, find_loss
from .penalties import Penalty
from .program import ConvexProgram
from .targets import encode


def readout_program(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Loss = "squared",
    *,
    strength: float = 0.0,
    row_weights: ArrayLike | None = None,
    intercept: bool = False,
    penalty: str | Penalty = "l1",
) -> ConvexProgram:
    """Build the convex program of an existing network's readout, with all else fixed.

    The design is the input of the readout, ``network.traces(X)``. Without a readout leak it is
    0/1, so that certificates can be exact; with a leak it is real.

    Parameters
    ----------
    network : Network
        A network from any training: ADMM splitting, surrogate gradients, or none.
    X : array
        n inputs in the form that the network takes.
    y : (n,) or (n, C) array
    loss, strength, row_weights, intercept, penalty
        As for :class:`ConvexProgram`.

    Raises
    ------
    ValueError
        If the network has readout "every", if X or y has another shape, or as
        :class:`ConvexProgram`.
    TypeError
        If ``network`` is not a Network.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.digits()
    >>> splitting = bd.ADMMSplitting(hidden=(32,))
    >>> network = splitting.fit(X[:100], y[:100], sweeps=5).network
    >>> program = bd.readout_program(network, X[:100], y[:100], strength=0.05, intercept=True)
    >>> solution = bd.solve(program)
    >>> solution.status.name
    'CERTIFIED'
    >>> better = solution.network()  # the network with the new readout
    """
    if not isinstance(network, Network):
        raise TypeError(f"network: expected a Network, got {type(network).__name__}")
    if network.readout != "last":
        raise ValueError(
            f"network: expected one with readout 'last', got {network!r}; for every step use the "
            "program of LIF(readout='every')"
        )
    found = find_loss(loss)
    traces = network.traces(X)
    targets, classes = encode(y, len(traces), found)
    design = DenseMatrix(traces) if network.readout_leak > 0 else BinaryMatrix.from_dense(traces)
    program = ConvexProgram(
        design, targets, found, strength, row_weights, intercept, classes, penalty
    )
    return program.stated_by(network)
