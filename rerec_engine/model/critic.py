"""PPO's critic: a copy of the policy's body with a scalar head, one value per response token."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rerec_engine.model.policy import Policy
from rerec_engine.model.sequences import Row, response_states


class Critic(nn.Module):
    """V(s_t) for the state in which token t is drawn. The head starts at 0: the first advantages are plain rewards.

    Nothing of it is the policy's: training it changes no log-prob.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.body = copy.deepcopy(policy.model.get_decoder())
        self.head = nn.Linear(
            policy.model.config.get_text_config().hidden_size, 1, device=policy.device, dtype=policy.model.dtype
        )
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.pad_id, self.packed = policy.pad_id, policy.packed

    def forward(self, rows: Sequence[Row]) -> Tensor:
        """Values of the responses' tokens, [T] float32, T = sum of the response lengths, in the rows' order."""
        states, _ = response_states(self.body, rows, self.pad_id, self.packed)  # [T, H]
        values: Tensor = self.head(states)
        return values[:, 0].to(torch.float32, copy=True)  # FSDP warns where a module returns a view
