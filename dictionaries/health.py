"""Health of a bank of subnetworks (diagnostics): firing rates of layers, useful atoms.

Deep spiking networks fall silent layer by layer. A dictionary of silent, saturated
and repeated columns looks large but has few atoms. The report shows this before a
solver starts.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bank_inputs import taken
from .matrix.binary_matrix import BinaryMatrix
from .rollout import roll_columns, spike_counts
from .spike_dictionary import Readout
from .validation import check_whole
from .witnesses.sampled import Witnesses

_MOST_RANKED = 2000  # largest number of atoms whose Gram is factored: 32 MB, about a second


class DeadLayerWarning(UserWarning):
    """Warning: a layer has no spikes in at least half of the subnetworks."""


@dataclass(frozen=True, eq=False)
class Health:
    """Diagnostics, a result of :func:`health`. ``print`` shows them, :meth:`plot` draws them.

    Attributes
    ----------
    rates : (K, L) array
        Firing rate of each layer in each examined subnetwork: spikes per neuron,
        sample and step.
    silent, saturated : (L,) arrays
        Share of each layer's neurons that never fire, and that fire at every step.
    dead : (L,) array
        Share of subnetworks in which the layer has no spikes.
    columns : int
        Number of examined final-layer neurons, each a column.
    zero, ones, repeated, distinct : float
        Shares of columns: all zero; all one; equal to an earlier non-zero column;
        and the remaining atoms, which include an all-one column.
    rank : int
        Numerical rank of the first ``ranked`` atoms.
    ranked : int
        Number of atoms in the rank: all, or the first 2,000.
    rows : int
        Number of rows of a column.
    """

    rates: NDArray[np.float64]
    silent: NDArray[np.float64]
    saturated: NDArray[np.float64]
    dead: NDArray[np.float64]
    columns: int
    zero: float
    ones: float
    repeated: float
    distinct: float
    rank: int
    ranked: int
    rows: int

    def __str__(self) -> str:
        lines = ["layer  rate (5 % / mean / 95 % of subnetworks)   silent  saturated  dead in"]
        for depth, rates in enumerate(self.rates.T):
            low, high = np.quantile(rates, [0.05, 0.95])
            lines.append(
                f"{depth + 1:5d}  {low:10.3f} / {rates.mean():.3f} / {high:.3f}"
                f"{self.silent[depth]:25.1%}{self.saturated[depth]:11.1%}{self.dead[depth]:9.1%}"
            )
        lines.append(
            f"{self.columns} columns of {self.rows} rows: {self.zero:.1%} all zero, "
            f"{self.ones:.1%} all one, {self.repeated:.1%} repeats; {self.distinct:.1%} are atoms"
        )
        some = "the" if self.ranked == round(self.distinct * self.columns) else "the first"
        lines.append(f"rank {self.rank} of {some} {self.ranked} atoms")
        return "\n".join(lines)

    def plot(self, figure: Any = None) -> Any:
        """Draw rates by layer and shares of columns on a matplotlib figure, and return it.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib (the extra ``report``) is not installed.
        """
        if figure is None:
            from matplotlib.figure import Figure

            figure = Figure(figsize=(9, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        depths = np.arange(1, self.rates.shape[1] + 1)
        left.boxplot(self.rates, positions=depths, widths=0.5, whis=(5, 95), showfliers=False)
        for shares, name, marker in (
            (self.silent, "silent neurons", "v"),
            (self.saturated, "saturated neurons", "^"),
            (self.dead, "dead layers", "x"),
        ):
            left.plot(depths, shares, marker, label=f"share of {name}")
        left.set(xlabel="layer", ylabel="firing rate by subnetwork", ylim=(-0.02, 1.02))
        left.set_xticks(depths)
        left.legend(fontsize="small")
        columns = {
            "atoms": self.distinct,
            "repeats": self.repeated,
            "all one": self.ones,
            "all zero": self.zero,
        }
        bars = right.barh(list(columns), list(columns.values()))
        right.bar_label(bars, [f"{share:.1%}" for share in columns.values()], padding=3)
        right.set(xlim=(0, 1.15), xlabel=f"share of {self.columns} columns; rank {self.rank}")
        right.invert_yaxis()
        return figure


def health(
    X: ArrayLike, witnesses: Witnesses, readout: Readout = "last", subnetworks: int = 64
) -> Health:
    """Diagnose a bank on ``X`` (n, T, d): report its firing rates and its useful columns.

    The function examines the first ``subnetworks`` of the bank. It warns, with advice,
    if a layer has no spikes in at least half of them.

    Raises
    ------
    ValueError
        If :meth:`SpikeDictionary.sample` would refuse X or the readout.

    Examples
    --------
    >>> import bidual as bd
    >>> X, _ = bd.tasks.digits()
    >>> bank = bd.SampledWitnesses(8, (16, 8), 4, seed=0, neuron=bd.Neuron(0.9, 1.0))
    >>> report = bd.health(X[:100], bank)
    >>> report.rates.shape, report.columns
    ((4, 2), 32)
    """
    sequences, _ = taken(X, witnesses, readout)
    check_whole("subnetworks", subnetworks, 1)
    n, steps, _ = sequences.shape
    rates, silent, saturated, columns = [], [], [], []
    for k in range(min(subnetworks, witnesses.subnetworks)):
        layers = witnesses.layers(k)
        counts = spike_counts(sequences, layers)
        rates.append([count.mean() / (n * steps) for count in counts])
        silent.append([np.mean(count == 0) for count in counts])
        saturated.append([np.mean(count == n * steps) for count in counts])
        columns.append(roll_columns(sequences, layers, readout == "every"))
    rows = n * steps if readout == "every" else n
    matrix = BinaryMatrix(np.concatenate(columns), rows)
    sums = matrix.column_sums()
    atoms, _ = matrix.unique()
    total = matrix.shape[1]
    ones = int((sums == rows).sum())
    ranked = min(atoms.shape[1], _MOST_RANKED)
    gram = atoms.take(np.arange(ranked)).gram().astype(np.float64)
    found = np.array(rates)
    dead = (found == 0).mean(axis=0)
    _warn(dead, [bool((layer.threshold > 0).any()) for layer in witnesses.layers(0)])
    return Health(
        rates=found,
        silent=np.mean(silent, axis=0),
        saturated=np.mean(saturated, axis=0),
        dead=dead,
        columns=total,
        zero=float((sums == 0).mean()),
        ones=ones / total,
        repeated=float((total - (sums == 0).sum() - atoms.shape[1]) / total),
        distinct=atoms.shape[1] / total,
        rank=int(np.linalg.matrix_rank(gram, hermitian=True)) if ranked else 0,
        ranked=ranked,
        rows=rows,
    )


def _warn(dead: NDArray[np.float64], thresholds: list[bool]) -> None:
    """Warn about the first layer that is dead in at least half of the subnetworks.

    ``thresholds`` says of each layer whether its neurons have thresholds above 0.
    """
    for depth in np.flatnonzero(dead >= 0.5)[:1]:
        below = "the inputs are" if depth == 0 else f"the spikes of layer {depth} are"
        reason = (
            f"{below} too weak for its threshold. Lower the threshold, raise the leak or the "
            "inputs' scale, widen the layer below, or take a law with larger weights ('gaussian' "
            "is sqrt(fan-in) times 'fan-in')"
            if thresholds[depth]
            else "its weighted inputs are below 0 on every row. Centre the inputs, and give "
            "their columns similar sizes"
        )
        warnings.warn(
            f"layer {depth + 1} has no spikes in {dead[depth]:.0%} of the subnetworks: {reason}",
            DeadLayerWarning,
            stacklevel=3,
        )
