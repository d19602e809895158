"""Tokens and the text encoder's conditioning, as the real pipelines make them: 256 tokens, padded at the left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.kolors_text_encoder import ChatGLMModel

from kolors_submit.picturebook.pretrain.settings import TOKENS


def tokenizer_folder() -> str:
    """Where the real ChatGLM tokenizer lies in the diffsynth package."""
    import diffsynth

    return str(Path(diffsynth.__file__).parent / "tokenizer_configs/kolors/tokenizer")


def tokenizer() -> Any:
    """The real ChatGLM tokenizer."""
    from diffsynth.prompters.kolors_prompter import ChatGLMTokenizer

    return ChatGLMTokenizer.from_pretrained(tokenizer_folder())


def padded_tokens(prompts: Sequence[str], tokens: Any) -> torch.Tensor:
    """Token ids (count, 256) of the prompts, cut and padded as the real pipelines do."""
    inputs = tokens(list(prompts), padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
    return inputs["input_ids"]


class TextEncoder(torch.nn.Module):
    """ChatGLM's two outputs for conditioning, in a form that compiles: no branch depends on the tokens."""

    def __init__(self, model: ChatGLMModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Context (count, 256, width) and pooled embedding (count, width) from ids (count, 256), 0 being padding.

        They are the second-to-last hidden state and the last token of the last hidden state.
        """
        real = (ids != 0).long()
        positions = (real.cumsum(1) - 1).clamp(min=0)
        states = self.model(
            input_ids=ids,
            position_ids=positions,
            full_attention_mask=_hidden_from(real),
            use_cache=False,
            output_hidden_states=True,
            return_dict=True,
        ).hidden_states
        return states[-2].transpose(0, 1), states[-1][-1]


def _hidden_from(real: torch.Tensor) -> torch.Tensor:
    """True where a token may not look, (count, 1, length, length): ChatGLM's own mask for left padding.

    A word looks at the words up to itself; a pad looks everywhere.
    """
    length = real.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=real.device).tril()
    visible = (causal & real.bool()[:, None, :]) | ~real.bool()[:, :, None]
    return ~visible[:, None]
