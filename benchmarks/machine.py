"""Description of the machine: processor, versions, threads, load and stolen time."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from threadpoolctl import threadpool_info

import bidual as bd

PACKAGES = ("bidual", "numpy", "scipy", "numba", "llvmlite", "scikit-learn")
FLAGS = ("popcnt", "avx2", "fma", "avx512f", "avx512vpopcntdq", "neon", "sve")


def describe() -> dict[str, Any]:
    """Describe this machine and process, in values that JSON can hold."""
    flags = binding.get_host_cpu_features()
    return {
        "processor": processor(),
        "llvm_cpu": binding.get_host_cpu_name(),
        "flags": [flag for flag in FLAGS if flags.get(flag)],
        "cores": numba.config.NUMBA_NUM_THREADS,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "blas": [
            f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ],
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "package": str(Path(bd.__file__).parent),
    }


def processor() -> str:
    """Return the processor's name as the system reports it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def stolen() -> float:
    """Return the processor seconds that other guests took since the start; 0 if not reported."""
    times = Path("/proc/stat")
    if not times.exists():
        return 0.0
    ticks = times.read_text().split(maxsplit=9)[8]  # user, nice, system, idle, iowait, two irqs
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def show(machine: dict[str, Any]) -> None:
    """Print a description, one line per entry."""
    for name, value in machine.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = ", ".join(str(entry) for entry in value)
        print(f"{name:12s} {value}")
    print()
