"""SpikingNetwork: K parallel subnetworks of leaky integrate-and-fire layers."""

from .network import Network


class SpikingNetwork(Network):
    """K parallel LIF subnetworks with a linear readout of their final spikes.

    :class:`Network` documents the attributes. Layers may have any constants and resets,
    with or without recurrence; see ``dictionaries/neuron.py``.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.digits()
    >>> lif = bd.LIF(hidden=(16, 8), leak=0.9, threshold=1.0)
    >>> atoms = lif.sample(X[:50], subnetworks=2, seed=0)
    >>> solution = bd.solve(lif.program(atoms, y[:50], beta=0.1))
    >>> network = solution.network()
    >>> [rate.shape[1] for rate in network.rates(X[:50])]
    [16, 8]
    """
