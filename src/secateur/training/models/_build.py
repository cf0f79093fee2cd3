"""Every reference model by name, and anybody's by import path."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from ...core.errors import ModelError, SecateurError, did_you_mean
from ...core.resolve import check_arguments, resolve
from .conv import ConvNet
from .digits import SmallCNN
from .gpt import GPT
from .imagenet import ImageNetResNet
from .lenet import LeNet5, LeNet300100
from .mobilenet import MobileNetV1
from .resnet import ResNet
from .vgg import VGG16BN

__all__ = ["MODELS", "build_model"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet_300_100": LeNet300100,
    "lenet_5": LeNet5,
    "digits_mlp": partial(LeNet300100, in_features=64),
    "digits_cnn": SmallCNN,
    **{f"conv_{depth}": partial(ConvNet, depth=depth) for depth in (2, 4, 6)},
    **{f"resnet_{depth}": partial(ResNet, depth=depth) for depth in (20, 32, 44, 56, 110)},
    **{f"resnet_{depth}": partial(ImageNetResNet, depth=depth) for depth in (34, 50)},
    "vgg_16_bn": VGG16BN,
    "mobilenet_v1": MobileNetV1,
    "gpt": GPT,
}


def build_model(name: str, /, **arguments: Any) -> nn.Module:
    """A new model by its registered name, or by the import path of a class or function.

    Args:
        name: a name in ``MODELS``, or ``"package.module:Class"``.
        arguments: what the model's constructor takes.

    Raises:
        ModelError: unknown name or argument, or a constructor that refuses or returns no ``nn.Module``.

    Example:
        >>> build_model("torch.nn:Linear", in_features=3, out_features=2)
        Linear(in_features=3, out_features=2, bias=True)
        >>> build_model("resnet_20", widht=2)
        Traceback (most recent call last):
        ...
        secateur.core.errors.ModelError: model 'resnet_20' has no parameter 'widht'; it has 'classes', 'width'
    """
    if ":" in name:
        make = resolve(name, "model", ModelError)
    elif name in MODELS:
        make = MODELS[name]
    else:
        raise ModelError(f"unknown model {name!r}; {did_you_mean(name, MODELS)}; or an import path 'package.module:Class'")
    check_arguments(make, arguments, f"model {name!r}", ModelError)
    try:
        model = make(**arguments)
    except SecateurError:
        raise
    except (TypeError, ValueError, RuntimeError) as e:
        raise ModelError(f"model {name!r} cannot be built with {arguments}: {e}") from e
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {name!r} must give a torch.nn.Module; got {type(model).__name__}")
    return model
