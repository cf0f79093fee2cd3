from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from secateur.core.errors import ModelError
from secateur.training.models import build_model


def test_other_picture_sizes() -> None:
    assert build_model("lenet_5", in_channels=3, image_size=32, classes=7)(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    assert build_model("lenet_5", image_size=16)(torch.zeros(1, 1, 16, 16)).shape == (1, 10)
    assert build_model("conv_4", in_channels=1, image_size=28)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
    assert build_model("digits_cnn", image_size=9)(torch.zeros(1, 1, 9, 9)).shape == (1, 10)


def test_your_own_class() -> None:
    model = build_model("torch.nn:Linear", in_features=2, out_features=1)
    assert isinstance(model, nn.Linear)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("resnet20", {}, r"unknown model 'resnet20'; did you mean 'resnet_20'\?"),
        ("resnet_20", {"depth": 56}, "'resnet_20' has no parameter 'depth'; it has 'classes', 'width'"),
        ("digits_mlp", {"hidden": 3}, "has no parameter 'hidden'; it has 'classes', 'dropout'"),
        ("resnet_20", {"width": 0.01}, "width of at least 1/16; got 0.01"),
        ("vgg_16_bn", {"width": 0.01}, "width of at least 1/64; got 0.01"),
        ("resnet_50", {"width": 0.01}, "width of at least 1/64; got 0.01"),
        ("mobilenet_v1", {"width": 0}, "width of at least 1/32; got 0"),
        ("lenet_5", {"image_size": 8}, "at least 16×16 pixels; got image_size=8; use 'digits_cnn'"),
        ("digits_cnn", {"image_size": 1}, "at least 2×2 pixels"),
        ("conv_6", {"image_size": 7}, "image_size of at least 8; got 7"),
        ("gpt", {"n_embd": 10}, "n_embd a multiple of n_head; got n_embd=10, n_head=4"),
        ("gpt", {"n_head": "4"}, "model 'gpt' cannot be built with"),
        ("lenet_300_100", {"classes": -1}, "model 'lenet_300_100' cannot be built with"),
        ("lenet_300_100", {"dropout": 2.0}, "dropout probability has to be between 0 and 1"),
        ("torch.nn:Linear", {"in_features": 1}, "cannot be built with .*out_features"),
        ("torch.nn:Liner", {}, "torch.nn has no 'Liner'"),
        ("no_such_package:Net", {}, "cannot be imported"),
        ("collections:OrderedDict", {}, "must give a torch.nn.Module; got OrderedDict"),
        ("math:pi", {}, "must be a class or a function; got float"),
    ],
)
def test_one_sentence_for_every_bad_request(name: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        build_model(name, **arguments)


def test_depths_are_six_n_plus_two() -> None:
    with pytest.raises(ModelError, match=r"6n \+ 2 .* got 21"):
        build_model("secateur.training.models:ResNet", depth=21)
    with pytest.raises(ModelError, match=r"depth 18, 34, 50, 101, 152; got 56; ResNet has depths 6n \+ 2"):
        build_model("secateur.training.models:ImageNetResNet", depth=56)
    with pytest.raises(ModelError, match="depth 2, 4 or 6; got 3"):
        build_model("secateur.training.models:ConvNet", depth=3)


def test_gpt_refuses_a_long_sequence() -> None:
    with pytest.raises(ModelError, match="at most 4 characters"):
        build_model("gpt", block_size=4)(torch.zeros(1, 5, dtype=torch.int64))
