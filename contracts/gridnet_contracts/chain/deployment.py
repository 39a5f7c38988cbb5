"""A deployment file: which contract, on which chain, since which block."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gridnet.errors import Fault, InputError
from gridnet_contracts.chain.batch import Registry


class Deployment(BaseModel):
    """What `gridnet chain deploy` writes and the other commands read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    chain_id: Annotated[int, Field(ge=1)]
    contract: Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
    block: Annotated[int, Field(ge=0)]
    transaction: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]

    @property
    def registry(self) -> Registry:
        """The contract."""
        return Registry(self.chain_id, self.contract)


def read_deployment(path: Path) -> Deployment:
    """The deployment in a file. Raises `InputError`."""
    try:
        return Deployment.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            "can't read the deployment:", [Fault(str(path), str(error), "a file that gridnet chain deploy wrote")]
        ) from error
