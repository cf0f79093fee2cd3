"""Small reference models, each with the names, sizes and initialisation of its paper.

Example:
    >>> from secateur.training.models import build_model
    >>> sum(p.numel() for p in build_model("resnet_56").parameters())
    853018
"""

from ._build import MODELS, build_model
from .checkpoint import find_checkpoint, load_checkpoint
from .conv import ConvNet
from .digits import SmallCNN
from .gpt import GPT
from .imagenet import ImageNetResNet
from .lenet import LeNet5, LeNet300100
from .mobilenet import MobileNetV1
from .resnet import ResNet
from .vgg import VGG16BN

__all__ = [
    "GPT",
    "MODELS",
    "VGG16BN",
    "ConvNet",
    "ImageNetResNet",
    "LeNet5",
    "LeNet300100",
    "MobileNetV1",
    "ResNet",
    "SmallCNN",
    "build_model",
    "find_checkpoint",
    "load_checkpoint",
]
