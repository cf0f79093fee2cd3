"""Models of timm: one of each family, mostly its smallest, on images of 64 pixels where it takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from .catalog import Entry

# Plain names take images of any size; the others are told how large theirs will be.
ANY_SIZE = """
convmixer_768_32 convnext_atto convnextv2_atto cpubone_b0_bfrobust crossvit_tiny_240 cs3darknet_focus_s davit_tiny densenet121
dla34 dla46x_c dpn48b edgenext_xx_small efficientnet_b0 efficientvim_m1 efficientvit_b0 fasternet_t0 fastvit_t8
focalnet_tiny_srf ghostnetv2_100 hgnetv2_b0 hrnet_w18_small inception_next_atto mambaout_femto mixnet_s
mobilenetv4_conv_small_035 mobileone_s0 nextvit_small nf_regnet_b0 poolformer_s12 caformer_s18 pvt_v2_b0 rdnet_tiny
regnety_002 repghostnet_050 repvgg_a0 res2net50_26w_4s resnest14d resnet18 resnetv2_50x1_bit rexnet_100 selecsls42
seresnext26t_32x4d skresnet18 starnet_s050 tresnet_m ese_vovnet19b_dw xception41
"""
OWN_SIZE = """
cait_xxs24_224 coat_lite_tiny coatnet_pico_rw_224 convit_tiny deit3_small_patch16_224 efficientformerv2_s0 efficientvit_m0
eva02_tiny_patch14_224 gcresnext26ts gcvit_xxtiny gmlp_ti16_224 hiera_tiny_224 lambda_resnet26t levit_128s
maxvit_rmlp_pico_rw_256 mixer_s32_224 mobilevit_xxs mobilevitv2_050 mvitv2_tiny nest_tiny pit_ti_224 repvit_m0_9
resmlp_12_224 sequencer2d_s swiftformer_xs swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 tnt_s_patch16_224
twins_svt_small visformer_tiny vit_relpos_small_patch16_224 vit_tiny_patch16_224 volo_d1_224 xcit_nano_12_p16_224
"""
PIXELS = 64


def entries() -> Iterator[Entry]:
    """By name."""
    for name in sorted((ANY_SIZE + OWN_SIZE).split()):
        yield Entry("timm", name, lambda name=name: build(name), images)


def build(name: str) -> nn.Module:
    """With ten classes."""
    import timm

    size: dict[str, Any] = {"img_size": PIXELS} if name in OWN_SIZE.split() else {}
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=10, **size)
    return model


def images(_: nn.Module, batch: int, seed: int) -> torch.Tensor:
    """Noise."""
    return torch.randn(batch, 3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(seed))
