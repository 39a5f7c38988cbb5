"""CACTUS's preconditions as an operator's requests."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from cactus_client.admin import hookimpl
from cactus_client.model.config import ClientConfig
from cactus_client.model.context import AdminContext
from cactus_client.model.execution import ActionResult, StepExecution
from cactus_client.sep2 import lfdi_from_cert_file
from cactus_test_definitions.server.admin_instructions import AdminInstruction
from cactus_test_definitions.server.test_procedures import ClientType

from gridnet_cactus.operator import Operator

POLLED = ("DeviceCapability", "EndDeviceList", "FunctionSetAssignmentsList", "DERProgramList", "DERList", "MirrorUsagePointList")
LIMITS = {
    "opModExpLimW": "export_limit_kw",
    "opModImpLimW": "import_limit_kw",
    "opModGenLimW": "generation_limit_kw",
    "opModLoadLimW": "load_limit_kw",
}
HUNDREDTHS = {"rampTms": "ramp_s", "setGradW": "gradient_percent_per_s"}
SWITCHES = {"opModConnect": "connect", "opModEnergize": "energize"}
ACTIVE_S, SCHEDULED_S, SOON_S = 300, 30, 15
"""How long a control lasts where nothing is said, and when a scheduled one begins."""
POST_S = 1
"""Procedures that post a series of readings then wait seconds, not minutes."""


class GridnetAdmin:
    """The plugin."""

    def __init__(self) -> None:
        self._operator = Operator()
        self._next: dict[str, datetime] = {}
        self._programs: dict[tuple[str, int], str] = {}

    @hookimpl
    async def admin_setup(self, context: AdminContext) -> ActionResult:
        """A service that knows the clients' certificates and none of their devices."""
        for client in context.client_configs.values():
            lfdi = lfdi_from_cert_file(client.certificate_file)
            if client.type == ClientType.AGGREGATOR:
                known = {"id": client.id, "role": "aggregator", "lfdi": lfdi}
                self._operator.ask("POST", "/api/v1/admin/principals", known, fine=(409,))
            self._operator.ask("PUT", f"/api/v1/admin/access/{lfdi}", {"granted": True})
            self._unregister(client)
        for resource in POLLED:
            self._operator.ask("DELETE", f"/api/v1/admin/rates/{resource}", fine=(404,))
        self._operator.ask("PUT", "/api/v1/admin/rates/MirrorUsagePoint", {"post_s": POST_S})
        return ActionResult.done()

    @hookimpl
    async def admin_instruction(
        self, instruction: AdminInstruction, step: StepExecution, context: AdminContext
    ) -> ActionResult | None:
        """One instruction."""
        client = context.client_config_for(instruction.client)
        name = "_" + str(instruction.type.value).replace("-", "_")
        getattr(self, name)(client, instruction.parameters)
        return ActionResult.done()

    def _ensure_end_device(self, client: ClientConfig, said: dict[str, Any]) -> None:
        if not said["registered"]:
            self._unregister(client)
            return
        device = self._device(client)
        if device is None:
            device = f"cactus-{secrets.token_hex(4)}"
            owner = client.id if client.type == ClientType.AGGREGATOR else f"lfdi:{client.lfdi.lower()}"
            body = {"id": device, "owner": owner, "kind": "pv", "discharge_kw": client.max_watts / 1000, "lfdi": client.lfdi}
            self._operator.ask("POST", "/api/v1/devices", body)
        self._operator.ask("PUT", f"/api/v1/admin/devices/{device}/pin", {"pin": client.pin})

    def _ensure_fsa(self, client: ClientConfig, said: dict[str, Any]) -> None:
        # A function set assignment is there as soon as it has a programme; the operator's own always is.
        self._announce(client)

    def _ensure_der_program(self, client: ClientConfig, said: dict[str, Any]) -> None:
        device, primacy = self._device(client), said.get("primacy") or 1
        if primacy == 1:
            self._announce(client)
            return
        name = f"{said['fsa_annotation']}-{device}"
        body = {"primacy": primacy, "device": device, "fsa": said["fsa_annotation"]}
        self._operator.ask("PUT", f"/api/v1/admin/programs/{name}", body)
        self._programs[str(device), primacy] = name

    def _ensure_der_control_list(self, client: ClientConfig, said: dict[str, Any]) -> None:
        """Every programme has one."""

    def _ensure_mup_list_empty(self, client: ClientConfig, said: dict[str, Any]) -> None:
        for kind in ("sep-mup", "sep-mmr"):
            self._operator.ask("DELETE", f"/api/v1/admin/devices/{self._device(client)}/documents?kind={kind}")

    def _create_der_control(self, client: ClientConfig, said: dict[str, Any]) -> None:
        device, now = str(self._device(client)), datetime.now(UTC).replace(microsecond=0)
        active = said["status"] == "active"
        duration = timedelta(seconds=said.get("duration_seconds") or (ACTIVE_S if active else SCHEDULED_S))
        if active:
            start, end = now - timedelta(seconds=1), now + duration
        else:
            offset = said.get("start_offset_seconds")
            soon = max(now + timedelta(seconds=SOON_S), self._next.get(device, now))
            start = soon if offset is None else now + timedelta(seconds=offset)
            end = self._next[device] = start + duration
        body = {
            "program": self._programs.get((device, said.get("primacy") or 1), "operator"),
            "device": device,
            "fields": fields(said),
            "start": start.isoformat(),
            "end": end.isoformat(),
            "randomize_start_s": said.get("randomizeStart_seconds") or 0,
            "reason": "conformance",
        }
        self._operator.ask("POST", "/api/v1/dispatches", body)

    def _create_default_der_control(self, client: ClientConfig, said: dict[str, Any]) -> None:
        self._operator.ask("PUT", f"/api/v1/devices/{self._device(client)}/default-control", fields(said))

    def _clear_der_controls(self, client: ClientConfig, said: dict[str, Any]) -> None:
        self._operator.ask("DELETE", f"/api/v1/admin/devices/{self._device(client)}/controls")

    def _set_poll_rate(self, client: ClientConfig, said: dict[str, Any]) -> None:
        self._operator.ask("PUT", f"/api/v1/admin/rates/{said['resource']}", {"poll_s": said["rate_seconds"]})

    def _set_post_rate(self, client: ClientConfig, said: dict[str, Any]) -> None:
        self._operator.ask("PUT", f"/api/v1/admin/rates/{said['resource']}", {"post_s": said["rate_seconds"]})

    def _set_client_access(self, client: ClientConfig, said: dict[str, Any]) -> None:
        lfdi = lfdi_from_cert_file(client.certificate_file)
        self._operator.ask("PUT", f"/api/v1/admin/access/{lfdi}", {"granted": said["granted"]})

    def _announce(self, client: ClientConfig) -> None:
        body = {"topic": "programs", "device": self._device(client)}
        self._operator.ask("POST", "/api/v1/admin/announcements", body)

    def _device(self, client: ClientConfig) -> str | None:
        found = self._operator.ask("GET", f"/api/v1/admin/devices/{client.lfdi.lower()}", fine=(404,))
        return None if found is None else str(found["id"])

    def _unregister(self, client: ClientConfig) -> None:
        device = self._device(client)
        if device is not None:
            self._operator.ask("DELETE", f"/api/v1/admin/devices/{device}/documents")
            self._operator.ask("DELETE", f"/api/v1/devices/{device}")


def fields(said: dict[str, Any]) -> dict[str, Any]:
    """CACTUS's watts, hundredths and switches as gridnet's fields."""
    made: dict[str, Any] = {ours: said[theirs] / 1000 for theirs, ours in LIMITS.items() if said.get(theirs) is not None}
    made |= {ours: said[theirs] / 100 for theirs, ours in HUNDREDTHS.items() if said.get(theirs) is not None}
    return made | {ours: said[theirs] for theirs, ours in SWITCHES.items() if said.get(theirs) is not None}
