"""Whether a dictionary is one of a network class, as far as its witnesses tell.

They tell the widths of layers and the constants of neurons. The last layer may have another
width than the class: of a neuron that hears no other, copies are as many as one likes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..dictionaries import Layer, NeuronWitnesses, Readout, SampledWitnesses, SpikeDictionary
from ..networks.network import hears_others


def check_member(
    dictionary: Any, hidden: tuple[int, ...], readout: Readout, refuses: Callable[[Layer], str]
) -> None:
    """Refuse what is no dictionary of a class; ``refuses`` tells what neurons it expects, if not.

    Raises
    ------
    TypeError
        If it is no dictionary at all.
    ValueError
        If it has another readout, other layers, or neurons of another kind.
    """
    if not isinstance(dictionary, SpikeDictionary):
        raise TypeError(f"dictionary: expected a SpikeDictionary, got {type(dictionary).__name__}")
    if dictionary.readout != readout:
        raise ValueError(
            f"dictionary: expected one rolled out for readout {readout!r}, "
            f"got {dictionary.readout!r}"
        )
    for layers in _neurons(dictionary):
        for depth, layer in enumerate(layers):
            if reason := refuses(layer):
                raise ValueError(
                    f"dictionary: expected {reason}, got {_told(layer)} in layer {depth + 1}"
                )
    widths = tuple(dictionary.witnesses.hidden)
    apart = widths[-1] != hidden[-1] and some_hear_others(dictionary)
    if widths[:-1] != hidden[:-1] or apart:
        raise ValueError(f"dictionary: expected layers of {hidden} neurons, got {widths}")


def some_hear_others(dictionary: SpikeDictionary) -> bool:
    """Whether some final neuron hears others, so that copies of it are no layer."""
    bank = dictionary.witnesses
    if isinstance(bank, SampledWitnesses):
        return bank.recurrent and bank.hidden[-1] > 1
    return any(hears_others(final) for *_, final in _neurons(dictionary))


def _neurons(dictionary: SpikeDictionary) -> Iterator[list[Layer]]:
    """Layers with all kinds of neurons that the witnesses of atoms have.

    No weights are drawn for it: those of sampled neurons say nothing.
    """
    bank = dictionary.witnesses
    if isinstance(bank, SampledWitnesses):
        kind = bank.neuron
        ends = Layer.build(
            np.zeros((1, 2)),
            np.resize(kind.leak, 2),
            np.resize(kind.threshold, 2),
            kind.reset,
            recurrent=np.ones((2, 2)) if bank.recurrent else None,
        )
        yield [ends] * len(bank.hidden)
    elif isinstance(bank, NeuronWitnesses):
        yield [bank.layer]
    else:
        for k in np.unique(dictionary.origin[:, 0]).tolist():
            yield bank.layers(k)


def _told(layer: Layer) -> str:
    """The constants of a layer in words."""
    parts = []
    for name in ("leak", "threshold", "reset"):
        ends = dict.fromkeys(f"{end:.9g}" for end in np.sort(getattr(layer, name))[[0, -1]])
        parts.append(f"{name} {' to '.join(ends)}")
    parts += ["a hard reset"] if layer.hard else []
    parts += ["recurrent weights"] if layer.recurrent is not None else []
    return ", ".join(parts)
