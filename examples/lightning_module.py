"""Lightning: the pruner is made where the optimizer is made, and goes into the checkpoint.

Run: python examples/lightning_module.py
"""

import lightning
import torch
from torch import nn

import secateur as sc
from secateur.allocation import Uniform
from secateur.schedule import Cubic
from secateur.training.data import load_data


class Digits(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
        ramp = Cubic(sparsity=0.9, begin=0, end=100, every=20)
        self.pruner = sc.Pruner(self.net, sc.Recipe(allocation=Uniform(), schedule=ramp))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=2e-3)
        self.pruner.attach(optimizer)
        return optimizer

    def training_step(self, batch, index):
        inputs, labels = batch
        return nn.functional.cross_entropy(self.net(inputs), labels)

    def on_save_checkpoint(self, checkpoint):
        checkpoint["pruner"] = self.pruner.state_dict()

    def on_load_checkpoint(self, checkpoint):
        self.pruner.load_state_dict(checkpoint["pruner"])


lightning.seed_everything(0, verbose=False)
digits = load_data("digits")
train = torch.utils.data.TensorDataset(digits.prepare(digits.train.inputs).flatten(1), digits.train.targets)
module = Digits()
trainer = lightning.Trainer(
    max_epochs=8, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
)  # fmt: skip
trainer.fit(module, torch.utils.data.DataLoader(train, batch_size=64, shuffle=True))

with torch.no_grad():
    answers = module.net(digits.prepare(digits.test.inputs).flatten(1)).argmax(1)
accuracy = (answers == digits.test.targets).float().mean().item()
print(f"test accuracy {accuracy:.4f} at sparsity {module.pruner.sparsity:.4f}")
