"""A small configuration of any Transformers model, by the names of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES: dict[int, str] = {
    1: """
        encoder_layers decoder_layers num_encoder_layers num_decoder_layers decoder_num_hidden_layers
        topk_group n_shared_experts first_k_dense_replace
    """,
    2: """
        num_hidden_layers num_layers n_layer n_layers depth num_key_value_heads num_kv_heads
        num_experts_per_tok n_group index_n_heads linear_num_key_heads num_codebooks num_blocks
        type_vocab_size
    """,
    4: """
        num_attention_heads num_heads n_head n_heads encoder_attention_heads decoder_attention_heads
        attention_heads decoder_num_attention_heads num_experts n_routed_experts num_local_experts
        moe_num_experts window_size num_conv_pos_embeddings num_conv_pos_embedding_groups
        linear_num_value_heads linear_num_heads state_size time_step_rank mamba_d_state ssm_state_size
        index_topk rotary_dim attention_window shape_size num_frames
    """,
    6: "coordinate_size",
    8: """
        head_dim d_kv kv_channels attention_head_dim patch_size qk_rope_head_dim qk_nope_head_dim v_head_dim
        num_queries mamba_d_head mamba_n_heads mamba_chunk_size chunk_size linear_key_head_dim
        linear_value_head_dim linear_head_dim index_head_dim codebook_dim dim_head encoder_stride
        hidden_size_per_layer_input query_pre_attn_scalar channel_shrink_ratio key_value_proj_dim
    """,
    16: """
        kv_lora_rank q_lora_rank qk_head_dim num_mel_bins feature_size sliding_window classifier_proj_size
        fusion_hidden_size head_hidden_size reassemble_hidden_size hidden_channels auxiliary_channels
        xvector_output_dim initial_embedding_size attention_window_size mask_feature_size expert_capacity
    """,
    24: "moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size projection_dim output_dim",
    32: """
        hidden_size d_model n_embd dim embed_dim embedding_size hidden_dim emb_dim encoder_hidden_dim
        decoder_hidden_size out_hidden_size pooler_output_size encoder_hidden_size text_hidden_size
        projector_hidden_size image_size word_embed_proj_dim lru_width embedding_dim codebook_size
        decoder_hidden_dim input_embedding_size output_embedding_size codevector_dim proj_codevector_dim
    """,
    48: """
        intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff n_inner mlp_dim ffn_hidden_size
        dim_feedforward decoder_intermediate_size encoder_intermediate_size
    """,
    64: """
        vocab_size max_position_embeddings n_positions n_ctx max_source_positions max_target_positions
        context_length vocab_size_per_layer_input max_2d_position_embeddings num_position_embeddings
    """,
}
SMALL = {name: n for n, names in NAMES.items() for name in names.split()}
STAGES = {
    **dict.fromkeys(("depths", "layers", "depth", "layer_depths", "num_layers", "num_blocks"), lambda k: 1),
    **dict.fromkeys(("hidden_sizes", "embed_dims", "embed_dim"), lambda k: min(8 << k, 64)),
    **dict.fromkeys(("num_attention_heads", "num_heads", "encoder_num_heads"), lambda k: min(1 << k, 8)),
    **dict.fromkeys(("mlp_ratios", "mlp_ratio"), lambda k: 2),
    **dict.fromkeys(("conv_dim", "tdnn_dim"), lambda k: 16),
    "neck_hidden_sizes": lambda k: 8 + 4 * k,
    "image_size": lambda k: 32,
    "patch_size": lambda k: 8,
    "window_size": lambda k: 4,
}


def tiny(kind: type, given: Mapping[str, Any] | None = None) -> Any:
    """A configuration of ``kind`` in which every size known by name is small.

    Args:
        kind: a class of configurations.
        given: values of fields; a mapping for a configuration inside.
    """
    given = dict(given or {})
    whole = kind()
    fields = {name: _small(name, value, vars(whole)) for name, value in vars(whole).items() if not name.startswith("_")}
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in getattr(kind, "sub_configs", None) or {}:
        inside = getattr(whole, name, None)
        if inside is not None and not isinstance(inside, dict):
            fields[name] = tiny(type(inside), given.pop(name, None))
    return kind(**{**fields, **given})


def _small(name: str, value: Any, all_: Mapping[str, Any]) -> Any:
    """The small value of a field, or None to leave it."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        if name in ("num_key_value_heads", "num_kv_heads") and value == all_.get("num_attention_heads"):
            return SMALL["num_attention_heads"]  # as many as queries, and that is so by rule in some models
        if name in SMALL:
            return min(value, SMALL[name])
        if name.endswith("_token_id") and value >= SMALL["vocab_size"]:
            return 2
        if name.endswith("layers") and name != "num_feat_extract_layers":
            return min(value, 2)
    if isinstance(value, list | tuple) and name in STAGES and value and all(isinstance(x, int) for x in value):
        return [STAGES[name](k) for k in range(len(value))]
    return None
