"""The zoo: structural pruning tried on other people's models, with random weights and nothing downloaded.

One model, with everything that is known about it:   python -m tests.zoo bert-for-masked-lm
Several, or all of one library:                      python -m tests.zoo 'timm/*' --jobs 2
Only tracing and groups, each unit tried on numbers: python -m tests.zoo 'transformers/*' --groups
Also one that is not listed:                         python -m tests.zoo timm/resnet50 transformers/roc_bert
What there is:                                       python -m tests.zoo --list
All, written to benchmarks/results/zoo.csv:          make zoo

``make zoo`` installs timm, torchvision and Torch-Pruning into ``.venv/zoo``, beside the environment and not in it: a
torchvision built for CUDA does not import beside a CPU torch unless its operators are declared first
(:mod:`tests.zoo.packages`), and Transformers imports any torchvision it finds. What is not there is skipped and said.

A model passes if its shrunken self equals the dense model with the same units zeroed (relative error < 1e-10 in float64,
on two batch sizes), has finite gradients, and comes back equal from a file in a new process. The zeroing is done here, in a
copy, and does not use what the library says about its own work beyond which units are gone. A model whose output does not
depend on its input passes nothing.

========================  =====================================================================
catalog.py                what there is: one entry a model, from of_*.py
tiny.py, inputs.py        small configurations and inputs for any Transformers model
liven.py                  random weights through which a signal passes
check.py                  the steps, one verdict a model
reference.py              the dense model with units zeroed, and how far two outputs are apart
rival.py                  the same steps with Torch-Pruning
run.py                    a process a model, with limits of time and memory
table.py                  the result files
========================  =====================================================================
"""
