"""SpikeDictionary: distinct atoms with the witness of each."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .class_record import ClassRecord
from .class_record import Readout as Readout
from .files.packed_file import open_packed
from .files.packed_head import Path
from .files.packed_writer import PackedWriter, write_packed
from .live_line import LiveLine
from .matrix.binary_matrix import BinaryMatrix
from .matrix.operands import column_numbers
from .rollout import check_sequences, roll_columns
from .witnesses.records import from_record, to_record
from .witnesses.sampled import Witnesses

_CHUNK_BYTES = 2**25


@dataclass(frozen=True, eq=False)
class SpikeDictionary:
    """Atoms D, each with the neuron that fires it (its witness).

    Attributes
    ----------
    atoms : BinaryMatrix
        D, shape (N, P): distinct columns, none all zero.
    witnesses : Witnesses
        Bank that generates the atoms.
    origin : (P, 2) int array
        Subnetwork and final-layer neuron that generate each atom.
    readout : {"last", "every"}
        Whether rows are samples at the last step or at every step.
    samples, steps : int
        Number n of sequences and number T of their steps.
    record : ClassRecord, optional
        Network class of the dictionary, if a class made it.
    sequences : (n, T, d) array, optional
        X of a complete dictionary; proofs of completeness use it.
    """

    atoms: BinaryMatrix
    witnesses: Witnesses
    origin: NDArray[np.int64]
    readout: Readout
    samples: int
    steps: int
    record: ClassRecord | None = None
    sequences: NDArray[np.float64] | None = None

    @classmethod
    def sample(
        cls,
        X: ArrayLike,
        witnesses: Witnesses,
        readout: Readout = "last",
        record: ClassRecord | None = None,
    ) -> Self:
        """Roll every subnetwork of a bank out over ``X`` (n, T, d) and keep distinct atoms.

        If several neurons fire the same atom, the dictionary keeps it once, with the first
        neuron. The memory holds the packed atoms and one subnetwork's spikes. ``record`` is
        the record of the subnetworks' class, ``network_class.record()``.

        Raises
        ------
        ValueError
            If :func:`check_sequences` refuses X, ``readout`` is another string, the bank
            does not belong to the class of ``record``, ``record`` is complete, or no
            final-layer neuron fires.
        """
        sequences = check_readout(X, witnesses, readout)
        _check_record(record, witnesses, readout)
        n, steps, _ = sequences.shape
        found = list(distinct_atoms(sequences, witnesses, readout, DistinctColumns()))
        rows = n * steps if readout == "every" else n
        atoms = BinaryMatrix(np.concatenate([words for words, _ in found]), rows)
        if atoms.shape[1] == 0:
            raise ValueError(NOTHING_FIRES)
        origin = np.concatenate([origins for _, origins in found])
        return cls(atoms, witnesses, origin, readout, n, steps, record)

    @classmethod
    def build(
        cls,
        path: Path,
        X: ArrayLike,
        witnesses: Witnesses,
        readout: Readout = "last",
        report: Callable[[int, int, int], None] | None = None,
        record: ClassRecord | None = None,
    ) -> Self:
        """Sample a dictionary into a file, chunk by chunk, and map it.

        The atoms are those of :meth:`sample`. The memory holds a chunk of 32 MB or one
        subnetwork, 16 bytes per atom to detect repeats, and X. If the build is interrupted
        or killed, call it again with the same arguments: it resumes, and the finished file
        has the same bytes. A finished build is loaded.

        Parameters
        ----------
        path : path
            Path of the file; during the build ``path.partial`` and ``path.journal`` are
            beside it.
        X, witnesses, readout, record
            Arguments of :meth:`sample`.
        report : callable, optional
            Function to call after each chunk with the number of subnetworks done, of all
            subnetworks, and of atoms found. By default a terminal shows them.

        Raises
        ------
        ValueError
            If :meth:`sample` would refuse the arguments, or if the path has another
            build or a damaged one.
        TypeError
            If a file can't describe the bank.
        OSError
            If the file can't be written; the finished chunks stay.
        """
        sequences = check_readout(X, witnesses, readout)
        _check_record(record, witnesses, readout)
        bank, arrays = to_record(witnesses)
        n, steps, _ = sequences.shape
        rows = n * steps if readout == "every" else n
        bytes_each = witnesses.hidden[-1] * 64 * -(-rows // 512)
        together = max(1, _CHUNK_BYTES // bytes_each)  # subnetworks per chunk
        metadata = {
            **_metadata(bank, readout, n, steps, record),
            "sequences_sha256": sha256(np.ascontiguousarray(sequences, "<f8").data).hexdigest(),
            "subnetworks_per_chunk": together,
        }
        line = LiveLine()
        with PackedWriter(path, rows, metadata, origin_width=2, arrays=arrays) as writer:
            if writer.finished:
                return cls.load(path)
            distinct = DistinctColumns()
            distinct.keep(writer.written())
            for start in range(writer.chunks_done * together, witnesses.subnetworks, together):
                stop = min(start + together, witnesses.subnetworks)
                found = list(distinct_atoms(sequences, witnesses, readout, distinct, start, stop))
                words, origins = (np.concatenate(parts) for parts in zip(*found, strict=True))
                writer.append(words, origins)
                done = (stop, witnesses.subnetworks, writer.n_columns)
                if report is None:
                    line.show("{} of {} subnetworks, {} atoms".format(*done))
                else:
                    report(*done)
            line.clear()
            if writer.n_columns == 0:
                writer.discard()
                raise ValueError(NOTHING_FIRES)
            writer.finish()
        return cls.load(path)

    def save(self, path: Path) -> None:
        """Write the dictionary to a file; replace an existing file.

        Raises
        ------
        ValueError
            If the path has an unfinished build, or a layer of the bank is recurrent in
            some subnetworks only.
        TypeError
            If a file can't describe the bank.
        OSError
            If the file can't be written; an existing file stays.
        """
        bank, arrays = to_record(self.witnesses)
        metadata = _metadata(bank, self.readout, self.samples, self.steps, self.record)
        complete = self.record is not None and self.record.complete
        if complete and self.sequences is not None:
            arrays = {**arrays, "sequences": self.sequences}
        write_packed(path, self.atoms.words, self.atoms.shape[0], metadata, self.origin, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map a file of :meth:`build` or :meth:`save`, after verifying all its checksums.

        Raises
        ------
        ValueError
            If the file is truncated or altered, or does not hold a dictionary.
        OSError
            If the file can't be read.
        """
        found = open_packed(path)
        told = found.metadata
        if told.get("contents") != "spike dictionary" or found.origins.shape[1] != 2:
            raise ValueError(f"{os.fspath(path)}: expected a spike dictionary, got {told!r:.200}")
        arrays = dict(found.arrays)
        sequences = arrays.pop("sequences", None)
        try:
            witnesses = from_record(told["witnesses"], arrays)
            shape = (told["readout"], told["samples"], told["steps"])
            record = None
            if "network_class" in told:
                record = ClassRecord.from_json(told["network_class"])
                record.check(witnesses, told["readout"])
            if sequences is not None:
                wanted = (told["samples"], told["steps"], witnesses.inputs)
                _check_sequences(sequences, wanted, record)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: expected a spike dictionary: {error}") from error
        atoms = BinaryMatrix(found.words, found.n_rows)
        return cls(atoms, witnesses, found.origins, *shape, record, sequences)

    def take(self, columns: ArrayLike) -> Self:
        """Return the dictionary of some atoms, chosen as by ``atoms.take``.

        The result does not count as complete.
        """
        record = self.record
        if record is not None and record.complete:
            record = replace(record, complete=False, exact_leak=None)
        chosen = column_numbers(columns, self.atoms.shape[1])
        atoms, origin = self.atoms.take(chosen), self.origin[chosen]
        return replace(self, atoms=atoms, origin=origin, record=record, sequences=None)

    def __repr__(self) -> str:
        rows, columns = self.atoms.shape
        return (
            f"SpikeDictionary({columns} atoms on {rows} rows, density {self.atoms.density:.3f}, "
            f"from {self.witnesses.subnetworks} subnetworks {self.witnesses.hidden})"
        )


def _check_record(record: ClassRecord | None, witnesses: Witnesses, readout: Readout) -> None:
    """Refuse a record of another class than the bank's, or of a complete dictionary."""
    if record is None:
        return
    if record.complete:
        raise ValueError(
            "record: expected complete=False for sampled subnetworks, which may lack atoms, got "
            "complete=True; pass network_class.record()"
        )
    record.check(witnesses, readout)


NOTHING_FIRES = (
    "X: no final-layer neuron fires on any sequence, so the dictionary is empty; "
    "raise the inputs or the number of subnetworks, or lower the threshold; "
    "bidual.health(X, witnesses) shows which layer is silent"
)


def _metadata(
    bank: dict[str, Any], readout: Readout, samples: int, steps: int, record: ClassRecord | None
) -> dict[str, Any]:
    """Return the metadata of a dictionary's file; they describe the class if it has a record."""
    metadata = {
        "contents": "spike dictionary",
        "witnesses": bank,
        "readout": readout,
        "samples": samples,
        "steps": steps,
    }
    return metadata if record is None else metadata | {"network_class": record.to_json()}


def _check_sequences(
    sequences: NDArray[Any], shape: tuple[int, int, int], record: ClassRecord | None
) -> None:
    """Raise ValueError unless a file holds the sequences of its complete dictionary."""
    if record is None or not record.complete:
        raise ValueError(
            f"sequences: expected none, except for complete dictionaries, got shape "
            f"{sequences.shape}"
        )
    if sequences.dtype != np.float64 or sequences.shape != shape:
        raise ValueError(
            f"sequences: expected float64 of shape {shape}, got {sequences.dtype} of shape "
            f"{sequences.shape}"
        )
    if not np.array_equal(check_sequences(sequences), sequences):
        raise ValueError("sequences: expected multiples of 2**-20, got other numbers")


class DistinctColumns:
    """Set of the columns seen so far, as 128-bit digests; it separates new columns from repeats."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def keep(self, words: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the indices of the new non-zero packed columns (P, n_words), in order."""
        kept = []
        for j in np.flatnonzero(words.any(axis=1)):
            digest = blake2b(words[j].tobytes(), digest_size=16).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                kept.append(j)
        return np.array(kept, dtype=np.intp)


def check_readout(X: ArrayLike, witnesses: Witnesses, readout: Readout) -> NDArray[np.float64]:
    """Return X checked by :func:`check_sequences`; raise ValueError for an unknown readout."""
    if readout not in get_args(Readout):
        raise ValueError(f"readout: expected 'last' or 'every', got {readout!r}")
    return check_sequences(X, witnesses.inputs)


def distinct_atoms(
    sequences: NDArray[np.float64],
    witnesses: Witnesses,
    readout: Readout,
    distinct: DistinctColumns,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Yield the new atoms of subnetworks ``start`` to ``stop``: packed columns and origins."""
    for k in range(start, witnesses.subnetworks if stop is None else stop):
        words = roll_columns(sequences, witnesses.layers(k), readout == "every")
        kept = distinct.keep(words)
        origins = np.stack([np.full(kept.size, k), kept], axis=1).astype(np.int64)
        yield words[kept], origins
