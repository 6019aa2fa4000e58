# Every target sets up what it needs: uv, the locked environment, Prometheus.
SHELL := /bin/sh
UV := scripts/uv
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-all test test-fast lint bench render cluster cluster-down test-cluster test-cluster-fast clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is newer than the lock file only after a sync that succeeded.
.venv/.synced: pyproject.toml uv.lock
	@$(UV) sync --locked --all-extras --group dev --compile-bytecode
	@touch $@

setup: .venv/.synced  ## Install everything that is locked, and Prometheus.
	@$(PYTHON) -m hera_workflows.platform.prometheus

demo: setup  ## The main job: real pushes go the whole way to production (KEEP=1 leaves it running).
	@$(PYTHON) -m hera_workflows.platform.demo

demo-all: setup  ## Every example to production by one push: pictures, sentences, numbers.
	@$(PYTHON) -m hera_workflows.platform.demo_all

lint: .venv/.synced  ## Format, lint, types and floors.
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

test: setup lint  ## Lint, types, floors and every test that needs no cluster.
	@.venv/bin/pytest -n auto --maxprocesses 4 --dist loadfile

test-fast: setup  ## The tests that take less than a few seconds each.
	@.venv/bin/pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow"

bench: setup  ## The figures of docs/performance.md, each against its named alternative.
	@$(PYTHON) -m bench

render: .venv/.synced  ## Write all manifests of deploy/ again.
	@.venv/bin/slipway render

# uv's cache is warm after setup, so the images are built from what was downloaded already.
cluster: setup  ## A real one-node Kubernetes with Argo, a forge and slipway, for tests (root and Go; long the first time).
	@$(PYTHON) -m tests.cluster up

cluster-down: .venv/.synced  ## Take it down; nothing of it stays but the cache and Debian packages.
	@$(PYTHON) -m tests.cluster down

test-cluster: cluster  ## The tests that need it: a push goes to production there.
	@SLIPWAY_CLUSTER=1 .venv/bin/pytest tests/cluster

# The way of one push, what is installed, who may do and reach what, what a push starts, and what people are shown.
FAST := story install install_page admission rights serving_rights network events delivery live report doctor

test-cluster-fast: setup  ## Those of them that take minutes, without KEDA: the way of one push, and what is refused on it.
	@$(PYTHON) -m tests.cluster up --no-autoscaling
	@SLIPWAY_CLUSTER=1 .venv/bin/pytest $(FAST:%=tests/cluster/test_cluster_%.py)

clean:  ## Remove what make installed and built here.
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis .demo
