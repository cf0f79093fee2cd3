"""Models of Transformers, by the name of their configuration, at tiny sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from .catalog import Entry
from .inputs import inputs
from .tiny import tiny

DECODERS = """
afmoe apertus arcee bitnet biogpt bloom codegen cohere cohere2 ctrl cwm diffllama doge ernie4_5 exaone4 falcon falcon_mamba
flex_olmo gemma gemma2 gemma3_text glm glm4 glm4_moe gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite granitemoe
granitemoeshared helium imagegpt jamba jetmoe lfm2 llama llama4_text mamba minimax ministral3 mistral mixtral
modernbert-decoder moshi mpt nanochat nemotron olmo olmo2 olmo3 olmoe openai-gpt opt persimmon phi phi3 phimoe qwen2 qwen2_moe
qwen3 qwen3_moe qwen3_next recurrent_gemma rwkv seed_oss smollm3 solar_open stablelm starcoder2 trocr vaultgemma xglm
"""
ENCODERS = """
albert bert big_bird camembert canine convbert data2vec-text deberta deberta-v2 distilbert electra ernie eurobert flaubert fnet
funnel ibert layoutlm longformer megatron-bert mobilebert modernbert mpnet mra nomic_bert nystromformer rembert roberta
roberta-prelayernorm roformer splinter squeezebert tapas xlm xlm-roberta xlm-roberta-xl xlnet xmod yoso
"""
BOTH = """
bart bigbird_pegasus blenderbot fsmt led longt5 m2m_100 marian mbart mt5 nllb-moe pegasus pegasus_x plbart prophetnet
switch_transformers t5 t5gemma umt5
"""
VISION = """
beit clip_vision_model convnext convnextv2 data2vec-vision deit dinov2 dinov2_with_registers dinov3_convnext dinov3_vit
focalnet glpn hiera ijepa maskformer-swin mgp-str mobilenet_v1 mobilenet_v2 mobilevit pixio poolformer pvt pvt_v2 regnet resnet
segformer siglip_vision_model swiftformer swin2sr swinv2 timesformer videomae vit vit_mae vit_msn vivit yolos
"""
OTHER = """
chinese_clip clip flava git moonshine seamless_m4t siglip
"""

# What a name cannot tell: sizes that must fit one another.
GIVEN: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 2},
    "fsmt": {"src_vocab_size": 64, "tgt_vocab_size": 64},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "intermediate_size": 48},
    "deepseek_v3": {"num_key_value_heads": 4},
    "deepseek_v2": {"num_key_value_heads": 4, "num_experts_per_tok": 2},
    "swin": {"image_size": 64, "patch_size": 2, "window_size": 4},
    "donut-swin": {"image_size": 64, "patch_size": 2, "window_size": 4},
    "levit": {
        "image_size": 64,
        "patch_size": 16,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [2, 3, 4],
        "key_dim": [4, 4, 4],
    },
    "cvt": {"embed_dim": [8, 16, 32], "num_heads": [1, 2, 4], "depth": [1, 2, 3], "drop_path_rate": [0.0, 0.0, 0.0]},
    "big_bird": {"attention_type": "original_full"},  # which it falls back to on short inputs, with a module made on the spot
    "bit": {"num_groups": 4, "embedding_size": 16, "hidden_sizes": [16, 32, 32, 64]},
    "mobilevitv2": {"image_size": 64},
    "nemotron": {"num_key_value_heads": 2},
    "lilt": {"hidden_size": 48},
    "luke": {"entity_vocab_size": 64, "entity_emb_size": 16},
    "esm": {"vocab_size": 64, "pad_token_id": 1},
    "whisper": {"num_mel_bins": 16, "max_source_positions": 64},
    "speech_to_text": {"input_feat_per_channel": 16, "conv_channels": 32},
    "patchtsmixer": {"context_length": 32, "patch_length": 8, "patch_stride": 8, "num_input_channels": 3},
    "patchtst": {"context_length": 32, "patch_length": 8, "patch_stride": 8, "num_input_channels": 3},
    "audio-spectrogram-transformer": {"max_length": 64, "patch_size": 8, "frequency_stride": 8, "time_stride": 8},
    "dpt": {"backbone_out_indices": [0, 1, 2, 3], "num_hidden_layers": 4, "is_hybrid": False, "patch_size": 8},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320, "image_size": 64},
    "xmod": {"default_language": "en_XX"},
}
# More inputs than the main one.
EXTRA: dict[str, tuple[str, ...]] = {
    "chinese_clip": ("pixel_values",),
    "clip": ("pixel_values",),
    "flava": ("pixel_values",),
    "git": ("pixel_values",),
    "siglip": ("pixel_values",),
    "bros": ("bbox",),
    "fsmt": ("attention_mask", "decoder_attention_mask"),  # or it looks whether a token is padding
    "longt5": ("attention_mask",),  # which it needs when it is traced
    "switch_transformers": ("attention_mask",),
    "blip": ("pixel_values",),
    "vilt": ("pixel_values",),
}
TASKS = """
CAUSAL_LM SEQ_TO_SEQ_CAUSAL_LM MASKED_LM IMAGE_CLASSIFICATION CTC AUDIO_CLASSIFICATION DEPTH_ESTIMATION SEMANTIC_SEGMENTATION
OBJECT_DETECTION VIDEO_CLASSIFICATION SPEECH_SEQ_2_SEQ
"""
BASE = ("clip", "siglip", "flava", "chinese_clip")  # as models of two kinds of input


def entries() -> Iterator[Entry]:
    """By name."""
    for name in sorted({*(DECODERS + ENCODERS + BOTH + VISION + OTHER).split(), *GIVEN}):
        yield entry(name)


def entry(name: str, given: Mapping[str, Any] | None = None) -> Entry:
    """The model of one configuration."""
    fields = {**GIVEN.get(name, {}), **(given or {})}
    return Entry("transformers", name, lambda: build(name, fields), lambda m, b, s: inputs(m, b, s, EXTRA.get(name, ())))


def build(name: str, given: Mapping[str, Any]) -> nn.Module:
    """With the head of the first task it has, or none."""
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = tiny(CONFIG_MAPPING[name], given)
    tables = [] if name in BASE else [getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING") for task in TASKS.split()]
    for table in [*tables, modeling_auto.MODEL_MAPPING]:
        if type(config) in table:
            kind = table[type(config)]
            return small((kind[0] if isinstance(kind, list | tuple) else kind), config)
    raise LookupError(f"Transformers has no model for {name}")


def small(kind: Any, config: Any) -> nn.Module:
    """The model, unless a size that is not known by name has made it large."""
    with torch.device("meta"):
        try:
            size = sum(p.numel() for p in kind(config).parameters())
        except (RuntimeError, NotImplementedError):
            size = 0
    if size > 5_000_000:
        raise LookupError(f"{kind.__name__} has {size:,} parameters")
    model: nn.Module = kind(config)
    return model
