"""A network as torch.jit.trace gives it."""

from __future__ import annotations

import torch


class TorchScriptPythonDecoder:
    def __init__(self, traced: torch.nn.Module):
        self.traced = traced
