"""Rollout of spiking layers over sequences: the spikes of every layer at every step.

``neuron.py`` defines the recurrence and its conventions. Samples are independent and
are rolled out in blocks, whose spikes are packed as they fire. So the memory holds
the packed result and one block per thread. Currents are summed in one fixed order,
so that blocks, threads and machines never change a spike. On the grids of sampled
weights and of inputs of like sizes (``input_grid.py``) currents are exact sums, the
same in any order and any library; ``rounding.py`` counts spikes that rounding may change.
"""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..kernels import rollout as kernels
from .files.packed_head import words_for
from .neuron import Layer
from .threads.threads import split
from .witnesses.sampled import WEIGHT_GRID

_LARGEST_WEIGHT, _LARGEST_CURRENT = 2.0**400, 2.0**900
_SAMPLES_PER_BLOCK = 256  # bounds the memory of inputs and packed spikes of every layer


def roll(sequences: NDArray[np.float64], layers: Sequence[Layer]) -> list[NDArray[np.uint8]]:
    """Roll one subnetwork out; return the spikes of every layer, (n, T, width) of 0 and 1.

    ``sequences`` are (n, T, d) float64, as :func:`check_sequences` returns them. Layer l takes
    the spikes of layer l - 1. The result takes one byte per spike; :func:`roll_columns` packs.
    """
    prepared = _prepare(sequences, layers)
    n, steps, _ = sequences.shape
    out = [np.empty((n, steps, layer.width), dtype=np.uint8) for layer in layers]

    def unpack(first: int, last: int) -> None:
        for samples, spikes in _blocks(sequences, prepared, first, last):
            for layer, packed in zip(out, spikes, strict=True):
                layer[samples] = _unpacked(packed, layer.shape[2])

    split(unpack, _n_blocks(n), _work(sequences, layers))
    return out


def roll_columns(
    sequences: NDArray[np.float64], layers: Sequence[Layer], every_step: bool
) -> NDArray[np.uint64]:
    """Roll one subnetwork out; return the final layer's spikes as packed columns of D.

    Returns
    -------
    words : (m, 8 * ceil(N / 512)) uint64 array
        Columns packed as in ``BinaryMatrix``: N = n rows at the last step, or
        N = n * T with ``every_step``, sample i at step t in row t * n + i.
    """
    prepared = _prepare(sequences, layers)
    n, steps, _ = sequences.shape
    first_step = 0 if every_step else steps - 1
    rows = (steps - first_step) * n
    columns = np.zeros((layers[-1].width, words_for(rows)), dtype=np.uint64)
    one_at_a_time = Lock()  # blocks share the words at their ends; setting rows takes little time

    def keep(first: int, last: int) -> None:
        for samples, spikes in _blocks(sequences, prepared, first, last):
            with one_at_a_time:
                for t in range(first_step, steps):
                    row = (t - first_step) * n + samples.start
                    kernels.set_rows(spikes[-1], t, row, columns)

    split(keep, _n_blocks(n), _work(sequences, layers))
    return columns


def spike_counts(
    sequences: NDArray[np.float64], layers: Sequence[Layer]
) -> list[NDArray[np.int64]]:
    """Count each neuron's spikes over all samples and steps; return (width,) for each layer."""
    counts = [np.zeros(layer.width, dtype=np.int64) for layer in layers]
    for _, spikes in _blocks(sequences, _prepare(sequences, layers), 0, _n_blocks(len(sequences))):
        for count, packed in zip(counts, spikes, strict=True):
            count += _unpacked(packed, count.size).sum(axis=(0, 1), dtype=np.int64)
    return counts


def smallest_margins(
    sequences: NDArray[np.float64], layers: Sequence[Layer]
) -> NDArray[np.float64]:
    """Return the smallest |u - threshold| of each layer over all samples and steps.

    Off the grids another order of summation moves u by about 1e-16 of its terms. A
    margin well above that shows that other libraries compute the same spikes.
    """
    _check_fit(sequences, layers)
    smallest = np.full(len(layers), np.inf)
    one_at_a_time = Lock()

    def measure(first: int, last: int) -> None:
        margins = [np.full(1, np.inf) for _ in layers]
        for _ in _blocks(sequences, _prepare(sequences, layers, margins), first, last):
            pass
        with one_at_a_time:
            np.minimum(smallest, np.concatenate(margins), out=smallest)

    split(measure, _n_blocks(len(sequences)), _work(sequences, layers))
    return smallest


def _n_blocks(n: int) -> int:
    return -(-n // _SAMPLES_PER_BLOCK)


def _work(sequences: NDArray[np.float64], layers: Sequence[Layer]) -> int:
    """Estimate the work of a rollout in the unit of :func:`split`: about 4 per neuron and step."""
    n, steps, _ = sequences.shape
    return 4 * int(n) * int(steps) * sum(layer.width for layer in layers)


def _blocks(
    sequences: NDArray[np.float64], prepared: Sequence[Sequence[Any]], first: int, last: int
) -> Iterator[tuple[slice, list[NDArray[np.uint64]]]]:
    """Roll blocks ``first`` to ``last`` out; yield each block's samples and packed spikes."""
    for k in range(first, last):
        samples = slice(k * _SAMPLES_PER_BLOCK, (k + 1) * _SAMPLES_PER_BLOCK)
        block = sequences[samples]
        spikes: list[NDArray[np.uint64]] = []
        for words, *arrays in prepared:
            packed = np.empty((*block.shape[:2], words), dtype=np.uint64)
            run: Any = kernels.roll_spikes if spikes else kernels.roll_values
            run(spikes[-1] if spikes else block, *arrays, packed)
            spikes.append(packed)
        yield samples, spikes


def _unpacked(packed: NDArray[np.uint64], width: int) -> NDArray[np.uint8]:
    """Return packed spikes (b, T, words) as (b, T, width) of 0 and 1."""
    eights = packed.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(eights, axis=2, count=width, bitorder="little")


def _prepare(
    sequences: NDArray[np.float64],
    layers: Sequence[Layer],
    margins: Sequence[NDArray[np.float64]] | None = None,
) -> list[list[Any]]:
    """Return the kernels' arguments for each layer: words per sample, then padded arrays.

    Sums of weights on the grid run in float32 where that is exact. The kernels do not
    check shapes; this function does.
    """
    _check_fit(sequences, layers)
    _check_size(sequences, layers)
    prepared = []
    for depth, layer in enumerate(layers):
        exact = depth > 0 and _exact_in_float32(layer)
        weights = np.float32 if exact else np.float64
        recurrent = np.empty((0, layer.width)) if layer.recurrent is None else layer.recurrent
        fires_from = layer.threshold
        if layer.strict:  # u > threshold means u >= the next larger float
            fires_from = np.nextafter(fires_from, np.inf)
        prepared.append(
            [
                -(-layer.width // 64),
                _padded(layer.weights, weights),
                _padded(recurrent, weights),
                _padded(layer.bias, weights),
                _padded(layer.leak),
                _padded(fires_from, fill=np.inf),  # the padding never fires
                _padded(layer.reset),
                layer.hard,
                _padded(layer.threshold[:0] if margins is None else layer.threshold, fill=np.inf),
                np.empty(0) if margins is None else margins[depth],
            ]
        )
    return prepared


def _check_fit(sequences: NDArray[np.float64], layers: Sequence[Layer]) -> None:
    """Raise ValueError unless the layers fit the sequences and each other."""
    if sequences.ndim != 3 or sequences.dtype != np.float64:
        raise ValueError(
            f"sequences: expected float64 of shape (n, T, d), got {sequences.dtype} of shape "
            f"{sequences.shape}"
        )
    fan_ins = [layer.fan_in for layer in layers]
    fed = [sequences.shape[2], *(layer.width for layer in layers)]
    if not layers or fan_ins != fed[:-1]:
        raise ValueError(
            f"layers: expected fan-ins {fed[:-1]}, the inputs and then the widths, got {fan_ins}"
        )


def _check_size(sequences: NDArray[np.float64], layers: Sequence[Layer]) -> None:
    """Raise ValueError if currents may exceed float64, where they would lose their signs."""
    for depth, layer in enumerate(layers):
        parts = [layer.weights, layer.bias]
        parts += [] if layer.recurrent is None else [layer.recurrent]
        largest = max(max(float(part.max()), -float(part.min())) for part in parts)
        if largest <= _LARGEST_WEIGHT:  # inputs are at most 2**500
            continue
        reach = 1.0 if depth else max(1.0, float(np.abs(sequences).max()))
        if largest > _LARGEST_CURRENT / reach:
            raise ValueError(
                f"X: expected inputs and weights with products of at most 2**900, got inputs of "
                f"{reach:.3g} and weights of {largest:.3g} in layer {depth + 1}; scale X or the "
                "weights down"
            )


def _exact_in_float32(layer: Layer) -> bool:
    """Tell whether all sums of the layer's weights on the grid have at most 24 bits."""
    parts = [layer.bias[None], layer.weights]
    parts += [] if layer.recurrent is None else [layer.recurrent]
    in_grid = np.concatenate(parts) / WEIGHT_GRID
    largest = np.abs(in_grid).sum(axis=0).max()
    return bool(largest <= 2**24 and np.array_equal(in_grid, np.rint(in_grid)))


def _padded(
    array: NDArray[np.float64], dtype: DTypeLike = np.float64, fill: float = 0.0
) -> NDArray[Any]:
    """Copy ``array`` (..., m), padded to whole vectors, with rows that start on cache lines."""
    width = -(-array.shape[-1] // 16) * 16
    shape = (*array.shape[:-1], width)
    memory = np.empty(np.prod(shape, dtype=int) * np.dtype(dtype).itemsize + 64, dtype=np.uint8)
    memory = memory[-memory.ctypes.data % 64 :]
    out = memory[: memory.size // 64 * 64].view(dtype)[: np.prod(shape, dtype=int)].reshape(shape)
    out[..., : array.shape[-1]] = array
    out[..., array.shape[-1] :] = fill
    return out
