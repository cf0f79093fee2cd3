"""The life of a learned score: what the model computes while it learns, and what is left of it."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import secateur
from secateur import ModelError, Pruner, Recipe
from secateur.allocation import Global, Threshold
from secateur.core.errors import DataError
from secateur.recovery import Finetune, Rewind
from secateur.schedule import Cubic, Iterative, OneShot
from secateur.score import HardConcrete, Movement, SoftMovement, VariationalDropout
from secateur.structure import Blocks, Filters, Heads, Inputs, Kernels, Neurons, Weights
from secateur.testing import SmallAttention, small_batches, small_model

X, Y = small_batches(1)[0]
LATE = OneShot(sparsity=0.5, at_training_step=1000)


def recipe(score, structure=None, allocation=None, schedule=LATE, **more):
    parts = {"structure": structure or Weights(), "allocation": allocation or Global(), "schedule": schedule}
    return Recipe(score=score, **parts, prune_classifier=True, **more)


VD, GATES = VariationalDropout(examples=8), HardConcrete(examples=8, drop=0.4)
KINDS = {
    "noise": recipe(VD),
    "clipped": recipe(VariationalDropout(examples=8, train_clip=True)),
    "gates": recipe(GATES),
    "movement": recipe(Movement(), schedule=Cubic(sparsity=0.5, begin=1, end=1001, every=2)),
    "soft": recipe(SoftMovement(ramp=1), allocation=Threshold(at=0.1)),
    "inputs": recipe(GATES, Inputs()),
    "blocks": recipe(GATES, Blocks(shape=(4, 1)), exclude=("10.weight",)),
}
WHOLE = {"filters": recipe(GATES, Filters()), "neurons": recipe(Movement(), Neurons()), "coupled inputs": recipe(GATES, Inputs())}
ALL = {**{k: (r, None) for k, r in KINDS.items()}, **{k: (r, X) for k, r in WHOLE.items()}}


def train(model, pruner, optimizer, steps, loss=nn.functional.cross_entropy):
    for _ in range(steps):
        optimizer.zero_grad()
        (loss(model(X), Y) + pruner.penalty()).backward()
        optimizer.step()
        pruner.step()


def spoil(pruner, seed=3):
    """Numbers that are anything, as a training would leave them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in pruner.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 2)
            p.view(-1)[:1] = -3.0  # a gate that is shut
    pruner.penalty()
    return pruner


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# ---------------------------------------------------------------- the model stays the user's


@pytest.mark.parametrize(("made", "example"), ALL.values(), ids=ALL)
def test_plain_keys_parameters_and_class_while_it_learns(made, example):
    model = small_model()
    keys, kinds = list(model.state_dict()), [type(m) for m in model.modules()]
    mine = {n: id(p) for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    pruner = Pruner(model, made, optimizer=optimizer, example_inputs=example)
    seen = []
    handle = model[3].register_forward_hook(lambda *_: seen.append(list(model.state_dict()) == keys))
    train(model, pruner, optimizer, 3)
    handle.remove()
    assert seen == [True] * 3
    assert list(model.state_dict()) == keys
    assert [type(m) for m in model.modules()] == kinds
    assert {n: id(p) for n, p in model.named_parameters()} == mine
    assert "forward" not in vars(model)
    assert not any("parametrizations" in vars(m)["_modules"] for m in model.modules())
    assert pruner.parameters()
    assert hooks(model)
    assert pruner.finish() is pruner
    assert hooks(model) == 0
    assert pruner.parameters() == []
    assert pruner.penalty() == 0
    assert {n: id(p) for n, p in model.named_parameters()} == mine
    clone = pickle.loads(pickle.dumps(copy.deepcopy(model))).eval()
    assert torch.equal(clone(X), model.eval()(X))


@pytest.mark.parametrize(("made", "example"), ALL.values(), ids=ALL)
def test_a_state_is_plain_and_goes_on_with_the_same_bits(made, example):
    def begin():
        torch.manual_seed(1)
        model = small_model()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        return model, optimizer, Pruner(model, made, optimizer=optimizer, example_inputs=example)

    model, optimizer, pruner = begin()
    train(model, pruner, optimizer, 6)
    other, resumed, second = begin()
    train(other, second, resumed, 3)
    file = io.BytesIO()
    torch.save([other.state_dict(), second.state_dict(), resumed.state_dict(), torch.get_rng_state()], file)
    file.seek(0)
    weights, state, moments, rng = torch.load(file, weights_only=True)
    third, fresh, last = begin()
    third.load_state_dict(weights)
    last.load_state_dict(state)
    fresh.load_state_dict(moments)
    torch.set_rng_state(rng)
    train(third, last, fresh, 3)
    pruner.finish()
    last.finish()
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), third.state_dict().values(), strict=True))
    assert pruner.sparsity == last.sparsity
    assert all(torch.equal(m, last.masks[n]) for n, m in pruner.masks.items())


def test_a_pass_that_fails_leaves_the_parameters_in_place():
    model = small_model()
    Pruner(model, KINDS["gates"])
    for wrong in (torch.zeros(2, 3, 8, 8), "nothing"):
        with pytest.raises((RuntimeError, TypeError)):
            model(wrong)
        assert all(isinstance(p, nn.Parameter) for m in model.modules() for p in m._parameters.values() if p is not None)

    def stop(*_):
        raise KeyboardInterrupt

    handle = model[3].register_forward_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        model(X)
    handle.remove()
    before = [id(p) for p in model.parameters() if isinstance(p, nn.Parameter)]
    model(X)  # the next pass puts back what the interrupt left
    assert all(isinstance(p, nn.Parameter) for p in model.parameters())
    assert len(before) < len(list(model.parameters()))


def test_the_tensors_have_a_group_of_their_own_without_weight_decay():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.5)
    pruner = Pruner(model, recipe(Movement(learning_rate=0.02)), optimizer=optimizer)
    pruner.watch(optimizer)
    pruner.attach(optimizer)
    assert len(optimizer.param_groups) == 2, "added once"
    group = optimizer.param_groups[1]
    assert (group["lr"], group["weight_decay"]) == (0.02, 0.0)
    assert [id(p) for p in group["params"]] == [id(p) for p in pruner.parameters()]
    with torch.no_grad():
        for p in pruner.parameters():
            p.fill_(1.0)
    for p in pruner.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert all(bool((p == 1).all()) for p in pruner.parameters()), "weight decay moved them"


def test_an_optimizer_that_one_fills_by_hand():
    model = small_model()
    pruner = Pruner(model, recipe(GATES))
    groups = [{"params": list(model.parameters())}, {"params": pruner.parameters(), "lr": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    pruner.watch(optimizer)
    assert len(optimizer.param_groups) == 2
    train(model, pruner, optimizer, 2)
    pruner.finish()
    assert [len(g["params"]) for g in optimizer.param_groups] == [len(list(model.parameters())), 0]


def test_a_scheduler_that_counted_the_groups_is_refused_and_one_made_later_goes_on():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.raises(ModelError, match="before you make the scheduler"):
        Pruner(model, recipe(GATES), optimizer=optimizer)
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    pruner = Pruner(model, recipe(GATES), optimizer=optimizer)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.5)
    train(model, pruner, optimizer, 1)
    scheduler.step()
    pruner.finish()
    train(model, pruner, optimizer, 1)
    scheduler.step()


# ---------------------------------------------------------------- what it computes


def moments(layer, example, samples=100_000):
    """Mean and variance of each output over so many passes of one example."""
    with torch.no_grad():
        found = torch.cat([layer(example.expand(samples // 5, *example.shape[1:])).double() for _ in range(5)])
    return found.mean(0), found.var(0)


@pytest.mark.parametrize(
    ("layer", "example"),
    [
        (nn.Linear(6, 4), torch.randn(1, 6)),
        (nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), torch.randn(1, 2, 4, 4)),
        (nn.Conv2d(2, 3, (3, 1), padding=(2, 0), padding_mode="circular", dilation=2), torch.randn(1, 2, 6, 3)),
        (nn.Conv1d(2, 4, 3, padding="same", bias=False), torch.randn(1, 2, 6)),
        (nn.Conv3d(1, 2, 2, stride=2), torch.randn(1, 1, 4, 4, 4)),
    ],
    ids=["linear", "strided groups", "circular dilated", "conv1d", "conv3d"],
)
def test_local_reparametrisation_has_the_moments_of_noisy_weights(layer, example):
    """One pass draws N(a∗θ + b, a²∗σ²), independently for each output: mean within 2 % of σ, variance within 2 %."""
    model = nn.Sequential(layer)
    pruner = Pruner(model, recipe(VD))
    (log_variance,) = pruner.parameters()
    with torch.no_grad():
        log_variance.copy_(torch.randn(log_variance.shape) - 1)
    plain, noise = copy.deepcopy(layer), copy.deepcopy(layer)
    for m in (plain, noise):
        m._forward_hooks.clear()
        m._forward_pre_hooks.clear()
    with torch.no_grad():
        noise.weight.copy_(log_variance.exp())
        if noise.bias is not None:
            noise.bias.zero_()
    mean, variance = moments(model.train(), example)
    wanted = noise(example**2)[0].double()
    assert bool(((mean - plain(example)[0]).abs() <= 0.02 * wanted.sqrt()).all())
    assert bool(((variance / wanted - 1).abs() <= 0.02).all())
    pair = torch.cat([model(example).detach().flatten(1)[:, :2] for _ in range(2000)])
    assert abs(float(torch.corrcoef(pair.T)[0, 1])) < 0.1, "outputs share their noise"


def test_noise_by_a_transformers_linear_layer():
    conv1d = pytest.importorskip("transformers.pytorch_utils").Conv1D
    layer, example = conv1d(4, 6), torch.randn(1, 3, 6)
    model = nn.Sequential(layer)
    (log_variance,) = Pruner(model, recipe(VD)).parameters()
    with torch.no_grad():
        log_variance.fill_(-1.0)
    variance = torch.stack([model(example)[0].detach() for _ in range(5000)]).var(0)
    assert torch.allclose(variance, (example[0] ** 2).sum(-1, keepdim=True).expand(3, 4) * torch.tensor(-1.0).exp(), rtol=0.1)


def test_evaluation_is_deterministic_and_leaves_out_what_is_noise():
    model = small_model()
    pruner = spoil(Pruner(model, recipe(VD, allocation=Threshold(at=-3.0))))
    model.eval()
    noisy, state = model(X), torch.get_rng_state()
    assert torch.equal(noisy, model(X))
    assert torch.equal(state, torch.get_rng_state()), "it draws"
    masked = small_model().eval()
    with torch.no_grad():
        for (_name, p), learned in zip(
            [(n, p) for n, p in masked.named_parameters() if p.ndim > 1], pruner.parameters(), strict=True
        ):
            p.mul_(learned - torch.log(p**2 + 1e-8) < 3)
    assert torch.equal(masked(X), noisy)
    pruner.finish()
    assert torch.equal(model.eval()(X), noisy)
    assert 0 < pruner.sparsity < 1


def test_what_is_noise_is_left_out_of_training_too_when_clipped():
    model = nn.Sequential(nn.Linear(8, 8))
    for clip in (False, True):
        pruner = Pruner(model, recipe(VariationalDropout(examples=1, train_clip=clip)))
        with torch.no_grad():
            pruner.parameters()[0].fill_(10.0)  # log α > 3 everywhere
        outputs = torch.stack([model(torch.ones(1, 8)) for _ in range(50)])
        assert bool(torch.allclose(outputs, model[0].bias.expand_as(outputs), atol=1e-2)) is clip
        pruner._life.drop()


@pytest.mark.parametrize(("made", "example"), ALL.values(), ids=ALL)
def test_one_draw_a_step_and_the_seed_decides(made, example):
    def outputs():
        model = small_model()
        model[1].momentum = model[4].momentum = 0.0
        pruner = Pruner(model, made, example_inputs=example)
        torch.manual_seed(5)
        return [model(X).detach(), model(X).detach(), *(pruner.step(), [model(X).detach()])[1]]

    one, two = outputs(), outputs()
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(made.score, HardConcrete):
        assert torch.equal(one[0], one[1])
        assert not torch.equal(one[1], one[2])


# ---------------------------------------------------------------- columns of layers by themselves


def test_inputs_that_are_not_coupled_have_gates_on_what_the_model_reads():
    """With example inputs too: one gate a column of every layer, the first one's included."""
    x, pruners = torch.randn(8, 6), []
    for coupled, example in ((False, None), (True, x), (False, x)):
        model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        pruners.append(Pruner(model, recipe(GATES, Inputs(coupled=coupled), Threshold(at=0.0)), example_inputs=example))
    alone, whole, given = pruners
    assert [list(p.shape) for p in given.parameters()] == [list(p.shape) for p in alone.parameters()] == [[6], [5]]
    assert [list(p.shape) for p in whole.parameters()] == [[5]]
    with torch.no_grad():
        for p in given.parameters():
            p.copy_(torch.where(torch.arange(len(p)) == 1, -4.0, 4.0))
    given.penalty()
    given.finish()
    assert [(model[i].weight != 0).any(0).tolist() for i in (0, 2)] == [[True, False, *[True] * (n - 2)] for n in (6, 5)]


def test_a_gate_of_a_column_costs_the_weights_behind_it():
    """As published, λ/N · Σ_l n_out · Σ_j P(z_j ≠ 0), whether example inputs are given or not."""
    x, found = torch.randn(8, 6), []
    for example in (None, x):
        model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        pruner = Pruner(model, recipe(GATES, Inputs(coupled=False)), example_inputs=example)
        wanted = sum(n * GATES.presence(p).sum() for n, p in zip((5, 3), pruner.parameters(), strict=True)) * GATES.penalty / 8
        found.append(pruner.penalty())
        assert torch.allclose(found[-1], wanted)
    assert torch.equal(*found)


def test_inputs_that_are_not_coupled_do_not_speak_of_groups():
    with pytest.raises(secateur.RecipeError) as e:
        Inputs(coupled=False, normalize="l2")
    assert str(e.value) == (
        "structure 'inputs': normalize='l2' speaks of coupled groups, and with coupled=False there are none; leave it out, or "
        "give coupled=True"
    )


# ---------------------------------------------------------------- folding


FOLDS = {
    "weights": (lambda: small_model(), recipe(GATES, allocation=Threshold(at=0.0)), None),
    "inputs": (lambda: small_model(), recipe(GATES, Inputs(), Threshold(at=0.0)), None),
    "kernels": (lambda: small_model(), recipe(GATES, Kernels(), Threshold(at=0.0)), None),
    "filters, with their norms": (lambda: small_model(), recipe(GATES, Filters(), Threshold(at=0.0)), None),
    "coupled filters": (lambda: small_model(), recipe(GATES, Filters(), Threshold(at=0.0)), X),
    "coupled inputs": (lambda: small_model(), recipe(GATES, Inputs(), Threshold(at=0.0)), X),
    "heads": (lambda: SmallAttention(), recipe(GATES, Heads(), Threshold(at=0.0)), X),
    "gated neurons": (lambda: SmallAttention(), recipe(GATES, Neurons(), Threshold(at=0.0)), X),
}


@pytest.mark.parametrize(("build", "made", "example"), FOLDS.values(), ids=FOLDS)
def test_gates_fold_into_the_weights_and_shut_ones_are_removal(build, made, example):
    """A gate of 0 is physical removal, one in (0, 1] is in the weights: same outputs to 1e-5, cut out too."""
    torch.manual_seed(0)
    model = build()
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias)
            m.running_mean.normal_()
    pruner = spoil(Pruner(model, made, example_inputs=example))
    with torch.no_grad():
        gated = model.eval()(X)
        plain = build().eval()(X)
        pruner.finish()
        assert 0.01 < pruner.sparsity < 0.95
        assert torch.allclose(model(X), gated, atol=1e-5, rtol=0)
        assert not torch.allclose(plain, gated, atol=1e-2, rtol=0)
        for name, mask in pruner.masks.items():
            assert not bool(model.get_parameter(name)[~mask].any())
        if example is not None:
            before = sum(p.numel() for p in model.parameters())
            secateur.shrink_(model, example, plan=pruner.plan)
            assert sum(p.numel() for p in model.parameters()) < before
            assert torch.allclose(model(X), gated, atol=1e-5, rtol=0)


def test_a_gate_multiplies_what_reads_the_unit_and_its_size_is_what_goes():
    """Of conv 4→8 with norm, read by conv 8→16: 36 + 1 + 2 parameters own a unit, 144 read it."""
    model = small_model()
    pruner = Pruner(model, recipe(HardConcrete(examples=1, penalty=1.0), Filters()), example_inputs=X)
    found = list(pruner._life._parts._sizes.values())
    sizes = {len(s): int(s[0]) for s in found}
    assert sizes[8] == 36 + 1 + 2 + 16 * 9
    with torch.no_grad():
        for p in pruner.parameters():
            p.fill_(0.0)
    assert pruner.penalty().item() == pytest.approx(
        0.83177 * sum(int(s.sum()) for s in pruner._life._parts._sizes.values()), rel=1e-4
    )
    seen = {}
    model[3].register_forward_pre_hook(lambda m, a: seen.update(reader=m.weight.detach().clone()))
    model[0].register_forward_hook(lambda m, a, o: seen.update(maker=m.weight.detach().clone()))
    weight = model[3].weight.detach().clone()
    model.eval()(X)
    assert torch.allclose(seen["reader"], 0.5 * weight)
    assert torch.equal(seen["maker"], model[0].weight)


def test_the_decay_of_open_gates_is_that_of_their_weights():
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    pruner = Pruner(model, recipe(HardConcrete(examples=5, penalty=0.0, l2=2.0), Inputs()))
    columns = model[0].weight.square().sum(0)
    chance = pruner.recipe.score.presence(pruner.parameters()[0])
    assert pruner.penalty().item() == pytest.approx((chance * columns).sum().item() / 5)


# ---------------------------------------------------------------- masks that learn


def test_masks_of_movement_come_and_go_until_the_last_event():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    made = recipe(Movement(), schedule=Cubic(sparsity=0.5, begin=0, end=3, every=1))
    pruner = Pruner(model, made, optimizer=optimizer)
    keep, weights = [], [p.detach().clone() for p in model.parameters()]
    for step in range(3):
        with torch.no_grad():
            for i, p in enumerate(pruner.parameters()):
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(10 * step + i)))
        pruner.penalty()
        pruner.step()
        keep.append(pruner.masks["0.weight"].clone())
        if step < 2:
            assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True)), "weights are only masked"
            shut = nn.functional.conv2d(X, model[0].weight * keep[-1], model[0].bias, padding=1)
            assert torch.equal(model[0](X), shut)
    assert not bool((keep[2] <= keep[0]).all()), "nothing came back"
    assert pruner.sparsity == pytest.approx(0.5, abs=1e-3)
    assert pruner.parameters() == []
    assert not bool(model[0].weight[~keep[2]].any())


def test_the_mask_between_events_is_what_a_layer_computes_with():
    model = nn.Sequential(nn.Linear(6, 5, bias=False))
    pruner = spoil(Pruner(model, recipe(Movement())))
    pruner.prune(0.4)
    assert pruner.parameters()
    assert pruner.sparsity == pytest.approx(12 / 30)
    mask, weight = pruner.masks["0.weight"].clone(), model[0].weight.detach().clone()
    for mode in (True, False):
        assert torch.equal(model.train(mode)(torch.eye(6)).detach().T, weight * mask)
    assert int((weight == 0).sum()) == 0
    spoil(pruner, seed=9)
    pruner.prune(0.4)
    assert not torch.equal(pruner.masks["0.weight"], mask)
    assert pruner.sparsity == pytest.approx(12 / 30)


def test_soft_masks_follow_the_scores_at_every_step():
    model = nn.Sequential(nn.Linear(6, 5, bias=False))
    pruner = Pruner(model, recipe(SoftMovement(threshold=0.5), allocation=Threshold(at=0.5)))
    for seed in (1, 2):
        spoil(pruner, seed)
        pruner.step()
        open_ = pruner.parameters()[0] > 0
        assert torch.equal(model(torch.eye(6)).detach().T, model[0].weight.detach() * open_)
    pruner.finish()
    assert torch.equal(pruner.masks["0.weight"], open_)


# ---------------------------------------------------------------- what models are made of


class Shared(nn.Module):
    """One layer twice, one weight under two names, and a layer without parameters."""

    def __init__(self):
        super().__init__()
        self.twice, self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 4), nn.Linear(6, 4)
        self.second.weight, self.drop = self.first.weight, nn.Dropout(0.0)

    def forward(self, x):
        x = self.drop(torch.relu(self.twice(torch.relu(self.twice(x)))))
        return self.first(x) + self.second(x)


@pytest.mark.parametrize("score", [VD, GATES, Movement()], ids=lambda s: s.name)
def test_shared_weights_have_one_tensor_and_all_uses_compute_with_it(score):
    torch.manual_seed(0)
    model = Shared()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    pruner = Pruner(model, recipe(score), optimizer=optimizer)
    assert len(pruner.parameters()) == 2
    x = torch.randn(5, 6)
    (model(x).square().sum() + pruner.penalty()).backward()
    assert all(bool(p.grad.any()) for p in pruner.parameters())
    spoil(pruner)
    seen = []
    for m in (model.first, model.second):
        m.register_forward_pre_hook(lambda m, a: seen.append(m.weight.detach().clone()))
    gated = model.eval()(x)
    assert torch.equal(seen[0], seen[1])
    pruner.finish()
    assert model.second.weight is model.first.weight
    if score is GATES:  # all are kept or not by one ranking, and what is kept computes the same
        assert pruner.sparsity == pytest.approx(0.5)
    assert gated.shape == model(x).shape


class Borrowed(nn.Module):
    """A weight that is used by another module than the one that holds it."""

    def __init__(self):
        super().__init__()
        self.inner, self.recurrent = nn.Linear(4, 4, bias=False), nn.LSTM(4, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        x = nn.functional.linear(x, self.inner.weight)
        return self.attention(*[self.recurrent(x)[0]] * 3, need_weights=False)[0]


def test_gates_reach_weights_that_other_modules_use():
    torch.manual_seed(0)
    model, x = Borrowed(), torch.randn(2, 3, 4)
    pruner = Pruner(model, recipe(GATES, allocation=Threshold(at=0.0)))
    assert {"inner.weight", "recurrent.weight_hh_l0", "attention.in_proj_weight", "attention.out_proj.weight"} <= set(
        pruner.targets
    )
    model(x).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in pruner.parameters())
    spoil(pruner)
    with torch.no_grad():
        for mode in (True, False):
            model.train(mode)(x)
        gated = model(x)
        pruner.finish()
        assert torch.allclose(model(x), gated, atol=1e-6)
        assert not torch.allclose(gated, torch.zeros_like(gated))


def test_a_module_called_by_itself_and_one_recomputed_in_backward():
    model = small_model()
    pruner = spoil(Pruner(model, recipe(GATES)))
    direct = model[8](torch.ones(1, 16))
    assert not torch.allclose(direct, nn.functional.linear(torch.ones(1, 16), model[8].weight, model[8].bias))
    grads = []
    for again in (False, True):
        pruner._life.step(0)
        torch.manual_seed(3)
        x = torch.utils.checkpoint.checkpoint(model[:8], X, use_reentrant=False) if again else model[:8](X)
        model[8:](x).sum().backward()
        grads.append([p.grad.clone() for p in pruner.parameters()])
        for p in pruner.parameters():
            p.grad = None
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (nn.Sequential(nn.ConvTranspose2d(3, 3, 3)), "the weight of a ConvTranspose2d"),
        (nn.MultiheadAttention(4, 2), "the in_proj_weight of a MultiheadAttention"),
    ],
)
def test_noise_is_refused_where_it_is_not_known(model, what):
    with pytest.raises(ModelError, match=what):
        Pruner(model, recipe(VD))
    assert hooks(model) == 0


def test_a_gate_that_a_norm_would_undo_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="'1' has no scale"):
        Pruner(model, recipe(GATES, Filters()))


def test_half_precision_and_another_device_type():
    model = small_model().to(torch.bfloat16)
    for score in (VD, GATES, Movement()):
        other = copy.deepcopy(model)
        pruner = Pruner(other, recipe(score))
        assert all(p.dtype == torch.float32 for p in pruner.parameters())
        (other(X.bfloat16()).float().sum() + pruner.penalty()).backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in pruner.parameters())


# ---------------------------------------------------------------- when it ends


def test_nothing_learned_is_an_error_that_says_what_to_do():
    with pytest.raises(DataError, match=r"pruner.watch\(optimizer\)"):
        Pruner(small_model(), recipe(GATES)).prune()
    with pytest.raises(DataError, match="learned while training"):
        secateur.prune_(small_model(), recipe(Movement(), schedule=OneShot()))
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruner = Pruner(model, recipe(VD, schedule=OneShot(at_training_step=2)))  # the optimizer does not know the tensors
    with pytest.raises(DataError, match="give them to the optimizer"):
        train(model, pruner, optimizer, 2)


def test_a_penalty_that_no_loss_had_is_told():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruner = Pruner(model, recipe(VD), optimizer=optimizer)
    nn.functional.cross_entropy(model(X), Y).backward()
    optimizer.step()
    pruner.step()
    with pytest.warns(UserWarning, match=r"add pruner.penalty\(\) to the loss"):
        pruner.finish()


def test_after_its_end_it_is_a_pruner_that_keeps_masks():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    pruner = Pruner(model, recipe(GATES, schedule=OneShot(sparsity=0.5, at_training_step=2)), optimizer=optimizer)
    train(model, pruner, optimizer, 5)
    assert pruner.finish().sparsity == pytest.approx(0.5, abs=1e-3)
    for name, mask in pruner.masks.items():
        assert not bool(model.get_parameter(name)[~mask].any())
    with pytest.raises(ModelError, match="has finished"):
        pruner.prune(0.9)
    state = pruner.state_dict()
    other = Pruner(small_model(), pruner.recipe)
    other.load_state_dict(state)
    assert other.parameters() == []
    assert hooks(other.model) == 0
    assert other.sparsity == pruner.sparsity
    with pytest.raises(ModelError, match="make a new Pruner"):
        pruner.load_state_dict(Pruner(small_model(), pruner.recipe).state_dict())


def test_a_state_without_what_was_learned_or_of_another_model():
    pruner = Pruner(small_model(), recipe(GATES))
    with pytest.raises(ModelError, match="lacks what score 'hard_concrete' learned"):
        pruner.load_state_dict({k: v for k, v in pruner.state_dict().items() if k != "learned"})
    other = Pruner(nn.Sequential(nn.Linear(3, 3)), recipe(GATES)).state_dict()
    with pytest.raises(ModelError, match="of another model"):
        pruner.load_state_dict(other)


def test_other_scores_have_nothing_to_finish():
    model = small_model()
    pruner = Pruner(model, Recipe())
    assert pruner.finish() is pruner
    assert pruner.parameters() == []
    assert pruner.sparsity == 0
    assert hooks(model) == 0


def test_rounds_prune_in_between_and_end_with_the_last():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    pruner = Pruner(model, recipe(VD, schedule=Iterative(rounds=2, rate=0.5)), optimizer=optimizer)
    seen = []
    for sparsity in pruner.rounds():
        seen.append((round(sparsity, 2), bool(pruner.parameters())))
        train(model, pruner, optimizer, 2)
    assert seen == [(0.0, True), (0.5, True), (0.75, False)]


def test_a_ticket_found_by_gates_is_rewound():
    model = small_model()
    first = {n: v.clone() for n, v in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruner = Pruner(model, recipe(GATES, schedule=OneShot(), recovery=Rewind(to=0)), optimizer=optimizer)
    for _ in pruner.rounds():
        if not pruner.round:
            train(model, pruner, optimizer, 2)
    assert all(torch.equal(model.get_parameter(n), first[n] * m) for n, m in pruner.masks.items())


def test_copies_that_are_cut_to_measure_have_no_gates_and_norms_see_those_of_evaluation():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    made = recipe(GATES, Filters(), schedule=OneShot(at_training_step=2), recovery=Finetune(recalibrate=8))
    pruner = Pruner(model, made, optimizer=optimizer, example_inputs=X, data=[(X, Y)], target=secateur.Macs(0.5))
    train(model, pruner, optimizer, 1)
    before = hooks(model)
    assert pruner.preview([0.5], ["latency"])[0]["latency"] > 0
    assert hooks(model) == before > 0
    train(model, pruner, optimizer, 1)
    assert pruner.parameters() == []
    assert hooks(model) == 0
    through = model[0](X)
    assert torch.allclose(model[1].running_mean, through.mean((0, 2, 3)), atol=1e-5)
