"""ThresholdNetwork: K parallel feedforward subnetworks of threshold units."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import Layer, SpikeDictionary
from ..dictionaries.validation import real_array
from .network import Network


class ThresholdNetwork(Network):
    """K parallel feedforward threshold subnetworks with a linear readout (Ergen et al. 2023).

    A unit is 1 if bias + x W >= threshold, else 0. Samples have no steps: X is (n, d)
    or (n, 1, d). Spikes and membranes (the pre-activations) are (n, width). Plots
    take samples X (n, d) and show the samples along the horizontal axis. The readout
    is "last". :class:`Network` documents the attributes.

    Examples
    --------
    >>> import numpy as np
    >>> import bidual as bd
    >>> from bidual.networks import ThresholdNetwork
    >>> unit = bd.Layer.build([[1.0], [1.0]], leak=0.0, threshold=1.5, reset=0.0)
    >>> both = ThresholdNetwork([[unit]], 2, (1,), np.ones((1, 1, 1)), np.zeros(1), "last", None)
    >>> both.predict([[0, 0], [0, 1], [1, 0], [1, 1]])
    array([0., 0., 0., 1.])
    """

    _across = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.readout != "last":
            raise ValueError(
                f"readout: expected 'last' in a network without steps, got {self.readout!r}"
            )

    @classmethod
    def rebuild(
        cls,
        dictionary: SpikeDictionary,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        classes: NDArray[np.generic] | None = None,
    ) -> "ThresholdNetwork":
        """Run :meth:`Network.rebuild` on a dictionary of sequences of one step."""
        if dictionary.steps != 1:
            raise ValueError(
                f"dictionary: expected sequences of one step, got {dictionary.steps} steps"
            )
        return super().rebuild(dictionary, weights, intercept, classes)

    def __repr__(self) -> str:
        return (
            f"ThresholdNetwork({len(self.subnetworks)} subnetworks {self.hidden}, "
            f"{self.intercept.size} outputs)"
        )

    @staticmethod
    def refuses(layer: Layer) -> str:
        """Implement :meth:`Network.refuses`."""
        if layer.forgets and layer.recurrent is None:
            return ""
        return "threshold units (leak and reset 0) without recurrence"

    def _sequences(self, X: ArrayLike) -> NDArray[np.float64]:
        array = real_array("X", X)
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[1] != 1):
            raise ValueError(f"X: expected samples of shape (n, d) or (n, 1, d), got {array.shape}")
        return super()._sequences(array if array.ndim == 3 else array[:, None])

    def _shown(self, array: NDArray[Any]) -> NDArray[Any]:
        return array[:, 0]

    def _drawn(self, x: ArrayLike) -> NDArray[np.float64]:
        return self._sequences(x)
