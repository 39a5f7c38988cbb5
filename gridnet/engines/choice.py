"""The engine that a command's options ask for."""

from __future__ import annotations

from gridnet.engines.cluster import Cluster, import_ray
from gridnet.engines.job import Engine
from gridnet.engines.local import Here, Processes
from gridnet.errors import Fault, InputError

ENGINES = ("local", "ray")


def engine_faults(name: str, address: str | None, workers: int | None) -> list[Fault]:
    """What is wrong with `--engine`, `--address` and `--workers`."""
    faults = []
    if name not in ENGINES:
        faults.append(Fault("--engine", repr(name), " or ".join(ENGINES)))
    elif name == "ray":
        try:
            import_ray()
        except InputError as error:
            faults.append(Fault("--engine", repr(name), str(error)))
    if address is not None and name != "ray":
        faults.append(Fault("--address", repr(address), "--engine ray beside it"))
    if workers is not None and workers < 1:
        faults.append(Fault("--workers", str(workers), "at least 1"))
    elif workers is not None and address is not None:
        faults.append(Fault("--workers", str(workers), "none beside --address: a cluster has the cores it has"))
    return faults


def make_engine(name: str, address: str | None, workers: int | None) -> Engine:
    """The engine of options that `engine_faults` lets pass. Without `workers` the local one is this process, and Ray's own on
    this machine has all its cores."""
    if name == "ray":
        return Cluster(address, workers)
    return Here() if workers in (None, 1) else Processes(workers or 1)
