"""Inputs for any Transformers model, by what it calls them."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

TOKENS = 8
FRAMES = 128  # of a spectrogram
SAMPLES = 1600  # of a sound


def inputs(model: Any, batch: int, seed: int, extra: tuple[str, ...] = ()) -> dict[str, Any]:
    """The main input, what a decoder needs beside it, and what is asked for by name.

    Args:
        model: a Transformers model.
        batch: how many examples.
        seed: of the random numbers.
        extra: names of more inputs.
    """
    made = _Made(model, batch, seed)
    accepted = inspect.signature(model.forward).parameters
    names = dict.fromkeys([model.main_input_name, *extra])
    if "decoder_input_ids" in accepted and getattr(model.config, "is_encoder_decoder", False):
        names["decoder_input_ids"] = None
    found = {name: getattr(made, name)() for name in names}
    return {**found, "use_cache": False} if "use_cache" in accepted else found


class _Made:
    """One method for each input, called as the input is."""

    def __init__(self, model: Any, batch: int, seed: int) -> None:
        self.config, self.batch = model.config, batch
        self.text = self.config.get_text_config() if hasattr(self.config, "get_text_config") else self.config
        self.random = torch.Generator().manual_seed(seed)

    def _noise(self, *shape: int) -> Tensor:
        return torch.randn(self.batch, *shape, generator=self.random)

    def _numbers(self, most: int, *shape: int, least: int = 0) -> Tensor:
        return torch.randint(least, most, (self.batch, *shape), generator=self.random)

    def _field(self, name: str, otherwise: Any) -> Any:
        places = (self.config, *(getattr(self.config, f"{x}_config", None) for x in ("vision", "backbone", "audio", "encoder")))
        return next((v for c in places if (v := getattr(c, name, None)) is not None), otherwise)

    def input_ids(self) -> Tensor:
        return self._numbers(getattr(self.text, "vocab_size", None) or 64, TOKENS, least=4)

    def decoder_input_ids(self) -> Tensor:
        return self.input_ids()[:, 2:]

    def bbox(self) -> Tensor:
        corner = self._numbers(30, TOKENS, 2)
        return torch.cat([corner, corner + self._numbers(30, TOKENS, 2, least=1)], -1)

    def pixel_values(self) -> Tensor:
        size, channels = self._field("image_size", 32), self._field("num_channels", 3)
        frames = [n] if (n := getattr(self.config, "num_frames", None)) else []
        return self._noise(*frames, channels, *(size if isinstance(size, list | tuple) else (size, size)))

    def pixel_values_videos(self) -> Tensor:
        return self.pixel_values()

    def input_values(self) -> Tensor:
        bins = getattr(self.config, "num_mel_bins", None)
        return self._noise(getattr(self.config, "max_length", FRAMES), bins) if bins else self._noise(SAMPLES)

    def input_features(self) -> Tensor:
        bins = self._field("num_mel_bins", 16)
        shape = (FRAMES, bins) if getattr(self.config, "input_feat_per_channel", None) else (bins, FRAMES)
        return self._noise(*shape)

    def past_values(self) -> Tensor:
        return self._noise(getattr(self.config, "context_length", 32), getattr(self.config, "num_input_channels", 1))

    def attention_mask(self) -> Tensor:
        return torch.ones(self.batch, TOKENS, dtype=torch.long)

    def decoder_attention_mask(self) -> Tensor:
        return self.attention_mask()[:, 2:]
