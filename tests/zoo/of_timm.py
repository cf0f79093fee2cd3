"""Models of timm: one of each family, mostly its smallest, on images of 64 pixels where it takes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from .catalog import Entry

NAMES = """
caformer_s18 cait_xxs24_224 coat_lite_tiny coatnet_pico_rw_224 convit_tiny convnext_atto convnextv2_atto crossvit_tiny_240
cs3darknet_focus_s davit_tiny deit3_small_patch16_224 dla34 dpn48b edgenext_xx_small efficientformerv2_s0 efficientnet_b0
efficientvit_b0 efficientvit_m0 ese_vovnet19b_dw eva02_tiny_patch14_224 fasternet_t0 fastvit_t8 focalnet_tiny_srf
ghostnetv2_100 gmlp_ti16_224 hgnetv2_b0 hiera_tiny_224 hrnet_w18_small inception_next_atto lambda_resnet26t levit_128s
mambaout_femto maxvit_rmlp_pico_rw_256 mixer_s32_224 mixnet_s mobilenetv4_conv_small_035 mobileone_s0 mobilevit_xxs mvitv2_tiny
nest_tiny nf_regnet_b0 pit_ti_224 poolformer_s12 pvt_v2_b0 regnety_002 repghostnet_050 repvgg_a0 repvit_m0_9
res2net50_26w_4s resmlp_12_224 resnest14d resnet18 resnetv2_50x1_bit rexnet_100 selecsls42 skresnet18 starnet_s050
swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 tnt_s_patch16_224 twins_svt_small visformer_tiny vit_tiny_patch16_224
volo_d1_224 xcit_nano_12_p16_224
"""
PIXELS = 64
WHOLE = ("crossvit_tiny_240",)  # has no smaller size that both of its patch sizes divide


def entries() -> Iterator[Entry]:
    """By name."""
    yield from map(entry, NAMES.split())


def entry(name: str) -> Entry:
    """Any model of timm that takes images of 64 pixels."""
    return Entry("timm", name, lambda: build(name), images if name not in WHOLE else whole_images)


def build(name: str) -> nn.Module:
    """With ten classes; told how large images are if it must know."""
    import timm

    try:
        model: nn.Module = timm.create_model(
            name, pretrained=False, num_classes=10, **({} if name in WHOLE else {"img_size": PIXELS})
        )
    except TypeError:
        model = timm.create_model(name, pretrained=False, num_classes=10)
    return model


def images(_: nn.Module, batch: int, seed: int, size: int = PIXELS) -> torch.Tensor:
    """Noise."""
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def whole_images(model: nn.Module, batch: int, seed: int) -> torch.Tensor:
    """Noise, of the size the model is made for."""
    return images(model, batch, seed, model.default_cfg["input_size"][-1])  # type: ignore[index, union-attr]
