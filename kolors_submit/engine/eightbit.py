"""Linear layers held in 8 bits: half the memory, and on cards with fp8 products about twice the speed of the product.

Weights have one scale for each output channel; with fp8 the input gets one for each row as it comes.
"""

from __future__ import annotations

from typing import Literal

import torch

EightBit = Literal["fp8", "int8"]

FP8_MAX = 448.0
"""The largest float8_e4m3fn."""
INT8_MAX = 127.0
MULTIPLE = 16
"""fp8 products need both widths to be multiples of this."""


class EightBitLinear(torch.nn.Module):
    """`torch.nn.Linear` with its weight in fp8 or int8. Not for training."""

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, source: torch.nn.Linear, kind: EightBit) -> None:
        super().__init__()
        self.kind = kind
        largest = FP8_MAX if kind == "fp8" else INT8_MAX
        weight = source.weight.float()
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / largest
        scaled = weight / scale
        held = scaled.to(torch.float8_e4m3fn) if kind == "fp8" else scaled.round().to(torch.int8)
        self.register_buffer("weight", held)
        self.register_buffer("scale", scale)
        self.bias = source.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs [..., in] to [..., out] in the inputs' dtype."""
        if self.kind == "fp8" and inputs.is_cuda:
            return self._product(inputs)
        weight = self.weight.to(inputs.dtype) * self.scale.to(inputs.dtype)
        return torch.nn.functional.linear(inputs, weight, self.bias)

    def _product(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        scale = rows.abs().amax(1, keepdim=True).float().clamp(min=1e-12) / FP8_MAX
        held = (rows / scale).to(torch.float8_e4m3fn)
        # Scales by row give bfloat16 only; the bias is added in the inputs' dtype.
        product = torch._scaled_mm(held, self.weight.t(), scale, self.scale.t(), out_dtype=torch.bfloat16)
        result = product.to(inputs.dtype).view(*inputs.shape[:-1], -1)
        return result if self.bias is None else result + self.bias


def hold_in_8_bits(network: torch.nn.Module, kind: EightBit) -> int:
    """Replace the network's linear layers in place; returns how many. Those with odd widths stay as they are."""
    count = 0
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, torch.nn.Linear) and not (
                child.in_features % MULTIPLE or child.out_features % MULTIPLE
            ):
                setattr(parent, name, EightBitLinear(child, kind))
                count += 1
    return count
