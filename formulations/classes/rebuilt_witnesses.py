"""RebuiltWitnesses: the hidden weights of a dictionary as a rebuilt network takes them."""

from dataclasses import dataclass, replace

from ...dictionaries import Layer, Witnesses


@dataclass(frozen=True, eq=False)
class RebuiltWitnesses:
    """View of a bank for rebuilding: the weights of a column of ones become biases.

    Attributes
    ----------
    bank : Witnesses
    hidden : tuple of int
        Widths of the class; the last is the number of copies of a neuron in the network.
    reads_ones : bool
        Whether the last input is a column of ones. Its weights become the first layer's biases.
    unit : int
        The first layer of the bank takes inputs divided by 2**unit, that of the view does not.
    """

    bank: Witnesses
    hidden: tuple[int, ...]
    reads_ones: bool = False
    unit: int = 0

    @property
    def inputs(self) -> int:
        """Inputs d, without the ones."""
        return self.bank.inputs - self.reads_ones

    @property
    def subnetworks(self) -> int:
        """K."""
        return self.bank.subnetworks

    def layers(self, index: int) -> list[Layer]:
        """Return the layers of subnetwork ``index``; the last has the width of the bank."""
        first, *others = self.bank.layers(index)
        if self.reads_ones:
            bias = first.bias + first.weights[-1]
            first = replace(first, weights=first.weights[:-1], bias=bias)
        if self.unit:  # a power of two changes no bit of a current
            first = replace(first, weights=first.weights * 2.0**-self.unit)
        return [first, *others]
