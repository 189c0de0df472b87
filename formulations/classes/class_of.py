"""class_of: rebuild the network class from the record of a dictionary."""

from dataclasses import fields

from ...dictionaries import ClassRecord
from .feedforward import Feedforward
from .lif import LIF
from .network_class import NetworkClass
from .recurrent import Recurrent

_CLASSES: dict[str, type[LIF | Feedforward | Recurrent]] = {
    kind.kind: kind for kind in (LIF, Feedforward, Recurrent)
}


def class_of(record: ClassRecord) -> NetworkClass:
    """Return the network class of a dictionary's record.

    Parameters
    ----------
    record : ClassRecord
        ``dictionary.record``.

    Raises
    ------
    TypeError
        If it is not a record. Dictionaries of given networks, or made without a class, have none.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.first_last_xor(steps=4)
    >>> atoms = bd.complete_lif(X, leak="9/10")
    >>> bd.class_of(atoms.record)
    LIF(hidden=(1,), leak=0.9, threshold=1.0, reset='delayed', readout='last', p=2.0, \
gauge='subnetwork')
    """
    if not isinstance(record, ClassRecord):
        raise TypeError(
            f"record: expected the ClassRecord of a dictionary, got {type(record).__name__}; "
            "make the dictionary by a network class, as one of given networks has no record"
        )
    found = _CLASSES[record.kind]
    return found(**{part.name: getattr(record, part.name) for part in fields(found) if part.init})
