"""CACTUS, the conformance suite for CSIP-AUS servers, unmodified, against `gridnet serve`: mutual TLS on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from gridnet.app.service.authority import Authority
from gridnet.app.service.model import sfdi_of
from tests.gridnet.app.api.openadr.venvs import environment
from tests.gridnet.app.api.sep.running import Server

CACTUS = ("cactus-client==1.3.3", "setuptools>=61")
"""And what installs the plugin, without asking an index again."""
PLUGIN = Path(__file__).parent / "cactus_plugin"
PIN, PEN, MOST_W = 111_115, 28_547, 5_000


def prepare(folder: Path) -> tuple[Path, Path]:
    """The Python that has CACTUS, and a folder with the plugin, installed from its package. Skips where they can't be made."""
    python = environment(*CACTUS)
    source, installed = folder / "plugin-source", folder / "plugin"
    # A build leaves files beside its source: it is given a copy.
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(installed),
        str(source),
    ]
    made = subprocess.run(install, check=False, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return python, installed


@dataclass(frozen=True)
class Suite:
    """CACTUS with two devices and an aggregator of its own, whose names begin with `name`."""

    name: str
    server: Server
    receiver: str
    python: Path
    plugin: Path

    def run(self, procedures: Sequence[str], each_s: int) -> dict[str, str]:
        """Procedures one after the other: PASS or FAIL by procedure. Any XSD error in an answer is a FAIL."""
        folder = self.server.folder / self.name
        out = folder / "out"
        out.mkdir(parents=True)
        config = folder / "cactus.yaml"
        config.write_text(yaml.safe_dump(self._config(folder, out)), encoding="utf-8")
        command = [str(self.python), "-m", "cactus_client.cli.main", "autorun", "--headless", "--quiet", "-c", str(config)]
        command += ["--timeout", str(each_s), "--include", *procedures]
        given = {
            "PYTHONPATH": str(self.plugin),
            "GRIDNET_URL": self.server.url,
            "GRIDNET_CA": str(self.server.authority),
            "GRIDNET_CLIENT": "operator",
            "GRIDNET_SECRET": self.server.secret,
        }
        with (folder / "cactus.log").open("wb") as log:
            environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | given
            limit_s = each_s * len(procedures)
            subprocess.run(command, check=False, stdout=log, stderr=log, cwd=folder, env=environment, timeout=limit_s)
        return {
            (found.parent / ".testprocedureid").read_text(encoding="utf-8").strip(): found.read_text(encoding="utf-8").strip()
            for found in sorted(out.glob("*/.result"))
        }

    def told(self) -> str:
        """The end of what CACTUS said."""
        return (self.server.folder / self.name / "cactus.log").read_text(encoding="utf-8", errors="replace")[-6000:]

    def _config(self, folder: Path, out: Path) -> dict[str, object]:
        authority = Authority.at(self.server.folder / "tls")
        clients = []
        for kind, count in (("device", 2), ("aggregator", 1)):
            for number in range(count):
                name = f"{self.name}-{kind}-{number}"
                issued = authority.issue(folder / "certificates", name)
                # What an aggregator registers has another name than its own certificate.
                lfdi = issued.lfdi if kind == "device" else issued.lfdi[::-1]
                client = {"id": name, "type": kind, "certificate_file": str(issued.certificate), "key_file": str(issued.key)}
                facts = {"lfdi": lfdi.upper(), "sfdi": sfdi_of(lfdi), "pen": PEN, "pin": PIN, "max_watts": MOST_W}
                clients.append({**client, **facts})
        server = {
            "device_capability_uri": f"{self.server.url}/sep2/dcap",
            "verify_ssl": True,
            "verify_host_name": True,
            "serca_pem_file": str(self.server.authority),
            "notification_uri": self.receiver,
            "pen": 0,
        }
        return {"output_dir": str(out), "server": server, "clients": clients}
