from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import ModelError, Pruner, Recipe
from secateur.recovery import Reconstruct
from secateur.schedule import Cubic, Iterative
from secateur.testing import small_batches, small_model


def test_by_hand():
    """M = [[2, 1], [1, 2]]: the survivor takes M₂₁/M₂₂ = ½ of what went, 2 + ½·1; damping ½ makes it 1/3."""
    moment, w = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]), torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    mask = torch.tensor([[False, True], [True, True]])
    assert Reconstruct(damping=0).refit(w, mask, moment).tolist() == [[0.0, 2.5], [1.0, 0.0]]
    assert Reconstruct(damping=0.5).refit(w, mask, moment)[0].tolist() == pytest.approx([0.0, 2 + 1 / 3])
    emptied = Reconstruct().refit(w, torch.zeros(2, 2, dtype=torch.bool), moment)
    assert emptied.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_what_was_gone_before_stays_gone_and_counts_for_nothing():
    """The second event refits to the outputs of the network as the first left it."""
    torch.manual_seed(0)
    model, x = nn.Linear(6, 3, bias=False).double(), torch.randn(50, 6, dtype=torch.float64)
    pruner = Pruner(model, Recipe(recovery=Reconstruct(damping=0)), data=[x]).prune(0.3)
    middle, first = model.weight.detach().clone(), pruner.masks["weight"].clone()
    pruner.prune(0.7)
    second = pruner.masks["weight"]
    assert not bool((second & ~first).any())
    for w, kept, new in zip(middle, second, model.weight.detach(), strict=True):
        wanted = torch.zeros(6, dtype=torch.float64)
        if bool(kept.any()):
            wanted[kept] = torch.linalg.lstsq(x[:, kept], x @ w).solution
        assert torch.allclose(new, wanted, atol=1e-10)


def test_it_goes_with_rounds_ramps_and_batch_norms():
    data = small_batches(3)
    for schedule in (Iterative(rounds=2), Cubic(sparsity=0.5, end=4, every=2)):
        model = small_model()
        pruner = Pruner(model, Recipe(recovery=Reconstruct(recalibrate=16), schedule=schedule), data=data)
        before = model[1].running_mean.clone()
        if schedule.name == "iterative":
            assert [round(s, 2) for s in pruner.rounds()] == [0.0, 0.2, 0.36]
        else:
            for _ in range(5):
                pruner.step()
            assert pruner.sparsity == 0.5
        assert not torch.equal(model[1].running_mean, before)
        for name, mask in pruner.masks.items():
            assert not bool(model.get_parameter(name)[~mask].any())


def test_nothing_to_recalibrate():
    with pytest.raises(ModelError, match="recovery 'reconstruct' cannot recalibrate this Linear"):
        Pruner(nn.Linear(3, 3), Recipe(recovery=Reconstruct(recalibrate=8)), data=[torch.zeros(2, 3)])


def test_half_precision_weights_keep_their_type():
    model = nn.Linear(8, 8).to(torch.bfloat16)
    Pruner(model, Recipe(recovery=Reconstruct()), data=[torch.randn(20, 8, dtype=torch.bfloat16)]).prune()
    assert model.weight.dtype == torch.bfloat16
    assert int((model.weight == 0).sum()) == 32
