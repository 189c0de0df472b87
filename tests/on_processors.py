"""Run the tests of floating point twice more: as without AVX, and as with AVX2 and no more.

BLAS, NumPy, Numba and the C library choose their code by the processor, and with it the last
bits of sums, exp and log. Environment variables have them choose that of older ones, before
they are loaded: each run is a process of its own. No variable makes code that the processor
lacks run, so nothing newer than it is tried.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

# Tests whose numbers are rounded; what the others compare is counted, or sums exactly.
FILES = (
    "admm admm_splitting anderson best_intercept certificates complete_arrangement conic "
    "dense_design exact extensions gram_steps growing heads lasso losses modelling newton "
    "penalties pricing program proximal proximal_newton prune references scales solvers "
    "splitting statuses theorems warm_starts"
)

RUNS = {
    "without AVX, on one thread": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NUMBA_CPU_NAME": "generic",
        "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4",
        "threads": "1",
    },
    "with AVX2, on two threads": {
        "OPENBLAS_CORETYPE": "Haswell",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma",  # and not all that this processor has
        "NPY_DISABLE_CPU_FEATURES": " ".join(
            name for name in __cpu_dispatch__ if "512" in name or name == "X86_V4"
        ),
        "threads": "2",
    },
}


def run(settings):
    """The exit status of pytest under these settings."""
    threads = settings.pop("threads")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        settings[name] = threads
    tests = Path(__file__).parent
    files = [str(tests / f"test_{name}.py") for name in FILES.split()]
    options = ["-c", str(tests / "pytest.ini"), f"--rootdir={tests}", "-q"]
    workers = ["-n", "logical", "--maxprocesses", "8", "--dist", "worksteal"]
    chosen = ["-m", "not slow and not night"]
    command = [sys.executable, "-m", "pytest", *options, *workers, *chosen, *files]
    return subprocess.run(command, env=os.environ | settings).returncode


if platform.machine() not in ("x86_64", "AMD64"):
    print(f"not run: the older processors of {platform.machine()} have no names here")
    sys.exit()
failed = []
for title, settings in RUNS.items():
    if "AVX2" in title and not __cpu_features__["AVX2"]:
        print(f"\n{title}: not run, for this processor has none", flush=True)
        continue
    print(f"\n{title}", flush=True)
    if run(settings):
        failed.append(title)
sys.exit(f"failed: {'; '.join(failed)}" if failed else 0)
