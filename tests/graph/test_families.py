"""Transformers families, through tiny configurations: all couplings found, without code for any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import pytest
import torch
from shrinks import half, shrink_and_check
from test_oracle import verify

from secateur.graph.groups import find_groups

T = pytest.importorskip("transformers")
T.logging.set_verbosity_error()

pytestmark = pytest.mark.filterwarnings("ignore")

TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 20, "vocab_size": 30}
KEYS = {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
IMAGE = {"image_size": 8, "patch_size": 4}
ids = nets.tokens(30)
text = {"input_ids": ids}
causal = {"input_ids": ids, "use_cache": False}
both = {"input_ids": ids, "decoder_input_ids": ids, "use_cache": False}
pixels = {"pixel_values": nets.images(8)}
large = {"pixel_values": nets.images(32)}
BART = {
    f"{side}_{k}": v for side in ("encoder", "decoder") for k, v in {"layers": 1, "attention_heads": 4, "ffn_dim": 20}.items()
}
OPT = {
    "hidden_size": 16,
    "ffn_dim": 20,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 30,
    "word_embed_proj_dim": 16,
}
CONVNEXT = {"hidden_sizes": [4, 8, 8, 8], "depths": [1] * 4, "image_size": 32}
MAMBA = {"hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 30, "state_size": 4}
DEBERTA = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 4}
GEMMA = {**TEXT, **KEYS, "head_dim": 8}
RESNET = {"embedding_size": 4, "hidden_sizes": [8, 12], "depths": [1, 1]}
DISTIL = {"dim": 16, "n_layers": 1, "n_heads": 4, "hidden_dim": 20, "vocab_size": 30}
NO_HIDDEN = {k: v for k, v in TEXT.items() if k != "vocab_size"}


def clip() -> Any:
    eos = {"eos_token_id": 29, "bos_token_id": 1, "pad_token_id": 0, "max_position_embeddings": 16}
    return T.CLIPModel(T.CLIPConfig(text_config={**TEXT, **eos}, vision_config={**NO_HIDDEN, **IMAGE}, projection_dim=12))


FAMILIES: dict[str, tuple[Callable[[], Any], dict[str, Any], int]] = {
    "bert": (lambda: T.BertForSequenceClassification(T.BertConfig(**TEXT)), text, 6),
    "distilbert": (
        lambda: T.DistilBertModel(T.DistilBertConfig(**DISTIL)),
        text,
        4,
    ),
    "electra": (lambda: T.ElectraModel(T.ElectraConfig(**TEXT, embedding_size=8)), text, 5),
    "albert": (lambda: T.AlbertModel(T.AlbertConfig(**TEXT, embedding_size=8)), text, 5),
    "deberta": (
        lambda: T.DebertaV2Model(
            T.DebertaV2Config(**TEXT, relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=4)
        ),
        text,
        5,
    ),
    "gpt2": (lambda: T.GPT2LMHeadModel(T.GPT2Config(n_embd=16, n_layer=1, n_head=4, vocab_size=30, n_positions=16)), causal, 5),
    "gpt-j": (lambda: T.GPTJForCausalLM(T.GPTJConfig(n_embd=16, n_layer=1, n_head=2, vocab_size=30, rotary_dim=4)), causal, 6),
    "gpt-neox": (lambda: T.GPTNeoXForCausalLM(T.GPTNeoXConfig(**TEXT)), causal, 5),
    "opt": (lambda: T.OPTForCausalLM(T.OPTConfig(**OPT)), causal, 5),
    "falcon": (lambda: T.FalconForCausalLM(T.FalconConfig(**TEXT, new_decoder_architecture=True, num_kv_heads=2)), causal, 4),
    "apertus": (lambda: T.ApertusForCausalLM(T.ApertusConfig(**TEXT, **KEYS)), causal, 6),
    "llama": (lambda: T.LlamaForCausalLM(T.LlamaConfig(**TEXT, **KEYS)), causal, 6),
    "qwen3": (lambda: T.Qwen3ForCausalLM(T.Qwen3Config(**TEXT, **KEYS, head_dim=8)), causal, 6),
    "gemma2": (lambda: T.Gemma2ForCausalLM(T.Gemma2Config(**GEMMA)), causal, 6),
    "phi3": (lambda: T.Phi3ForCausalLM(T.Phi3Config(**TEXT, **KEYS)), causal, 6),
    "mamba": (
        lambda: T.MambaForCausalLM(T.MambaConfig(hidden_size=16, num_hidden_layers=1, vocab_size=30, state_size=4)),
        causal,
        3,
    ),
    "t5": (
        lambda: T.T5ForConditionalGeneration(T.T5Config(d_model=16, d_kv=4, d_ff=20, num_layers=1, num_heads=4, vocab_size=30)),
        both,
        11,
    ),
    "bart": (lambda: T.BartForConditionalGeneration(T.BartConfig(**BART, d_model=16, vocab_size=30)), both, 11),
    "vit": (lambda: T.ViTForImageClassification(T.ViTConfig(**NO_HIDDEN, **IMAGE)), pixels, 5),
    "swin": (
        lambda: T.SwinForImageClassification(
            T.SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[2, 4], window_size=2, image_size=16, patch_size=2)
        ),
        {"pixel_values": nets.images(16)},
        10,
    ),
    "clip": (clip, {**text, **pixels}, 8),
    "beit": (lambda: T.BeitModel(T.BeitConfig(**NO_HIDDEN, **IMAGE, use_relative_position_bias=True)), pixels, 4),
    "convnextv2": (lambda: T.ConvNextV2ForImageClassification(T.ConvNextV2Config(**CONVNEXT)), large, 8),
    "regnet": (lambda: T.RegNetForImageClassification(T.RegNetConfig(**RESNET, groups_width=4)), large, 10),
    "resnet": (
        lambda: T.ResNetForImageClassification(T.ResNetConfig(**RESNET)),
        large,
        7,
    ),
    "segformer": (
        lambda: T.SegformerForImageClassification(
            T.SegformerConfig(hidden_sizes=[8, 8, 8, 16], depths=[1] * 4, num_attention_heads=[1, 2, 2, 4], mlp_ratios=[2] * 4)
        ),
        {"pixel_values": nets.images(64)},
        22,
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_zero_equals_cut(name: str) -> None:
    make, inputs, prunable = FAMILIES[name]
    torch.manual_seed(0)
    model = nets.randomise(make())
    groups = find_groups(model, inputs, as_graph=True)
    verify(model, inputs, groups, units=1)
    assert len(groups.prunable) == prunable, [str(g) for g in groups]


# where forward computes with a size: the scale of an attention
HELD = {
    "deberta": ("encoder.layer.0.attention.self.query_proj", "forward computes a number from its size (modeling_deberta_v2.py:"),
    "falcon": ("transformer.h.0.self_attention.query_key_value#3", "the scale of the attention is computed from its size"),
}


# blocks that another family has too
ALIKE = {"albert", "apertus", "electra", "gemma2", "gpt-neox", "opt", "phi3", "qwen3"}
CUT = sorted(FAMILIES.keys() - {"convnextv2"})  # whose norms are written out: see tests/zoo


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in ALIKE else n for n in CUT])
def test_half_of_everything_is_cut(name: str) -> None:
    make, inputs, prunable = FAMILIES[name]
    torch.manual_seed(0)
    model = nets.randomise(make())
    groups = find_groups(model, inputs)
    plan = half(groups)
    assert set(shrink_and_check(model, inputs, plan).cut) == set(plan)
    assert len(groups.prunable) == prunable - (name in HELD)
    if name in HELD:
        group, reason = HELD[name]
        assert groups[group].reason.startswith(reason)


def test_a_mixture_of_experts_keeps_its_experts_and_lets_their_neurons_go() -> None:
    model = T.MixtralForCausalLM(T.MixtralConfig(**TEXT, **KEYS, num_local_experts=4))
    groups = find_groups(model, causal)
    down = groups.of("model.layers.0.mlp.experts.down_proj")
    assert [(g.units, g.prunable) for g in down] == [(16, True), (20, True), (4, False)]
