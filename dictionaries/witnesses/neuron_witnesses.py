"""NeuronWitnesses: one layer whose neurons are subnetworks of their own."""

from dataclasses import dataclass

from ..neuron import Layer


@dataclass(frozen=True, eq=False)
class NeuronWitnesses:
    """Bank of K subnetworks of one neuron each, stored as one layer of width K.

    Parameters
    ----------
    layer : Layer
        A layer without recurrent weights.

    Raises
    ------
    ValueError
        If the layer is recurrent.

    Examples
    --------
    >>> from bidual.dictionaries import Layer, NeuronWitnesses
    >>> bank = NeuronWitnesses(Layer.build([[1.0, 2.0, 3.0]], leak=0.9, threshold=1.0))
    >>> bank.subnetworks, bank.hidden, bank.layers(2)[0].weights.item()
    (3, (1,), 3.0)
    """

    layer: Layer
    hidden = (1,)

    def __post_init__(self) -> None:
        if self.layer.recurrent is not None:
            raise ValueError(
                "layer: expected a layer without recurrent weights; use GivenWitnesses for others"
            )

    def __repr__(self) -> str:
        return f"NeuronWitnesses(inputs={self.inputs}, subnetworks={self.subnetworks})"

    @property
    def inputs(self) -> int:
        """Number d of inputs."""
        return self.layer.fan_in

    @property
    def subnetworks(self) -> int:
        """Number K of subnetworks."""
        return self.layer.width

    def layers(self, index: int) -> list[Layer]:
        """Return the layer of subnetwork ``index``; raise IndexError unless 0 <= index < K."""
        if not 0 <= index < self.subnetworks:
            raise IndexError(f"index: expected 0 to {self.subnetworks - 1}, got {index}")
        return [self.layer.take([index])]
