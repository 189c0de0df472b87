"""Numbers that decide how newton goes about a program; the certificate depends on none of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Bounds and shares of newton's steps, by what they bound, each with its reason."""

    # rounds over the dictionary
    columns_added: int = 100  # least in a round: fewer save a round no time
    share_open: float = 0.1  # of a gap, most that a solve within leaves: the rest is work in vain
    share_settled: float = 3e-3  # of the gap, least of the same: where few columns still change
    gap_settled: float = 10.0  # gaps of the working set: below, the columns outside cost little
    slack: float = 0.95  # of its constraint: an unused column below it leaves the working set
    price_error: float = 1e-3  # of the strength, most that prices are off by: the largest count
    price_share: float = 0.02  # of the gap that is aimed at, for the same: it costs no accuracy
    patience: int = 10  # rounds or steps without a smaller gap: float64 is held to be the reason
    # proximal point steps, and the Newton steps of one
    most_steps: int = 40  # of either: more have not been seen to help
    many_steps: int = 25  # of Newton: kinks are smoothed more, and the next step is no longer
    residual: float = 0.2  # of a step's length, most that is left: exact steps cost more
    residual_drifting: float = 0.01  # the same where fits and weights drift apart
    drifting_after: int = 2  # steps without a smaller gap: they are taken to drift
    share_other: float = 0.3  # of a gap, most that what is rounded or left over may cost
    share_nothing: float = 1e-3  # of a gap: costs no one looks at, however short the step
    closeness: float = 1e-3  # least relative gap of a start that makes the first step longer
    slope: float = 0.9  # of the first slope: a line search ends below it
    smoothing: float = 1e-2  # most of tau that kinks are smoothed by; it falls with the residual
    shortest_step: float = 2.0**-20  # along a direction of descent: rounding hides shorter ones
    # linear systems
    rounding: float = 1e-14  # of what is compared: sums of some thousand float64 are off by it
    factor_rounding: float = 1e-15  # of a diagonal entry, per row: what a Cholesky factor loses
    column_least: float = 1e-30  # squared length, of the largest: below, a column counts as it
    gram_columns: int = 4_000  # with a Gram matrix: 128 MB, and with copies 1.7 GB
    factored_columns: int = 5_000  # or rows, of a system that is factored: 200 MB
    coupled_entries: int = 100_000_000  # of the matrices kept for coupled outputs: 800 MB
    distinct_weights: int = 4  # of rows, that are taken as they are: a popcount Gram each
    least_bits: int = 8  # of the smallest weight in a Gram matrix: enough to precondition
    most_bits: int = 40  # of the largest: popcounts take a pass per bit
    gradient_steps: int = 100  # of conjugate gradients: the Newton step gains by no more
    gradient_residual: float = 3e-2  # of a direction: the next Newton step mends what is left
    changed_columns: float = 0.1  # share of a kept factor: more changes cost a new factor
    few_columns: int = 100  # a new factor of so many is always cheaper


TUNING = Tuning()
