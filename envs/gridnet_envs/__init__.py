"""Environments over the one transition of `gridnet.simulate`. Importing registers `gridnet/Dispatch-v0` with Gymnasium."""

import gymnasium

gymnasium.register(
    id="gridnet/Dispatch-v0",
    entry_point="gridnet_envs.dispatch_env:DispatchEnv",
    vector_entry_point="gridnet_envs.vector:DispatchVectorEnv",
)
