"""Loops one does not own: mixed precision, data parallelism, Transformers, Lightning, Accelerate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from secateur import Pruner, Recipe, prune_
from secateur.allocation import Uniform
from secateur.schedule import Cubic, OneShot
from secateur.score import Snip
from secateur.structure import NM, Blocks, Filters, Weights
from secateur.testing import small_batches, small_model

LOSS = nn.CrossEntropyLoss()
RAMP = Cubic(sparsity=0.5, begin=1, end=3, every=1)


def check_zero(model, pruner):
    assert pruner.masks
    for name, mask in pruner.masks.items():
        assert not bool(model.get_parameter(name)[~mask].any()), name
        assert bool(model.get_parameter(name)[mask].any()), name


# ---------------------------------------------------------------- torch itself


@pytest.mark.parametrize("way", ["step", "attach"])
def test_mixed_precision_in_bfloat16(way):
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    pruner = Pruner(model, Recipe(schedule=RAMP))
    if way == "attach":
        pruner.attach(optimizer)
    for x, y in small_batches(5):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = LOSS(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if way == "step":
            pruner.step()
        check_zero(model, pruner)
    assert (pruner.t, pruner.sparsity) == (5, 0.5)


@pytest.mark.parametrize("score", [None, Snip()], ids=["magnitude", "gradient"])
def test_a_scaled_step_that_is_skipped_is_no_step(score):
    """GradScaler leaves out a step whose gradients overflowed: an attached pruner does not count it."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    recipe = Recipe(schedule=RAMP) if score is None else Recipe(schedule=RAMP, score=score)
    pruner = Pruner(model, recipe).attach(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for i, (x, y) in enumerate(small_batches(6)):
        optimizer.zero_grad()
        loss = LOSS(model(x), y)
        scaler.scale(loss * (float("inf") if i == 2 else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        if pruner.masks:
            check_zero(model, pruner)
    assert (pruner.t, pruner.sparsity) == (5, 0.5)


def test_saliency_under_a_scaler_is_that_of_the_plain_gradients():
    masks = []
    for scale in (None, 1024.0):
        model = small_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=0.5), score=Snip())).attach(optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
        scaler.scale(LOSS(model.eval()(small_batches(1)[0][0]), small_batches(1)[0][1])).backward()
        scaler.step(optimizer)
        masks.append(pruner.masks)
    assert all(torch.equal(m, masks[1][n]) for n, m in masks[0].items())


RANK = """
import os, sys, torch
import torch.distributed as dist
from torch import nn
from secateur import Pruner, Recipe
from secateur.allocation import Uniform
from secateur.schedule import Cubic
from secateur.score import Snip, Magnitude, Random
from secateur.testing import small_batches, small_model

torch.set_num_threads(1)
rank, out = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{out}/meeting", rank=rank, world_size=2)
found = {}
for kind in ("magnitude", "random", "gradient", "gradient of the loop"):
    score = {"magnitude": Magnitude(), "random": Random()}.get(kind, Snip())
    model = nn.parallel.DistributedDataParallel(small_model(seed=0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    data = small_batches(2, seed=50 + rank) if kind == "gradient" else None
    ramp = Cubic(sparsity=0.6, begin=1, end=3, every=1)
    pruner = Pruner(model, Recipe(score=score, allocation=Uniform(), schedule=ramp), data=data)
    pruner.attach(optimizer)
    for x, y in small_batches(4, seed=10 + rank):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    found[kind] = {"masks": pruner.masks, "weights": {n: pruner.model.get_parameter(n).detach() for n in pruner.targets}}
torch.save(found, f"{out}/{rank}.pt")
dist.barrier()
os._exit(0)  # gloo's threads may outlive the interpreter and abort it
"""


def test_two_ranks_prune_alike(tmp_path):
    """Different data on each rank; the masks and the weights are the same to the bit."""
    source = str(Path(__file__).parents[1] / "src")
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(r), str(tmp_path)], env=environment, stderr=subprocess.PIPE)
        for r in (0, 1)
    ]
    told = [r.communicate(timeout=120)[1].decode() for r in ranks]
    assert [r.returncode for r in ranks] == [0, 0], "\n".join(told)
    one, other = (torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in (0, 1))
    assert set(one) == {"magnitude", "random", "gradient", "gradient of the loop"}
    for kind, found in one.items():
        assert sum(int((~m).sum()) for n, m in found["masks"].items()) == sum(
            round(0.6 * m.numel()) for m in found["masks"].values()
        )
        for part in ("masks", "weights"):
            assert all(torch.equal(v, other[kind][part][n]) for n, v in found[part].items()), (kind, part)
    assert not torch.equal(one["gradient"]["masks"]["3.weight"], one["magnitude"]["masks"]["3.weight"])


# ---------------------------------------------------------------- Transformers


def tiny_bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=2,
        max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def sentences(count=32):
    g = torch.Generator().manual_seed(4)
    ids = torch.randint(1, 32, (count, 8), generator=g)
    return [{"input_ids": i, "attention_mask": torch.ones(8, dtype=torch.long), "labels": i[0] % 2} for i in ids]


def arguments(folder):
    transformers = pytest.importorskip("transformers")
    return transformers.TrainingArguments(
        output_dir=str(folder), max_steps=4, per_device_train_batch_size=4, report_to=[], save_strategy="no", use_cpu=True,
        disable_tqdm=True, logging_strategy="no", learning_rate=1e-3,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("way", ["callback", "optimizers"])
def test_the_trainer_of_transformers(tmp_path, way):
    pytest.importorskip("accelerate")
    transformers = pytest.importorskip("transformers")
    model = tiny_bert()
    pruner = Pruner(model, Recipe(schedule=RAMP))
    assert "bert.embeddings.word_embeddings.weight" in pruner.dense
    assert pruner.dense["classifier.weight"].startswith("classifier")
    assert len(pruner.targets) == 2 * 6 + 1, "q, k, v, o and two feed-forward layers a block, and the pooler"

    class Prune(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            pruner.attach(kwargs["optimizer"])

    how = {"callbacks": [Prune()]}
    if way == "optimizers":
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        pruner.attach(optimizer)
        how = {"optimizers": (optimizer, None)}
    trainer = transformers.Trainer(model=model, args=arguments(tmp_path), train_dataset=sentences(), **how)
    trainer.train()
    assert (pruner.t, pruner.sparsity) == (4, pytest.approx(0.5, abs=1e-4))
    check_zero(model, pruner)


def test_saliency_of_a_transformer():
    """A mapping the model takes and answers with .loss needs no loss function."""
    batch = {k: torch.stack([s[k] for s in sentences(8)]) for k in sentences(1)[0]}
    model = tiny_bert()
    pruner = prune_(model, Recipe(score=Snip(), allocation=Uniform()), data=[batch])
    assert pruner.sparsity == pytest.approx(0.5, abs=1e-4)
    check_zero(model, pruner)


@pytest.fixture
def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for p in model.parameters():
            nn.init.normal_(p)
    return model


ATTENTION = "transformer.h.0.attn.c_attn"


@pytest.mark.parametrize("structure", [Filters(), NM(n=2, m=4), Blocks(shape=(8, 1)), Weights()], ids=repr)
def test_layers_of_gpt2_are_stored_the_other_way_round(gpt2, structure):
    """transformers' Conv1D holds [in, out]: units lie along its second dimension."""
    layer = gpt2.get_submodule(ATTENTION)
    twin = nn.Linear(16, 48)
    with torch.no_grad():
        twin.weight.copy_(layer.weight.t())
    recipe = Recipe(structure=structure, allocation=Uniform())
    pruner = prune_(gpt2, recipe)
    wanted = prune_(twin, recipe).masks["weight"]
    assert pruner.targets[f"{ATTENTION}.weight"].shape == (48, 16)
    assert torch.equal(pruner.masks[f"{ATTENTION}.weight"].t(), wanted)
    if structure == Filters():
        assert torch.equal(pruner.masks[f"{ATTENTION}.bias"], wanted.any(1))
    if structure == NM(n=2, m=4):
        assert int(pruner.masks[f"{ATTENTION}.weight"].t().reshape(48, 4, 4).sum(-1).max()) == 2
    check_zero(gpt2, pruner)


@pytest.mark.parametrize("classifier", [False, True])
def test_tied_embeddings_stay_dense(gpt2, classifier):
    assert gpt2.lm_head.weight is gpt2.transformer.wte.weight
    pruner = Pruner(gpt2, Recipe(prune_classifier=classifier))
    assert set(pruner.dense) == {"transformer.wte.weight", "transformer.wpe.weight"}
    assert not any("lm_head" in n or "wte" in n for n in pruner.targets)
    assert len(pruner.targets) == 4


# ---------------------------------------------------------------- Lightning, Accelerate


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", ["configure_optimizers", "on_fit_start"])
def test_lightning(tmp_path, way):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = small_model()
            self.pruner = Pruner(self.net, Recipe(schedule=RAMP))

        def training_step(self, batch, index):
            return LOSS(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
            if way == "configure_optimizers":
                self.pruner.attach(optimizer)
            return optimizer

        def on_train_start(self):
            if way == "on_fit_start":
                self.pruner.attach(self.optimizers())

    module = Module()
    trainer = lightning.Trainer(
        max_steps=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(small_batches(6), batch_size=None))
    pruner = module.pruner
    assert (pruner.t, pruner.sparsity) == (4, 0.5)
    check_zero(module.net, pruner)


@pytest.mark.parametrize("way", ["attach", "step"])
def test_accelerate_with_gradient_accumulation(way):
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    model, optimizer = accelerator.prepare(model, optimizer)
    pruner = Pruner(model, Recipe(schedule=RAMP))
    if way == "attach":
        pruner.attach(optimizer)
    for x, y in small_batches(8):
        with accelerator.accumulate(model):
            accelerator.backward(LOSS(model(x), y))
            optimizer.step()
            if way == "step" and accelerator.sync_gradients:
                pruner.step()
            optimizer.zero_grad()
    assert (pruner.t, pruner.sparsity) == (4, 0.5)
    check_zero(pruner.model, pruner)
