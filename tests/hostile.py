"""Programs that are hard on float64: numbers of all sizes, also within one program."""

import numpy as np

import bidual as bd

LOSSES, PENALTIES = sorted(bd.LOSSES), sorted(bd.PENALTIES)
SIZES = (0.0, 0.0, 1.0, 8.0, 30.0, 100.0, 300.0)  # powers of ten


def hostile(seed, wide=False):
    """A small program at a share of lambda_max; ValueError if float64 does not hold it.

    ``wide`` draws strength 0 and numbers near it too, and columns of real designs from 1e-300 to
    1e150, the largest whose squares float64 holds.
    """
    rng = np.random.default_rng(seed)
    n, atoms = int(rng.integers(1, 8)), int(rng.integers(1, 6))
    outputs = int(rng.integers(1, 3))
    loss, penalty = LOSSES[seed % 7], PENALTIES[seed // 7 % 2]
    intercept = bool(seed // 14 % 2)
    real = bool(seed // 28 % 2)
    if loss == "softmax":
        outputs += 1

    def sizes(count, spread=None):
        """Powers of ten: one for all, one for each, or both."""
        common = float(rng.choice(SIZES)) * rng.uniform(-1, 1)
        apart = float(rng.choice((0.0, 0.0, 3.0, 14.0))) if spread is None else spread
        return np.clip(common + apart * rng.uniform(-0.5, 0.5, count), -300, 300)

    D = (rng.random((n, atoms)) < 0.5).astype(float)
    if rng.random() < 0.2:
        D[:, 0] = 0.0  # an atom that never fires
    if real:
        exponents = sizes(atoms) if wide else sizes(atoms) / 4
        D = rng.normal(size=(n, atoms)) * 10.0 ** np.minimum(exponents, 150.0)
        D[:, -1] = D[:, 0] * (1 + 1e-9 * rng.normal(size=n))  # a near-duplicate
        if rng.random() < 0.3:
            D = D + 10.0 ** rng.uniform(2, 8) * (rng.random(atoms) < 0.5)
    z = rng.normal(size=(n, outputs))
    if loss == "softmax":
        y = np.eye(outputs)[z.argmax(axis=1)]
    elif bd.LOSSES[loss].labels:
        y = np.where(z > 0, 1.0, -1.0)
    else:
        y = z * 10.0 ** sizes(n)[:, None]
        if rng.random() < 0.3:
            with np.errstate(over="ignore"):  # the program refuses it
                y += 10.0 ** rng.uniform(0, 12) * np.abs(y).max()
    a = 10.0 ** sizes(n)
    if rng.random() < 0.3:
        a[rng.integers(n)] = 0.0
    if not a.any():
        a[0] = 1.0
    if loss == "huber":
        loss = bd.Huber(float(np.clip(np.abs(y).max() * 10.0 ** rng.uniform(-3, 1), 1e-300, 1e300)))
    design = bd.DenseMatrix(D) if real else bd.BinaryMatrix.from_dense(D)
    program = bd.ConvexProgram(design, y, loss, 0.0, a, intercept, penalty=penalty)
    if not np.isfinite(program.reference):
        raise ValueError("program: the objective at W = 0 overflows")
    share = 10.0 ** rng.uniform(-12, np.log10(2.0))
    if wide and rng.random() < 0.5:
        share = float(rng.choice([0.0, 0.0, 1e-300, 1e-30, 1e-15]))
    return program.with_strength(share * program.lambda_max if share > 0 else 0.0)
