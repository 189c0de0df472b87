"""Conversion of banks of witnesses to a JSON object and arrays, which files store, and back.

If a layer of given witnesses is recurrent in some subnetworks alone, the others store zeros, and
the record tells them apart by ``recurrent``, a list of flags per subnetwork.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.packed_head import to_json
from ..neuron import Layer, Neuron
from .given import GivenWitnesses
from .neuron_witnesses import NeuronWitnesses
from .sampled import SampledWitnesses, Witnesses

_FLAGS = ("hard", "strict")
_PARTS = tuple(field.name for field in fields(Layer) if field.name not in _FLAGS)

Arrays = dict[str, NDArray[np.float64]]


def to_record(witnesses: Witnesses) -> tuple[dict[str, Any], Arrays]:
    """Convert a bank to a JSON object and named arrays.

    Raises
    ------
    TypeError
        If the bank is not of one of bidual's classes.
    """
    if isinstance(witnesses, SampledWitnesses):
        return {"kind": "sampled", **asdict(witnesses)}, {}
    if isinstance(witnesses, GivenWitnesses):
        banks = [witnesses.layers(k) for k in range(witnesses.subnetworks)]
        arrays: Arrays = {}
        for depth, width in enumerate(witnesses.hidden):
            for part in _PARTS:
                found = [getattr(layers[depth], part) for layers in banks]
                if any(array is not None for array in found):
                    none = np.zeros((width, width))  # of a layer that is not recurrent
                    found = [none if array is None else array for array in found]
                    arrays[f"{depth}.{part}"] = np.array(found)
        flags = {
            flag: [[getattr(layer, flag) for layer in layers] for layers in banks]
            for flag in _FLAGS
        }
        recurrent = [[layer.recurrent is not None for layer in layers] for layers in banks]
        if any(layers != recurrent[0] for layers in recurrent):
            flags["recurrent"] = recurrent
        return {"kind": "given", "depth": len(witnesses.hidden), **flags}, arrays
    if isinstance(witnesses, NeuronWitnesses):
        layer = witnesses.layer
        arrays = {part: getattr(layer, part) for part in _PARTS if part != "recurrent"}
        return {"kind": "neurons", **{flag: getattr(layer, flag) for flag in _FLAGS}}, arrays
    raise TypeError(
        f"witnesses: expected a bank of bidual's own classes, got {type(witnesses).__name__}, "
        "which a file can't describe; convert it to GivenWitnesses"
    )


def from_record(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Witnesses:
    """Read a bank from a result of :func:`to_record`; raise ValueError for anything else."""
    try:
        bank = _bank(record, arrays)
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"witnesses: expected the record of a bank: {error!r:.200}") from error
    again, expected = to_record(bank)
    if expected.keys() != arrays.keys():
        raise ValueError(
            f"witnesses: expected arrays {sorted(expected)}, got {sorted(arrays)!r:.1000}"
        )
    if to_json(again) != to_json(record):  # not 1 for true, or numbers of another type
        raise ValueError(f"witnesses: expected the record {again!r:.500}, got {record!r:.500}")
    return bank


def _bank(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Witnesses:
    if record["kind"] == "sampled":
        options = {name: value for name, value in record.items() if name != "kind"}
        return SampledWitnesses(**options | {"neuron": _neuron(record["neuron"])})
    if record["kind"] == "neurons":
        parts: dict[str, Any] = {**arrays, **{flag: record[flag] for flag in _FLAGS}}
        return NeuronWitnesses(Layer(**parts))
    if record["kind"] == "given":
        return GivenWitnesses(
            [
                [_layer(arrays, depth, k, record) for depth in range(record["depth"])]
                for k in range(len(arrays["0.weights"]))
            ]
        )
    raise ValueError(
        f"witnesses: expected the record of a known kind of bank, got {record['kind']!r:.80}"
    )


def _neuron(record: Mapping[str, Any]) -> Neuron:
    ranges = {
        name: tuple(record[name]) if isinstance(record[name], list) else record[name]
        for name in ("leak", "threshold")
    }
    return Neuron(**dict(record) | ranges)


def _layer(
    arrays: Mapping[str, NDArray[Any]], depth: int, k: int, record: Mapping[str, Any]
) -> Layer:
    parts: dict[str, Any] = {flag: record[flag][k][depth] for flag in _FLAGS}
    for part in _PARTS:
        array = arrays.get(f"{depth}.{part}")
        parts[part] = None if array is None else array[k]
    if "recurrent" in record and not record["recurrent"][k][depth]:
        if parts["recurrent"] is not None and parts["recurrent"].any():
            raise ValueError(
                f"witnesses: expected zeros as recurrent weights of layer {depth + 1} in "
                f"subnetwork {k}, which is not recurrent"
            )
        parts["recurrent"] = None
    return Layer(**parts)
