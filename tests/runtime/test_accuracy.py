"""A pruned CIFAR ResNet, compiled, predicts what it predicted."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("llvmlite")

import secateur as sc
from secateur.core.errors import DataError
from secateur.training.data import find
from secateur.training.data.cifar10 import load_cifar10
from secateur.training.models import build_model, load_checkpoint


@pytest.mark.data
def test_every_prediction_of_a_pruned_network_stays():
    file = "resnet-cifar10/resnet20.safetensors"
    try:
        folder = find("checkpoints", {"safetensors": (file,)}, None)[1]
        cifar = load_cifar10()
    except DataError as e:
        pytest.skip(str(e))
    images = cifar.prepare(cifar.test.inputs[:2000])
    net = load_checkpoint(build_model("resnet_20"), folder / file).eval()
    sc.prune_(net, sc.Recipe(), target=sc.Sparsity(0.8))
    fast = sc.compile(net, images[:4], threads=2, seconds=0)
    with torch.inference_mode():
        expected = torch.cat([net(x) for x in images.split(250)])
    found = fast(images)
    assert torch.equal(found.argmax(1), expected.argmax(1))
    assert float((found - expected).abs().max()) < 1e-4
