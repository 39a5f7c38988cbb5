# pragma version 0.4.3
# pragma evm-version cancun
"""@title Credit registry
@license Apache-2.0
@notice Credits that left the SQL ledger. The operator anchors the Merkle root (RFC 6962) of a batch of locked certificates; whoever
    has a proof claims a certificate for the owner whom its leaf names, once; owners hold, transfer (ERC-1155, the batch is the id,
    one unit per Wh) and retire what they have. Pausing stops what comes in, never what holders do."""
interface Receiver:
    def onERC1155Received(operator: address, sender: address, id: uint256, wh: uint256, note: Bytes[1024]) -> bytes4: nonpayable
    def onERC1155BatchReceived(operator: address, sender: address, ids: DynArray[uint256, 64],
        whs: DynArray[uint256, 64], note: Bytes[1024]) -> bytes4: nonpayable
event Anchored:
    batch: indexed(uint256)
    root: bytes32
    size: uint32
    total_wh: uint64
    checkpoint: bytes32
event Claimed:
    batch: indexed(uint256)
    index: indexed(uint256)
    certificate: indexed(bytes32)
event Retired:
    holder: indexed(address)
    id: indexed(uint256)
    wh: uint256
    beneficiary: String[64]
    purpose: String[200]
event Paused:
    paused: bool
event Role:
    role: indexed(uint8)
    account: indexed(address)
    taken: bool # else offered
event TransferSingle:
    operator: indexed(address)
    sender: indexed(address)
    receiver: indexed(address)
    id: uint256
    value: uint256
event TransferBatch:
    operator: indexed(address)
    sender: indexed(address)
    receiver: indexed(address)
    ids: DynArray[uint256, 64]
    values: DynArray[uint256, 64]
event ApprovalForAll:
    owner: indexed(address)
    operator: indexed(address)
    approved: bool
ADMIN: constant(uint8) = 0 # pauses, hands on both roles
ANCHOR: constant(uint8) = 1 # anchors batches
LOW: constant(uint256) = 2**64 - 1
holders: public(HashMap[uint8, address])
offers: public(HashMap[uint8, address])
paused: public(bool)
batches: public(uint256) # how many were anchored; the next one's number
roots: public(HashMap[uint256, bytes32])
sums: public(HashMap[uint256, uint256]) # one word a batch: size << 192 | retired Wh << 128 | total Wh << 64 | claimed Wh
checkpoints: public(HashMap[uint256, bytes32])
claims: public(HashMap[uint256, HashMap[uint256, uint256]]) # batch, index // 256: one bit per leaf
shares: HashMap[address, HashMap[uint256, uint256]] # owner, batch // 4: Wh of four batches, 64 bits each
isApprovedForAll: public(HashMap[address, HashMap[address, bool]])
@deploy
def __init__(admin: address, anchorer: address):
    assert admin != empty(address) and anchorer != empty(address), "no account"
    self.holders[ADMIN] = admin
    self.holders[ANCHOR] = anchorer
    log Role(role=ADMIN, account=admin, taken=True)
    log Role(role=ANCHOR, account=anchorer, taken=True)

@external # Enters a batch for good. Its number is the next one, so that none can be entered twice.
def anchor(batch: uint256, root: bytes32, size: uint32, total_wh: uint64, checkpoint: bytes32):
    assert msg.sender == self.holders[ANCHOR], "not the anchor"
    assert not self.paused, "paused"
    assert batch == self.batches, "not the next batch"
    assert size != 0 and total_wh != 0, "empty batch"
    self.batches = batch + 1
    self.roots[batch] = root
    self.sums[batch] = (convert(size, uint256) << 192) | (convert(total_wh, uint256) << 64)
    self.checkpoints[batch] = checkpoint
    log Anchored(batch=batch, root=root, size=size, total_wh=total_wh, checkpoint=checkpoint)

@external # Gives a leaf's owner its credit. Anybody may ask for it, nobody can turn it to another owner.
def claim(batch: uint256, index: uint256, owner: address, certificate: bytes32, wh: uint256, proof: DynArray[bytes32, 32]):
    assert not self.paused, "paused"
    sums: uint256 = self.sums[batch]
    assert index < sums >> 192 and owner != empty(address), "no such leaf"
    word: uint256 = self.claims[batch][index >> 8]
    bit: uint256 = 1 << (index & 255)
    assert word & bit == 0, "claimed before"
    assert wh <= ((sums >> 64) & LOW) - (sums & LOW), "more than was anchored"
    # From the leaf up, as RFC 9162, section 2.1.3.2, has it: node and last are positions on the level reached so far.
    reached: bytes32 = sha256(concat(b"\x00", abi_encode(chain.id, self, batch, index, owner, certificate, wh)))
    node: uint256 = index
    last: uint256 = (sums >> 192) - 1
    for sibling: bytes32 in proof:
        if node == last: # the last node of an odd level rises without a sibling
            assert last != 0, "proof too long"
            node = unsafe_div(node, node & unsafe_sub(0, node)) # up to where it is a right child: no zeros at its end
            last = node
        reached = sha256(concat(b"\x01", sibling, reached)) if node & 1 == 1 else sha256(concat(b"\x01", reached, sibling))
        node >>= 1
        last >>= 1
    assert last == 0 and reached == self.roots[batch], "not in the batch"
    self.claims[batch][index >> 8] = word | bit
    self.sums[batch] = sums + wh
    self._give(owner, batch, wh)
    log Claimed(batch=batch, index=index, certificate=certificate)
    log TransferSingle(operator=msg.sender, sender=empty(address), receiver=owner, id=batch, value=wh)
    self._offered(empty(address), owner, batch, wh, b"")

@external # Uses up the caller's credit for a beneficiary: it is gone for good.
def retire(id: uint256, wh: uint256, beneficiary: String[64], purpose: String[200]):
    assert wh != 0 and len(beneficiary) != 0, "nothing to retire"
    self._take(msg.sender, id, wh)
    self.sums[id] += wh << 128
    log TransferSingle(operator=msg.sender, sender=msg.sender, receiver=empty(address), id=id, value=wh)
    log Retired(holder=msg.sender, id=id, wh=wh, beneficiary=beneficiary, purpose=purpose)

@external
def safeTransferFrom(sender: address, receiver: address, id: uint256, wh: uint256, note: Bytes[1024]):
    self._may_move(sender, receiver)
    self._take(sender, id, wh)
    self._give(receiver, id, wh)
    log TransferSingle(operator=msg.sender, sender=sender, receiver=receiver, id=id, value=wh)
    self._offered(sender, receiver, id, wh, note)

@external
def safeBatchTransferFrom(sender: address, receiver: address, ids: DynArray[uint256, 64],
    whs: DynArray[uint256, 64], note: Bytes[1024]):
    self._may_move(sender, receiver)
    assert len(ids) == len(whs), "lengths differ"
    for k: uint256 in range(len(ids), bound=64):
        self._take(sender, ids[k], whs[k])
        self._give(receiver, ids[k], whs[k])
    log TransferBatch(operator=msg.sender, sender=sender, receiver=receiver, ids=ids, values=whs)
    if receiver.is_contract:
        answer: bytes4 = extcall Receiver(receiver).onERC1155BatchReceived(msg.sender, sender, ids, whs, note)
        assert answer == 0xbc197c81, "not received"

@external
def setApprovalForAll(operator: address, approved: bool):
    self.isApprovedForAll[msg.sender][operator] = approved
    log ApprovalForAll(owner=msg.sender, operator=operator, approved=approved)
@external
def pause(paused: bool):
    assert msg.sender == self.holders[ADMIN], "not the admin"
    self.paused = paused
    log Paused(paused=paused)
@external # First step: the admin names a role's next holder; nobody takes an offer back.
def offer_role(role: uint8, account: address):
    assert msg.sender == self.holders[ADMIN], "not the admin"
    assert role <= ANCHOR, "no such role"
    self.offers[role] = account
    log Role(role=role, account=account, taken=False)
@external # Second step: the one who was named takes it, and so proves to have the key.
def take_role(role: uint8):
    assert msg.sender == self.offers[role], "not offered"
    self.offers[role] = empty(address)
    self.holders[role] = msg.sender
    log Role(role=role, account=msg.sender, taken=True)

@view
@external
def balanceOf(owner: address, id: uint256) -> uint256:
    return self._held(owner, id)
@view
@external
def balanceOfBatch(owners: DynArray[address, 64], ids: DynArray[uint256, 64]) -> DynArray[uint256, 64]:
    assert len(owners) == len(ids), "lengths differ"
    amounts: DynArray[uint256, 64] = []
    for k: uint256 in range(len(owners), bound=64):
        amounts.append(self._held(owners[k], ids[k]))
    return amounts
@pure
@external
def supportsInterface(kind: bytes4) -> bool:
    return kind == 0x01ffc9a7 or kind == 0xd9b67a26

@view
@internal
def _held(owner: address, id: uint256) -> uint256:
    return (self.shares[owner][id >> 2] >> ((id & 3) << 6)) & LOW
@internal
def _take(owner: address, id: uint256, wh: uint256):
    word: uint256 = self.shares[owner][id >> 2]
    assert wh <= (word >> ((id & 3) << 6)) & LOW, "more than is held"
    self.shares[owner][id >> 2] = word - (wh << ((id & 3) << 6))
@internal # Without a carry into the next batch's bits: of no batch more is held than was anchored, which is 64 bits.
def _give(owner: address, id: uint256, wh: uint256):
    self.shares[owner][id >> 2] += wh << ((id & 3) << 6)
@internal
def _may_move(sender: address, receiver: address):
    assert msg.sender == sender or self.isApprovedForAll[sender][msg.sender], "not approved"
    assert receiver != empty(address), "no receiver"
@internal # A contract must say that it can hold credits.
def _offered(sender: address, receiver: address, id: uint256, wh: uint256, note: Bytes[1024]):
    if receiver.is_contract:
        answer: bytes4 = extcall Receiver(receiver).onERC1155Received(msg.sender, sender, id, wh, note)
        assert answer == 0xf23a6e61, "not received"
