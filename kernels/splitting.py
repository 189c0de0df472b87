"""Block updates of ADMM splitting: minimise over the membranes or spikes of a relaxed network.

Arrays are time-major and contiguous, (T, lanes). A lane is one neuron on one sample;
lanes are independent. A kernel handles blocks ``first`` to ``last`` of LANES lanes each,
and sums over each block separately. ``currents`` are a layer's input currents. A spike
subtracts the threshold from the membrane of the next step, and a membrane fires where it
exceeds the threshold. A layer without spikes has ``spikes`` of 0 steps.
"""

import numpy as np

from .compiled import compiled

LANES = 4096  # 32 KB per step and array: a block stays in the cache for its second read


@compiled
def relax_membranes(  # type: ignore[no-untyped-def]
    membranes, spikes, currents, leak, threshold, step, rho, beta, jacobi, first, last, moved
):
    """Minimise over each membrane of a hidden layer in turn, its neighbours in time fixed.

    The new z minimises, with z_0 = a_0 = 0 and the second term absent at T,

        rho/2 (z - leak z[t-1] - c[t] + threshold a[t-1])**2
      + rho/2 (z[t+1] - leak z - c[t+1] + threshold a[t])**2 + beta/2 (a[t] - [z > threshold])**2

    which is a parabola on either side of the threshold; the least z above the threshold is
    threshold + step. Earlier membranes are the new ones, or with ``jacobi`` the old ones.
    Add to each row of ``moved`` (blocks, 2) the squared moves and the number of spikes that
    changed.
    """
    steps, lanes = membranes.shape
    for block in range(first, last):
        part = slice(block * LANES, min((block + 1) * LANES, lanes))
        width = part.stop - part.start
        before, none = np.zeros(width), np.zeros(width)
        squares, flips = np.zeros(width), np.zeros(width)  # one per lane: the loop vectorises
        for t in range(steps):
            z, a, c = membranes[t, part], spikes[t, part], currents[t, part]
            curvature, ahead, later, arriving = 1.0, 0.0, none, none
            if t + 1 < steps:
                curvature, ahead = 1.0 + leak * leak, leak
                later, arriving = membranes[t + 1, part], currents[t + 1, part]
            fired = spikes[t - 1, part] if t > 0 else none
            for k in range(width):
                old = z[k]
                point = c[k] + leak * before[k] - threshold * fired[k]
                point += ahead * (later[k] - arriving[k] + threshold * a[k])
                point /= curvature
                low = min(point, threshold)
                high = point if point > threshold else threshold + step
                silent = rho * curvature * (low - point) ** 2 + beta * a[k] * a[k]
                firing = rho * curvature * (high - point) ** 2 + beta * (1.0 - a[k]) ** 2
                new = high if firing < silent else low
                z[k] = new
                before[k] = old if jacobi else new
                squares[k] += (new - old) * (new - old)
                flips[k] += (new > threshold) != (old > threshold)
        moved[block, 0] += squares.sum()
        moved[block, 1] += flips.sum()


@compiled
def relax_readout(  # type: ignore[no-untyped-def]
    membranes, currents, multiplier, leak, rho, jacobi, first, last, moved
):
    """Minimise over the output's membranes before the last step in turn, neighbours fixed.

    ``multiplier`` (lanes,) belongs to the equation of the last step. The squared moves are
    added to the first column of ``moved`` (blocks, 2).
    """
    steps, lanes = membranes.shape
    for block in range(first, last):
        low_lane, high_lane = block * LANES, min((block + 1) * LANES, lanes)
        before = np.zeros(LANES)
        squares = 0.0
        for t in range(steps - 1):
            for k in range(low_lane, high_lane):
                old = membranes[t, k]
                ahead = membranes[t + 1, k] - currents[t + 1, k]
                if t + 2 == steps:
                    ahead += multiplier[k] / rho
                new = (currents[t, k] + leak * (before[k - low_lane] + ahead)) / (1.0 + leak * leak)
                membranes[t, k] = new
                before[k - low_lane] = old if jacobi else new
                squares += (new - old) * (new - old)
        moved[block, 0] += squares


@compiled
def explain(membranes, spikes, leak, threshold, first, last, out):  # type: ignore[no-untyped-def]
    """Write the currents that produce these membranes to ``out``: z[t] - leak z[t-1] + reset."""
    steps, lanes = membranes.shape
    for block in range(first, last):
        part = slice(block * LANES, min((block + 1) * LANES, lanes))
        out[0, part] = membranes[0, part]
        for t in range(1, steps):
            z, before, x = membranes[t, part], membranes[t - 1, part], out[t, part]
            for k in range(len(x)):
                x[k] = z[k] - leak * before[k]
            if spikes.shape[0] > 0:
                a = spikes[t - 1, part]
                for k in range(len(x)):
                    x[k] += threshold * a[k]


@compiled
def violations(  # type: ignore[no-untyped-def]
    membranes, spikes, currents, leak, threshold, first, last, sums
):
    """Add to ``sums`` (blocks, 3) squared errors of equations and of spikes, and |a - [z > .]|."""
    steps, lanes = membranes.shape
    fires = spikes.shape[0] > 0
    for block in range(first, last):
        dynamics = squares = apart = 0.0
        for t in range(steps):
            for k in range(block * LANES, min((block + 1) * LANES, lanes)):
                error = membranes[t, k] - currents[t, k]
                if t > 0:
                    error -= leak * membranes[t - 1, k]
                    if fires:
                        error += threshold * spikes[t - 1, k]
                dynamics += error * error
                if fires:
                    off = abs(spikes[t, k] - (membranes[t, k] > threshold))
                    squares += off * off
                    apart += off
        sums[block, 0] += dynamics
        sums[block, 1] += squares
        sums[block, 2] += apart


@compiled
def pull_spikes(  # type: ignore[no-untyped-def]
    membranes, currents, leak, threshold, rho, beta, begin, end, first, last, out
):
    """Add to ``out`` minus the gradient of a layer's own terms in its spikes, at spikes of 0.

    The terms are beta [z[t] > threshold] and, before T,
    - rho threshold (z[t+1] - leak z[t] - c[t+1]). ``out`` covers steps ``begin`` to ``end``.
    """
    steps, lanes = membranes.shape
    for block in range(first, last):
        for t in range(begin, end):
            for k in range(block * LANES, min((block + 1) * LANES, lanes)):
                pull = beta * (membranes[t, k] > threshold)
                if t + 1 < steps:
                    ahead = membranes[t + 1, k] - leak * membranes[t, k] - currents[t + 1, k]
                    pull -= rho * threshold * ahead
                out[t - begin, k] += pull


@compiled
def fire(  # type: ignore[no-untyped-def]
    currents, leak, threshold, first, last, membranes, spikes
):
    """Simulate a layer: compute ``membranes`` and ``spikes``, 0 or 1, from its currents."""
    steps, lanes = currents.shape
    fires = spikes.shape[0] > 0
    for block in range(first, last):
        for t in range(steps):
            for k in range(block * LANES, min((block + 1) * LANES, lanes)):
                value = currents[t, k]
                if t > 0:
                    value += leak * membranes[t - 1, k]
                    if fires:
                        value -= threshold * spikes[t - 1, k]
                membranes[t, k] = value
                if fires:
                    spikes[t, k] = value > threshold


@compiled
def box_least_squares(  # type: ignore[no-untyped-def]
    hessian, accuracy, sweeps, first, last, slopes, rows
):
    """Minimise x' H x / 2 - p' x over 0 <= x <= 1, x in ``rows``, H x - p in ``slopes``.

    Cyclic coordinate descent starts at the given rows and never raises the objective. It
    ends when no coordinate moved by more than ``accuracy``, or after ``sweeps`` sweeps.
    """
    width = hessian.shape[0]
    for i in range(first, last):
        slope = slopes[i]
        for _ in range(sweeps):
            most = 0.0
            for j in range(width):
                new = min(max(rows[i, j] - slope[j] / hessian[j, j], 0.0), 1.0)
                move = new - rows[i, j]
                if move != 0.0:
                    rows[i, j] = new
                    most = max(most, abs(move))
                    for k in range(width):
                        slope[k] += move * hessian[j, k]
            if most <= accuracy:
                break


@compiled
def sparse_times(  # type: ignore[no-untyped-def]
    starts, columns, values, weights, first, last, out
):
    """Write rows ``first`` to ``last`` of A W to ``out``, for A in compressed rows."""
    for i in range(first, last):
        out[i] = 0.0
        for entry in range(starts[i], starts[i + 1]):
            value, j = values[entry], columns[entry]
            for k in range(weights.shape[1]):
                out[i, k] += value * weights[j, k]


@compiled
def sparse_cross(  # type: ignore[no-untyped-def]
    starts, columns, values, rows, first, last, out
):
    """Add columns ``first`` to ``last`` of A' X to those of ``out``, for A in compressed rows."""

    for i in range(rows.shape[0]):
        row = rows[i, first:last]
        for entry in range(starts[i], starts[i + 1]):
            value, sums = values[entry], out[columns[entry], first:last]
            for k in range(last - first):
                sums[k] += value * row[k]
