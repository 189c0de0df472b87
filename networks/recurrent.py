"""RecurrentNetwork: K parallel subnetworks of recurrent threshold units."""

from ..dictionaries import Layer
from .network import Network


class RecurrentNetwork(Network):
    """K parallel recurrent threshold subnetworks with a linear readout (Udupi et al. 2026).

    A unit is 1 at step t if bias + x[t] W + s[t-1] R >= threshold, else 0, with
    s[0] = 0. A layer without R omits that term. :class:`Network` documents the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> import bidual as bd
    >>> from bidual.networks import RecurrentNetwork
    >>> unit = bd.Layer.build([[1.0]], 0.0, 1.0, 0.0, recurrent=[[1.0]])  # once on, stays on
    >>> latch = RecurrentNetwork(
    ...     [[unit]], 1, (1,), np.ones((1, 1, 1)), np.zeros(1), "every", None
    ... )
    >>> latch.predict([[[0], [1], [0], [0]]])
    array([[0., 1., 1., 1.]])
    """

    @staticmethod
    def refuses(layer: Layer) -> str:
        """Implement :meth:`Network.refuses`."""
        return "" if layer.forgets else "threshold units (leak and reset 0)"
