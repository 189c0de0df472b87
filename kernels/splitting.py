"""ADMM splitting: membranes and spikes of a relaxed network, each the best for the others.

Arrays are time-major and contiguous, (T, lanes): a lane is one neuron on one sample,
and lanes know nothing of each other. A kernel takes blocks ``first`` to ``last`` of
LANES of them, and sums over each block on its own. ``currents`` are what arrives at a
layer, a spike takes the threshold from the membrane of the next step, and a membrane
fires where it is above the threshold. Spikes of no steps stand for a layer that has none.
"""

import numpy as np
from numba import njit

LANES = 4096  # 32 KB a step and array: what a block reads twice is still in the cache


@njit(cache=True, nogil=True)
def relax_membranes(  # type: ignore[no-untyped-def]
    membranes, spikes, currents, leak, threshold, step, rho, beta, jacobi, first, last, moved
):
    """Set each membrane of a hidden layer to the best for its neighbours in time, from t = 1 on.

    The best z minimises, with z_0 = a_0 = 0 and the second term absent at T,

        rho/2 (z - leak z[t-1] - c[t] + threshold a[t-1])**2
      + rho/2 (z[t+1] - leak z - c[t+1] + threshold a[t])**2 + beta/2 (a[t] - [z > threshold])**2

    a parabola on either side of the threshold; above it the least z is threshold + step.
    Earlier membranes are those just set, or with ``jacobi`` those that were. Adds to each
    row of ``moved`` (blocks, 2) the squared moves, and how many neurons fire anew or no more.
    """
    steps, lanes = membranes.shape
    for block in range(first, last):
        part = slice(block * LANES, min((block + 1) * LANES, lanes))
        width = part.stop - part.start
        before, none = np.zeros(width), np.zeros(width)
        squares, flips = np.zeros(width), np.zeros(width)  # by lane, which vectorises
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


@njit(cache=True, nogil=True)
def relax_readout(  # type: ignore[no-untyped-def]
    membranes, currents, multiplier, leak, rho, jacobi, first, last, moved
):
    """Set the membranes of the output before the last step, each to the best for its neighbours.

    ``multiplier`` (lanes,) is that of the last step's equation; ``moved`` (blocks, 2).
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


@njit(cache=True, nogil=True)
def explain(membranes, spikes, leak, threshold, first, last, out):  # type: ignore[no-untyped-def]
    """Set ``out`` to the currents that would explain the membranes: z[t] - leak z[t-1] + reset."""
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


@njit(cache=True, nogil=True)
def violations(  # type: ignore[no-untyped-def]
    membranes, spikes, currents, leak, threshold, first, last, sums
):
    """Add to ``sums`` (blocks, 3): squared errors of equations and of spikes; |a - [z > .]|."""
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


@njit(cache=True, nogil=True)
def pull_spikes(  # type: ignore[no-untyped-def]
    membranes, currents, leak, threshold, rho, beta, begin, end, first, last, out
):
    """Add to ``out`` what a layer itself asks of its spikes: minus its slope at spikes of 0.

    beta [z[t] > threshold], and before T  - rho threshold (z[t+1] - leak z[t] - c[t+1]); of
    steps ``begin`` to ``end``, which is where ``out`` begins and ends.
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


@njit(cache=True, nogil=True)
def fire(  # type: ignore[no-untyped-def]
    currents, leak, threshold, first, last, membranes, spikes
):
    """Simulate a layer: ``membranes`` and ``spikes``, 0 or 1, from what arrives at it."""
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


@njit(cache=True, nogil=True)
def box_least_squares(  # type: ignore[no-untyped-def]
    hessian, accuracy, sweeps, first, last, slopes, rows
):
    """Minimise x' H x / 2 - p' x over 0 <= x <= 1, x in ``rows``, H x - p in ``slopes``.

    Cyclic coordinate descent from the rows as they are, which never rises; it ends where
    no coordinate moved by more than ``accuracy``, or after so many sweeps.
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


@njit(cache=True, nogil=True)
def sparse_times(  # type: ignore[no-untyped-def]
    starts, columns, values, weights, first, last, out
):
    """Set rows ``first`` to ``last`` of ``out`` to those of A W, for A in compressed rows."""
    for i in range(first, last):
        out[i] = 0.0
        for entry in range(starts[i], starts[i + 1]):
            value, j = values[entry], columns[entry]
            for k in range(weights.shape[1]):
                out[i, k] += value * weights[j, k]


@njit(cache=True, nogil=True)
def sparse_cross(  # type: ignore[no-untyped-def]
    starts, columns, values, rows, first, last, out
):
    """Add to columns ``first`` to ``last`` of ``out`` those of A' X, for A in compressed rows."""
    for i in range(rows.shape[0]):
        row = rows[i, first:last]
        for entry in range(starts[i], starts[i + 1]):
            value, sums = values[entry], out[columns[entry], first:last]
            for k in range(last - first):
                sums[k] += value * row[k]
