"""Half of the filters of ResNet-20, cut out; exported to ONNX and run in onnxruntime: equal, and timed.

Run: python examples/shrink_onnx.py
"""

import statistics
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch

import secateur as sc
from secateur.allocation import Uniform
from secateur.schedule import OneShot
from secateur.structure import Filters
from secateur.training.models import ResNet


def session(model, path):
    torch.onnx.export(model, (images,), path, dynamo=True, dynamic_shapes=({0: "batch"},), input_names=["images"], verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def milliseconds(run, feed, repeats=30):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run.run(None, feed)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[5:])


torch.manual_seed(0)
images = torch.randn(2, 3, 32, 32)
model = ResNet(20).eval()
with tempfile.TemporaryDirectory() as folder:
    dense = session(model, Path(folder) / "dense.onnx")
    half = sc.Recipe(structure=Filters(), allocation=Uniform(), schedule=OneShot(sparsity=0.5))
    sc.prune_(model, half, example_inputs=images)
    shrunk = sc.shrink_(model, images)
    small = session(model, Path(folder) / "small.onnx")

feed = {"images": torch.randn(8, 3, 32, 32).numpy()}
with torch.no_grad():
    wanted = model(torch.from_numpy(feed["images"]))
error = float((torch.from_numpy(small.run(None, feed)[0]) - wanted).norm() / wanted.norm())
assert error < 1e-5
before, after = milliseconds(dense, feed), milliseconds(small, feed)
macs = shrunk.macs[1] / shrunk.macs[0]
print(f"relative difference {error:.1e}  multiply-adds left {macs:.4f}  {before:.2f} ms dense, {after:.2f} ms for a batch of 8")
