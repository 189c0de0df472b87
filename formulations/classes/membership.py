"""Check that a dictionary belongs to a network class.

The record of the class that made the dictionary decides. Given hidden weights (witnesses) have no
record; for them the constants of their layers decide. The last layer may have another width than
that of the class: a final neuron without recurrent input from others can be copied.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...dictionaries import Layer, Readout, SampledWitnesses, SpikeDictionary
from ...dictionaries.class_record import check_layers, layers_of
from ...networks.copies import hears_others


def check_member(
    name: str,
    dictionary: Any,
    hidden: tuple[int, ...],
    readout: Readout,
    refuses: Callable[[Layer], str],
) -> None:
    """Raise an error, by ``name``, unless the dictionary belongs to the class.

    ``refuses(layer)`` describes the neurons of the class if the layer has others, else it
    returns "".

    Raises
    ------
    TypeError
        If ``dictionary`` is not a SpikeDictionary.
    ValueError
        If the dictionary has another readout, other layers, or neurons of another kind.
    """
    if not isinstance(dictionary, SpikeDictionary):
        raise TypeError(f"{name}: expected a SpikeDictionary, got {type(dictionary).__name__}")
    if dictionary.readout != readout:
        raise ValueError(
            f"{name}: expected a dictionary of readout {readout!r}, got {dictionary.readout!r}"
        )
    record = dictionary.record
    check_layers(name, _used(dictionary) if record is None else [record.layers()], refuses)
    widths = tuple(dictionary.witnesses.hidden)
    apart = widths[-1] != hidden[-1] and some_hear_others(dictionary)
    if widths[:-1] != hidden[:-1] or apart:
        raise ValueError(f"{name}: expected layers of {hidden} neurons, got {widths}")


def some_hear_others(dictionary: SpikeDictionary) -> bool:
    """Tell whether a final neuron has recurrent input from others and cannot be copied."""
    if dictionary.record is not None:
        return dictionary.record.hears_others
    bank = dictionary.witnesses
    if isinstance(bank, SampledWitnesses):
        return bank.recurrent and bank.hidden[-1] > 1
    return any(hears_others(final) for *_, final in _used(dictionary))


def _used(dictionary: SpikeDictionary) -> Any:
    return layers_of(dictionary.witnesses, np.unique(dictionary.origin[:, 0]).tolist())
