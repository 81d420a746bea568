# FlowRun. `make help` lists the targets; `make try`, `make demo` and `make test` set up all they need.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
ROOT := $(CURDIR)
VENV := $(ROOT)/.venv
PY := $(VENV)/bin/python
NAMESPACE ?= flowrun-system
export PATH := $(ROOT)/.local/bin:$(VENV)/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: try
try: setup ## A first run on this machine: no Kubernetes, no root
	@$(VENV)/bin/flowrun run examples/greetings.yaml --local
	@echo "Next: a flow of your own, $(VENV)/bin/flowrun run flow.py:main --local (docs/cli.md); a cluster, make demo"

.PHONY: demo
demo: install ## Cluster, images, install, two example runs
	@dev/demo.sh

.PHONY: test
test: setup ## All tests: unit, chart, and end-to-end on a real cluster
	@dev/test.sh

.PHONY: setup
setup: ## Python environment in .venv (gets uv if there is none)
	@dev/setup.sh

.PHONY: unit
unit: setup ## Unit tests only (no cluster)
	@$(VENV)/bin/pytest tests/unit

.PHONY: e2e
e2e: setup ## End-to-end tests on the installed cluster; PYTEST_ARGS selects
	@$(VENV)/bin/pytest tests/cluster $(PYTEST_ARGS)

.PHONY: conformance
conformance: setup ## Task runners compared, ours and Prefect's; writes docs/task-runners-conformance.md
	@$(VENV)/bin/pytest tests/runner/conformance --write-table

.PHONY: fault-matrix
fault-matrix: setup ## Every fault at every point; writes docs/fault-matrix.md (SKIP_CLUSTER=1: without the cluster)
	@KUBEBOX=$$(dev/kubebox) $(PY) dev/fault_matrix.py

.PHONY: lint
lint: setup ## ruff, mypy, import-linter, stale generated files, the chart
	@dev/lint.sh

.PHONY: format
format: setup ## Format the code
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

.PHONY: generate
generate: setup ## CRDs, the tables of docs/api.md and schemas for editors, from the pydantic models
	@$(PY) -m flowrun_api.kinds.crd charts/flowrun-operator/files/crds
	@$(PY) -m flowrun_api.kinds.reference docs/api.md docs/schemas

.PHONY: lock
lock: setup ## Renew the lock files (UPGRADE=1: newest versions)
	@UV=$$(dev/setup.sh --uv) requirements/lock.sh $(if $(UPGRADE),--upgrade)

.PHONY: install
install: setup cluster-up images ## Install the chart into the cluster (needs cluster and images, makes both)
	@dev/tools.sh kubectl helm
	@dev/install.sh $(NAMESPACE)

.PHONY: uninstall
uninstall: ## Remove the release; CRDs and runs stay
	@helm --kubeconfig $${KUBECONFIG:-.local/kubeconfig} uninstall flowrun --namespace $(NAMESPACE) --ignore-not-found

.PHONY: bench
bench: install ## Measure against dask-kubernetes with prefect-dask, side by side (about 10 minutes)
	@dev/images.sh bench
	@$(PY) benchmarks/first_task.py $(BENCH_ARGS)

.PHONY: bench-tasks
bench-tasks: setup ## What a task costs, against prefect-dask, prefect-ray and the bare engines (no cluster needed)
	@$(PY) benchmarks/task_overhead.py $(BENCH_ARGS)

include dev/cluster.mk
