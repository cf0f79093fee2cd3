"""Hugging Face Trainer: a callback that attaches the pruner to the optimizer once training begins.

Run: python examples/hf_trainer.py
"""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

import secateur as sc
from secateur.allocation import Uniform
from secateur.schedule import Cubic


class Prune(TrainerCallback):
    """One line: the optimizer exists only when training begins."""

    def __init__(self, pruner):
        self.pruner = pruner

    def on_train_begin(self, args, state, control, optimizer=None, **kwargs):
        self.pruner.attach(optimizer)


torch.manual_seed(0)
config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=2)
model = BertForSequenceClassification(config)
tokens = torch.randint(50, (256, 12))
examples = [{"input_ids": x, "labels": (x < 25).sum().gt(6).long()} for x in tokens]

ramp = Cubic(sparsity=0.8, begin=0, end=40, every=10)
pruner = sc.Pruner(model, sc.Recipe(allocation=Uniform(), schedule=ramp))
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder, max_steps=60, per_device_train_batch_size=16, learning_rate=2e-3, save_strategy="no", report_to=[],
        disable_tqdm=True, logging_strategy="no", use_cpu=True, seed=0,
    )  # fmt: skip
    Trainer(model, arguments, train_dataset=examples, callbacks=[Prune(pruner)]).train()

zeros = sum(int((p == 0).sum()) for n, p in model.named_parameters() if n in pruner.targets)
print(f"sparsity {pruner.sparsity:.4f}: {zeros:,} of {pruner.prunable:,} prunable weights are zero")
