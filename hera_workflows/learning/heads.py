"""What is served of a module: its logits as probabilities, its numbers as a prediction.

Imports torch at the top: only the training process loads this.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BinaryHead", "PredictionHead", "ProbabilityHead"]


class _Head(nn.Module):
    """Calls the module as `data()` gives inputs: one array as the argument, a dict as keywords."""

    def __init__(self, module: nn.Module, *, keywords: bool) -> None:
        super().__init__()
        self.module = module
        self.keywords = keywords

    def answer(self, inputs: dict[str, Tensor]) -> Tensor:
        """The module's own answer; Hugging Face style objects are asked for their logits."""
        result: Any = self.module(**inputs) if self.keywords else self.module(*inputs.values())
        if isinstance(result, dict):
            result = result.get("logits", next(iter(result.values())))
        elif hasattr(result, "logits"):
            result = result.logits
        elif isinstance(result, tuple):
            result = result[0]
        if not isinstance(result, Tensor):
            raise TypeError(f"the module returned {type(result).__name__}; return a tensor")
        return result.float()


class ProbabilityHead(_Head):
    """(…, classes) logits → probabilities that sum to 1 over the last axis."""

    def forward(self, **inputs: Tensor) -> Tensor:
        """Inputs by name → float32 of the logits' shape."""
        return torch.softmax(self.answer(inputs), dim=-1)


class BinaryHead(_Head):
    """One logit a sample, (n,) or (n, 1), or two, (n, 2) → (n, 2) probabilities of class 0 and 1."""

    def forward(self, **inputs: Tensor) -> Tensor:
        """Inputs by name → (n, 2) float32."""
        logits = self.answer(inputs)
        if logits.dim() == 1:
            logits = logits.unsqueeze(-1)
        if logits.shape[-1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
        return torch.softmax(logits, dim=-1)


class PredictionHead(_Head):
    """(n,) or (n, 1) numbers → (n, 1) predictions, because Triton batches on the first axis."""

    def forward(self, **inputs: Tensor) -> Tensor:
        """Inputs by name → (n, 1) float32."""
        prediction = self.answer(inputs)
        return prediction.unsqueeze(-1) if prediction.dim() == 1 else prediction
