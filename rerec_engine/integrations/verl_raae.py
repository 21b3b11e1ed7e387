"""verl: ReRec's advantage and token-level rewards (RAAE, arXiv 2604.07851), registered by importing this module.

The advantage estimator `raae` reads the reward of every token. The reward manager `raae` delivers them to the trainers
of verl up to 0.6; to those of later versions, whose reward managers give one number a response, see `verl_agent`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from verl import DataProto
from verl.trainer.ppo.core_algos import register_adv_est
from verl.workers.reward_manager import register
from verl.workers.reward_manager.abstract import AbstractRewardManager

from rerec_engine.errors import UserError
from rerec_engine.integrations.rank import coded_advantage, coded_rewards, groups_of
from rerec_engine.integrations.shared import candidates_of, plain, reward_info, row_names, shared_engine, with_row
from rerec_engine.ops.groups import standardise
from rerec_engine.reward import TokenScores
from rerec_engine.reward.opened import ids_end_opened


@register_adv_est("raae")
def raae_advantage(
    token_level_rewards: torch.Tensor,  # [B, L]
    response_mask: torch.Tensor,  # [B, L]
    index: NDArray[Any],  # [B], the prompt's uid
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A = (r - mean) / population std over all response tokens of the group, twice: as advantages and as returns.

    [B, L] in the dtype of the rewards, from float64; 0 on masked tokens, and exactly 0 throughout a group whose token
    rewards are all equal.
    """
    mask = response_mask.bool()
    group = groups_of(index).to(mask.device)
    rewards = token_level_rewards[mask]  # [T]
    owner = group.unsqueeze(1).expand_as(mask)[mask]  # [T]
    advantages = torch.zeros_like(token_level_rewards)
    advantages[mask] = standardise(rewards, torch.ones_like(rewards), owner).to(advantages.dtype)
    return advantages, advantages


@register_adv_est("rank")
def rank_advantage(
    token_level_rewards: torch.Tensor,  # [B, L], of `score_tokens` with rank
    response_mask: torch.Tensor,  # [B, L]
    index: NDArray[Any],  # [B], the prompt's uid
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Credit by rank (`advantage.estimator: rank`), twice: as advantages and as returns.

    [B, L] in the dtype of the rewards: at an entry's tokens against the same place of the group's answers, elsewhere as
    `raae_advantage` over the tokens that belong to no entry; 0 on masked tokens.
    """
    mask = response_mask.bool()
    advantages = coded_advantage(token_level_rewards, mask, groups_of(index).to(mask.device))
    advantages = advantages.to(token_level_rewards.dtype)
    return advantages, advantages


@register("raae")
class RaaeRewardManager(AbstractRewardManager):
    """The reward of every response token, [B, L] float32; 0 on padding and on what the model did not write.

    options: `data_dir`, `threads`, `weights` (see `shared_engine`), `w_penalty`, `rank`, `w_invalid` and `opened` (see
    `score_tokens`). compute_score is not used.
    """

    def __init__(
        self,
        tokenizer: Any,
        num_examine: int = 0,
        compute_score: Any = None,
        reward_fn_key: str = "data_source",
        **options: Any,
    ) -> None:
        self.tokenizer, self.reward_fn_key, self.options = tokenizer, reward_fn_key, options

    def __call__(self, data: DataProto, return_dict: bool = False) -> torch.Tensor | dict[str, Any]:
        responses, columns = data.batch["responses"], data.non_tensor_batch
        mask = data.batch.get("response_mask", None)
        if mask is None:
            mask = data.batch["attention_mask"][:, -responses.shape[1] :]
        rows = [{name: values[i] for name, values in columns.items()} for i in range(len(data))]
        prompts = data.batch.get("prompts", None)
        scored = score_tokens(responses, mask, rows, self.tokenizer, self.reward_fn_key, prompts, **self.options)
        rewards = torch.from_numpy(scored.token_rewards).to(responses.device)
        if not return_dict:
            return rewards
        infos = [reward_info(scored.scores, i) for i in range(len(data))]
        return {"reward_tensor": rewards, "reward_extra_info": {key: [info[key] for info in infos] for key in infos[0]}}


def score_tokens(
    responses: torch.Tensor,  # [B, L]
    mask: torch.Tensor,  # [B, L], 1: written by the model
    rows: Sequence[Mapping[str, Any]],  # [B], of the dataset
    tokenizer: Any,
    source: str = "data_source",
    prompts: Sequence[Any] | torch.Tensor | None = None,  # [B], their ids, padding on the left
    *,
    opened: bool | None = None,
    w_penalty: float = 0.3,
    rank: bool = False,
    w_invalid: float = 0.1,
    **options: Any,
) -> TokenScores:
    """`RewardEngine.score_tokens` of verl's rows. opened: whether the prompts open a block of reasoning; None: as their
    ids tell, and not without them. rank: token rewards hold those of entries too, coded for the estimator `rank`; it
    needs weights with k of at least 2. Errors: `UserError` that names the row."""
    extras = [row.get("extra_info") for row in rows]
    names = row_names([str(row.get(source)) for row in rows], extras)
    truths = [plain(row["reward_model"].get("ground_truth")) for row in rows]
    among = [candidates_of(extra) for extra in extras]
    opens: bool | list[bool] = bool(opened)
    if opened is None and prompts is not None:
        opens = [ids_end_opened(plain(prompt), tokenizer) for prompt in prompts]
    engine = shared_engine(**options)
    if rank and engine.weights.k < 2:
        raise UserError(f"rank needs weights with k >= 2, got {engine.weights.k}: reward_kwargs.weights.k=3")
    more: dict[str, Any] = {"opened": opens, "entries": rank, "w_invalid": w_invalid}
    try:
        scored = engine.score_tokens(responses, mask, truths, tokenizer, among, w_penalty, **more)
    except UserError as error:
        raise with_row(error, names) from None
    if scored.entries is None:
        return scored
    return dataclasses.replace(scored, token_rewards=coded_rewards(scored.token_rewards, scored.entries))
