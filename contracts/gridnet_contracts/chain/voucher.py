"""A voucher: all that an owner needs to claim a credit on the chain without the operator. A file holds any number of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gridnet.errors import Fault, InputError
from gridnet_contracts.chain.batch import Credit, CreditBatch, Registry, leaf
from gridnet_contracts.log.merkle import leaf_hash, verify_inclusion

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]


class Voucher(BaseModel):
    """A credit, its place, and the proof that it is there."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    chain_id: Annotated[int, Field(ge=1)]
    contract: Address
    batch: Annotated[int, Field(ge=0)]
    index: Annotated[int, Field(ge=0)]
    owner: Address
    certificate: str
    certificate_hash: Hash
    wh: Annotated[int, Field(ge=1, lt=2**53)]
    proof: Annotated[tuple[Hash, ...], Field(max_length=32, strict=False)]

    @classmethod
    def of(cls, batch: CreditBatch, index: int) -> Self:
        """The voucher of a leaf."""
        credit = batch.credits[index]
        return cls(
            chain_id=batch.registry.chain_id,
            contract=batch.registry.contract,
            batch=batch.number,
            index=index,
            owner=credit.owner,
            certificate=credit.certificate,
            certificate_hash=f"{credit.chain_hash:064x}",
            wh=credit.wh,
            proof=tuple(each.hex() for each in batch.proof(index)),
        )

    @property
    def registry(self) -> Registry:
        """The contract that it is good on."""
        return Registry(self.chain_id, self.contract)

    def hashes(self) -> list[bytes]:
        """The proof, 32 bytes each."""
        return [bytes.fromhex(each) for each in self.proof]

    def verify(self, root: bytes, size: int) -> None:
        """Raises `ProofRefused` unless the leaf stands in the tree of `size` leaves with this `root`."""
        credit = Credit(self.certificate, int(self.certificate_hash, 16), self.owner, self.wh)
        content = leaf(self.registry, self.batch, self.index, credit)
        verify_inclusion(leaf_hash(content), self.index, size, self.hashes(), root)


def write_vouchers(batch: CreditBatch, folder: Path) -> list[Path]:
    """A file per owner, `batch-NUMBER-ADDRESS.json`, in a folder that is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    by_owner: dict[str, list[str]] = {}
    for index, credit in enumerate(batch.credits):
        by_owner.setdefault(credit.owner, []).append(Voucher.of(batch, index).model_dump_json())
    written = []
    for owner, lines in sorted(by_owner.items()):
        path = folder / f"batch-{batch.number}-{owner}.json"
        path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        written.append(path)
    return written


def read_vouchers(path: Path) -> list[Voucher]:
    """The vouchers in a file. Raises `InputError`."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(listed, list):
            raise InputError("can't read the vouchers:", [Fault(str(path), "no list", "a list of vouchers")])
        return [Voucher.model_validate_json(json.dumps(each)) for each in listed]
    except ValidationError as error:
        faults = [
            Fault(f"{path}: {'.'.join(map(str, each['loc']))}", repr(each["input"])[:60], each["msg"]) for each in error.errors()
        ]
        raise InputError("can't read the vouchers:", faults) from error
    except (OSError, ValueError) as error:
        raise InputError(
            "can't read the vouchers:", [Fault(str(path), str(error), "a file that gridnet chain anchor wrote")]
        ) from error
