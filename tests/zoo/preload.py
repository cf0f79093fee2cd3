"""What every process of the zoo starts with. Importing this imports the libraries."""

from __future__ import annotations

import warnings
from importlib import import_module

from .catalog import entries
from .packages import installed, prepare

warnings.simplefilter("ignore")
prepare()
if installed("transformers"):
    transformers = import_module("transformers")
    transformers.logging.set_verbosity_error()
    import_module("transformers.models.auto.modeling_auto")
    import_module("transformers.models.llama.modeling_llama")
for library in ("timm", "torchvision", "torch_pruning"):
    if installed(library.replace("_", "-")):
        import_module(library)
for module in ("torch.export", "secateur.graph.shrink", "secateur.codec", "secateur.evaluate.macs"):
    import_module(module)
known = [str(entry) for entry in entries()]
