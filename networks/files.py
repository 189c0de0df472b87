"""Network files: a packed file (``dictionaries/files/packed_file.py``) without columns.

The head of the file holds all data, under SHA-256. Reading executes no code. Metadata:

    {"contents": "network", "version": 3, "class": "SpikingNetwork", "inputs": d,
     "hidden": [...], "readout": "last" or "every", "readout_leak": number,
     "classes": null or {"dtype": as NumPy writes it, "T" for strings of any length,
                         "labels": [...], bytes as Latin-1},
     "witnesses": null where K = 0, else the record of ``dictionaries/witnesses/records.py``,
     "input_grid": null or the record of ``dictionaries/input_grid.py``}

Arrays: ``readout_weights``, ``intercept``, and the arrays of the record, with the prefix
``witnesses.`` before their names. A file of version 2 has no ``input_grid``: its network has the
default grid. Networks of this grid, or of no subnetworks, are written so. A reader refuses other
versions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import GivenWitnesses, InputGrid
from ..dictionaries.files.packed_file import open_packed
from ..dictionaries.files.packed_head import Path, words_for
from ..dictionaries.files.packed_writer import write_packed
from ..dictionaries.validation import file_path
from ..dictionaries.witnesses.records import from_record, to_record
from ..kernels.text import printable
from .labels import checked_labels

_VERSION = 3
_OF_DEFAULT_GRID = 2  # version


def write_network(path: Path, kind: str, fields: dict[str, Any]) -> None:
    """Write the fields of a network of class ``kind`` to a file, atomically."""
    record: dict[str, Any] | None = None
    carried: dict[str, NDArray[np.float64]] = {}
    if fields["subnetworks"]:
        record, arrays = to_record(GivenWitnesses(fields["subnetworks"]))
        carried = {f"witnesses.{name}": array for name, array in arrays.items()}
    grid: InputGrid | None = fields["grid"]
    plain = record is None or (grid is not None and grid.is_default)
    metadata = {
        "contents": "network",
        "version": _OF_DEFAULT_GRID if plain else _VERSION,
        "class": kind,
        "inputs": int(fields["inputs"]),
        "hidden": list(fields["hidden"]),
        "readout": fields["readout"],
        "readout_leak": float(fields["readout_leak"]),
        "classes": None if fields["classes"] is None else _labels_told(fields["classes"]),
        "witnesses": record,
    }
    if not plain:
        metadata["input_grid"] = None if grid is None else grid.to_json()
    carried |= {"readout_weights": fields["readout_weights"], "intercept": fields["intercept"]}
    no_columns = np.empty((0, words_for(0)), dtype=np.uint64)
    write_packed(path, no_columns, 0, metadata, arrays=carried)


def read_network(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a network file's class name and fields; raise ValueError unless it is intact."""
    found = open_packed(path)
    told, name = found.metadata, printable(file_path(path))
    if told.get("contents") != "network":
        raise ValueError(f"{name}: expected a network, got {told.get('contents')!r:.200}")
    version = told.get("version")
    if version not in (_OF_DEFAULT_GRID, _VERSION):
        raise ValueError(
            f"{name}: expected a network file of version 2 or 3, got version "
            f"{version!r:.200}; read it with the version of bidual that wrote it"
        )
    arrays = {key: np.array(array) for key, array in found.arrays.items()}  # copies, not maps
    kind = str(told.get("class"))
    try:
        subnetworks = _subnetworks(told["witnesses"], arrays)
        return kind, {
            "subnetworks": subnetworks,
            "inputs": told["inputs"],
            "hidden": told["hidden"],
            "readout_weights": arrays["readout_weights"],
            "intercept": arrays["intercept"],
            "readout": told["readout"],
            "readout_leak": told["readout_leak"],
            "classes": None if told["classes"] is None else _labels_read(told["classes"]),
            "grid": _grid_read(told, version, subnetworks),
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{name}: expected a {printable(kind):.200}: {printable(error):.1000}"
        ) from error


def _grid_read(told: dict[str, Any], version: int, subnetworks: Any) -> InputGrid | None:
    if version == _OF_DEFAULT_GRID:
        return InputGrid.default(subnetworks[0][0].fan_in) if subnetworks else None
    return None if told["input_grid"] is None else InputGrid.from_json(told["input_grid"])


def _subnetworks(record: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    if record is None:
        return []
    parts = {
        name.removeprefix("witnesses."): array
        for name, array in arrays.items()
        if name.startswith("witnesses.")
    }
    bank = from_record(record, parts)
    if not isinstance(bank, GivenWitnesses):  # no layers that no bytes stand for
        raise ValueError(f"witnesses: expected given ones, got {type(bank).__name__}")
    return [bank.layers(k) for k in range(bank.subnetworks)]


def _labels_told(classes: NDArray[Any]) -> dict[str, Any]:
    """Describe the labels of a network, which :func:`checked_labels` has checked."""
    kind, labels = classes.dtype.kind, classes.tolist()
    if kind == "S":
        labels = [str(label, "latin-1") for label in labels]
    return {"dtype": "T" if kind == "T" else classes.dtype.str, "labels": labels}


def _labels_read(told: Any) -> NDArray[np.generic]:
    """Return labels; raise ValueError unless :func:`_labels_told` would write ``told``."""
    dtype, given = np.dtype(told["dtype"]), told["labels"]
    if dtype.kind == "S":
        given = [bytes(label, "latin-1") for label in given]
    labels: NDArray[np.generic] = checked_labels(np.array(given, dtype=dtype), len(given))
    if _labels_told(labels) != told:
        raise ValueError(f"classes: expected labels and their dtype, got {told!r:.200}")
    return labels
