"""readout_program: the convex program of training the readout of a network that is there."""

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
    """State the training of a network's readout, all else fixed, as a convex program.

    Its design is what the readout weighs, ``network.traces(X)``: 0 and 1, whose
    certificates can be exact, or where the readout leaks real numbers.

    Parameters
    ----------
    network : Network
        However it was trained: by ADMM splitting, by surrogate gradients, or not at all.
    X : array
        n inputs as the network takes them.
    y : (n,) or (n, C) array
    loss, strength, row_weights, intercept, penalty
        As of :class:`ConvexProgram`.

    Raises
    ------
    ValueError
        If the network is read at every step, X or y do not fit, or as :class:`ConvexProgram`.
    TypeError
        If it is no network.

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
            f"network: expected one that is read at the last step, got {network!r}; at every step "
            "LIF(readout='every') states the program of its witnesses"
        )
    found = find_loss(loss)
    traces = network.traces(X)
    targets, classes = encode(y, len(traces), found)
    design = DenseMatrix(traces) if network.readout_leak > 0 else BinaryMatrix.from_dense(traces)
    program = ConvexProgram(
        design, targets, found, strength, row_weights, intercept, classes, penalty
    )
    return program.stated_by(network)
