"""A trained actor: a small multilayer perceptron, stored as plain arrays beside the card that says what it may be used for."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import InputError
from gridnet_envs.slots import Slot, width

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

WEIGHTS, CARD = "weights.npz", "card.json"


@dataclass(frozen=True)
class Actor:
    """Layers of a perceptron with SiLU between them; the output is the mean action, cut to -1..1."""

    weights: tuple[Float32s, ...]
    """(outputs, inputs) of each layer."""
    biases: tuple[Float32s, ...]

    def act(self, observation: Float32s) -> Floats:
        """The action (actions,) for an observation (width,), or a batch of both."""
        hidden = observation
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            summed = hidden @ weight.T + bias
            # SiLU by way of tanh, which doesn't overflow.
            hidden = np.asarray(summed * (0.5 + 0.5 * np.tanh(0.5 * summed)), dtype=np.float32)
        return np.asarray(np.clip(hidden @ self.weights[-1].T + self.biases[-1], -1.0, 1.0), dtype=np.float64)

    def digest(self) -> str:
        """SHA-256 over all numbers."""
        digest = hashlib.sha256()
        for array in (*self.weights, *self.biases):
            digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def observation_contract(slots: tuple[Slot, ...]) -> list[dict[str, Any]]:
    """What a policy depends on of each observation slot."""
    return [{key: value for key, value in asdict(slot).items() if key != "meaning"} for slot in slots]


def save_actor(folder: Path, actor: Actor, slots: tuple[Slot, ...], facts: dict[str, Any]) -> None:
    """Writes weights and card; `facts` are the recipe and what the run measured."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = {f"weight_{k}": weight for k, weight in enumerate(actor.weights)}
    layers |= {f"bias_{k}": bias for k, bias in enumerate(actor.biases)}
    np.savez(folder / WEIGHTS, allow_pickle=False, **layers)
    card = {"sha256": actor.digest(), "observation": observation_contract(slots), **facts}
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def load_actor(folder: Path, slots: tuple[Slot, ...], actions: int) -> Actor:
    """The actor in `folder`, for an environment that observes `slots` and takes `actions` numbers.

    Raises `InputError` where the files are absent or damaged, where the weights are not those of the card, or where the
    observation is not the one it was trained on.
    """
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        content = io.BytesIO((folder / WEIGHTS).read_bytes())
        with np.load(content, allow_pickle=False) as stored:
            layers = len(stored.files) // 2
            weights = tuple(stored[f"weight_{k}"] for k in range(layers))
            biases = tuple(stored[f"bias_{k}"] for k in range(layers))
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"no usable trained policy in {folder}: {error}; train one with 'gridnet train'") from error
    if not isinstance(card, dict):
        raise InputError(f"the card in {folder} is no JSON object; restore the folder or train again")
    actor = Actor(weights, biases)
    if card.get("sha256") != actor.digest():
        raise InputError(f"the weights in {folder} are not those its card describes; train again or restore the folder")
    if card.get("observation") != observation_contract(slots):
        raise InputError(f"the policy in {folder} was trained on another observation; train it again with this version")
    if not _fits(actor, width(slots), actions):
        raise InputError(
            f"the layers in {folder} don't lead from {width(slots)} numbers observed to {actions} of an action; train again"
        )
    return actor


def _fits(actor: Actor, inputs: int, outputs: int) -> bool:
    """Whether the layers lead from the observation to the action."""
    sizes = [inputs]
    for weight, bias in zip(actor.weights, actor.biases, strict=True):
        if weight.ndim != 2 or weight.shape[1] != sizes[-1] or bias.shape != weight.shape[:1]:
            return False
        sizes.append(weight.shape[0])
    return len(sizes) > 1 and sizes[-1] == outputs
