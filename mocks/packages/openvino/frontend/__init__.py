"""How a network of torch comes into the stand-in."""

from __future__ import annotations

from openvino import Model, wish

from .pytorch.ts_decoder import TorchScriptPythonDecoder


class FrontEndManager:
    def load_by_framework(self, name: str) -> FrontEnd:
        assert name == "pytorch"
        return FrontEnd()


class FrontEnd:
    def load(self, decoder: TorchScriptPythonDecoder) -> TorchScriptPythonDecoder:
        return decoder

    def convert(self, decoder: TorchScriptPythonDecoder) -> Model:
        if wish("REFUSES"):
            raise RuntimeError("Some OPs were not translated.\nNo rule for aten::fly")
        return Model(decoder.traced)
