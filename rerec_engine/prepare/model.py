"""`prepare model`: a language model's directory of a GGUF file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rerec_engine.cli import waiting


@dataclass(frozen=True)
class Model:
    """A model directory of a GGUF file (extra `gguf`), for --model of every command: fp32 weights, tokenizer and chat
    template, proven by texts that come back and by how well the model predicts one."""

    gguf: Path
    """GGUF file of a causal LM with a byte-level BPE vocabulary, such as SmolLM2's or Qwen2.5's."""
    output: Path
    """Model directory to write."""

    def run(self) -> str:
        """Write the model directory and say what it holds. Raises UserError."""
        with waiting("loading the libraries"):
            from rerec_engine.model.gguf import convert

        with waiting(f"reading {self.gguf} and writing its weights out"):
            made = convert(self.gguf, self.output)
        facts = made.facts
        types = ", ".join(f"{count} {name}" for name, count in facts.quantisation.items())
        lines = [
            f"{facts.architecture}, {made.parameters / 1e6:.1f} M parameters, tensors: {types}",
            f"license: {facts.license or 'the file names none'}",
            f"pre-tokenizer {facts.pre_tokenizer}: texts come back whole; English takes {made.bits:.2f} bits a byte "
            f"(perplexity {made.perplexity:.1f})",
            *made.told,
            f"written to {made.output}",
        ]
        return "\n".join(lines)
