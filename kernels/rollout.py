"""The leaky integrate-and-fire recurrence, scanned over time in place."""

from numba import njit


@njit(cache=True, nogil=True)
def lif_scan(currents, leak, threshold, reset):  # type: ignore[no-untyped-def]
    """Replace ``currents`` (n, T, m) by the spikes they cause, 0.0 or 1.0.

    u[t] = leak * u[t-1] + current[t] - reset * s[t-1],  s[t] = (u[t] >= threshold),
    from u = 0 and s = 0. The order of the three operations is part of the
    definition: with currents that are exact, so are the spikes, everywhere.
    """
    n, steps, width = currents.shape
    for i in range(n):
        for j in range(width):
            membrane = 0.0
            spike = 0.0
            for t in range(steps):
                membrane = leak * membrane + currents[i, t, j] - reset * spike
                spike = 1.0 if membrane >= threshold else 0.0
                currents[i, t, j] = spike
