"""Runs as tasks of a Ray cluster, one core each. Every machine of it must see the output folder under the same path, and have
this version of gridnet installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from gridnet.errors import GridnetError, InputError
from gridnet_policies.rl.engines.task import POLL_S, Task, perform
from gridnet_policies.rl.run_folder import is_done

_OBJECT_STORE_BYTES = 80 * 2**20
_RETRIES = 3


def run_on_ray(tasks: Sequence[Task], look: Callable[[], None], address: str | None) -> None:
    """Performs all tasks on the cluster at `address` (`auto` finds the one this machine belongs to), or on one started for
    them on this machine; calls `look` all the while. A task whose machine is lost goes on elsewhere from its checkpoint. The
    first error, an interrupt too, ends them all. Raises what a task raised, and `InputError` where Ray is missing, can't be
    reached, or writes where this machine doesn't see it.
    """
    ray = import_ray()
    _connect(ray, address)
    pending: list[Any] = []
    try:
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(perform)
        pending = [remote.remote(task.recipe.model_dump_json(), str(task.out.absolute())) for task in tasks]
        while pending:
            done, pending = ray.wait(pending, timeout=POLL_S)
            look()
            _raise_errors(ray, done)
    finally:
        for each in pending:
            ray.cancel(each, force=True)
        ray.shutdown()
    lost = [task.name for task in tasks if not is_done(task.out)]
    if lost:
        raise InputError(f"what {', '.join(lost)} wrote isn't seen here; name an --out that all machines of the cluster share")


def import_ray() -> ModuleType:
    """The package. Raises `InputError` where it isn't installed."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError("the extra 'cluster' beside it: pip install 'gridnet-dispatch[cluster]'") from error
    return ray


def _connect(ray: ModuleType, address: str | None) -> None:
    # Nothing about a run leaves the machine unless its user asks for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        if address is not None:
            ray.init(address=address, log_to_driver=False)
        else:
            ray.init(
                address="local",
                num_cpus=os.cpu_count(),
                object_store_memory=_OBJECT_STORE_BYTES,  # tasks pass a recipe in and nothing out
                include_dashboard=False,
                # Its processes find modules where this one does, also where gridnet is used from its source.
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
                log_to_driver=False,
            )
    except (ConnectionError, ValueError) as error:
        raise InputError(f"no Ray cluster at {address or 'this machine'}: {error}") from error


def _raise_errors(ray: ModuleType, done: Sequence[Any]) -> None:
    try:
        ray.get(list(done))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise GridnetError(f"the cluster lost a training run ({error}); --resume goes on from here") from error
