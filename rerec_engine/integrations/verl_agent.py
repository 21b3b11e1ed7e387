"""verl: an agent loop that gives the trainer (`trainer.use_v1`) a reward for every token; importing it registers
`raae_agent`, and what `verl_raae` registers."""

from __future__ import annotations

from typing import Any

import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, register
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

from rerec_engine.integrations.shared import reward_info
from rerec_engine.integrations.verl_raae import score_tokens


class TokenRewardOutput(AgentLoopOutput):
    """A trajectory with a reward a response token; verl's own has one, which it puts on the last token."""

    token_rewards: list[float]

    def as_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().as_dict()
        fields["rm_scores"] = torch.tensor(fields.pop("token_rewards"), dtype=torch.float32)
        return fields


@register("raae_agent")
class RaaeAgentLoop(SingleTurnAgentLoop):
    """verl's single-turn agent loop with the reward of every token; options: `reward.reward_kwargs` of the config."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> TokenRewardOutput:
        output = await super().run(sampling_params, **kwargs)
        ids, mask = torch.tensor([output.response_ids], dtype=torch.long), torch.tensor([output.response_mask])
        options = self.config.reward.get("reward_kwargs") or {}
        scored = await self.loop.run_in_executor(
            None,
            lambda: score_tokens(ids, mask, [kwargs], self.tokenizer, prompts=[output.prompt_ids], **options),
        )
        info = reward_info(scored.scores, 0)
        output.extra_fields["reward_extra_info"] = info
        fields = {name: getattr(output, name) for name in output.model_fields_set} | {"reward_score": info["score"]}
        return TokenRewardOutput(**fields, token_rewards=scored.token_rewards[0].tolist())
