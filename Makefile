# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow lint types check docs papers suite bench kernels zoo clean

demo: .venv/installed  ## train, prune, recover, save, reload, measure and report, in about two minutes
	$(BIN)/secateur demo

test: .venv/installed  ## all tests but the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not paper"

slow: .venv/installed  ## the slow tests
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest -m "slow or paper"

lint: .venv/installed  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed  ## mypy, strict
	$(BIN)/mypy

check: lint types test  ## what CI runs

docs: .venv/installed  ## the site, into site/
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

papers: .venv/installed  ## published claims at CPU scale, into benchmarks/results/ (a night)
	for e in demo_digits han_2015 resnet20_allocation zhu_gupta_2018 bn_recalibration resnet56_filters depth lottery_ticket rewinding \
	    movement exact_obs layer_budgets instability filters_by_score heads \
	    scratch at_initialisation learned_masks variational_dropout dynamic_sparse dynamic_sparse_conv large_sparse_small_dense gale_2019 \
	    deep_compression deep_compression_resnet56; do $(BIN)/python benchmarks/experiments/$$e.py || exit 1; done
	$(BIN)/python docs/generate.py

suite: .venv/installed  ## every method on the standard networks, into benchmarks/results/suite/ (a night on two cores); it goes on where it was stopped
	for f in benchmarks/suite/*.yaml; do $(BIN)/secateur sweep $$f --out runs/suite && $(BIN)/python benchmarks/suite/collect.py $$f || exit 1; done
	$(BIN)/python docs/generate.py

bench: .venv/installed  ## speed and memory against peers, into benchmarks/results/ (minutes)
	for e in prune_speed sweep_speed report_speed step_overhead graph_speed resnet50_latency learned_overhead codec_speed sharing_speed codec_fuzz; do $(BIN)/python benchmarks/experiments/$$e.py || exit 1; done
	$(BIN)/python docs/generate.py

kernels: .venv/installed  ## compiled models against dense engines, into benchmarks/results/ (half an hour on a quiet machine)
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'
	for m in resnet50 mobilenet; do for t in 1 2; do $(BIN)/python benchmarks/experiments/compile_images.py $$m --threads $$t || exit 1; done; done
	for t in 1 2; do $(BIN)/python benchmarks/experiments/compile_images.py resnet50 --batch 16 --threads $$t --sparsities 0.9 0.95 || exit 1; done
	for t in 1 2; do $(BIN)/python benchmarks/experiments/compile_bert.py --threads $$t || exit 1; done
	for e in compile_small compile_layers; do $(BIN)/python benchmarks/experiments/$$e.py || exit 1; done
	$(BIN)/python docs/generate.py

zoo: .venv/zoo/installed  ## half of every group cut out of other people's models, into benchmarks/results/ (an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.zoo --jobs 2 --narrow-norms --write
	$(BIN)/python docs/generate.py

# Beside the environment: Transformers imports any torchvision that it finds, and one built for CUDA needs tests/zoo/packages.py.
.venv/zoo/installed: .venv/installed
	$(BIN)/pip install -q --no-deps --upgrade --target .venv/zoo timm==1.0.31 torchvision==0.28.0 torch-pruning==1.6.1
	touch $@

.venv/installed: pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[all,dev]'
	touch $@

clean:
	rm -rf .venv runs site
