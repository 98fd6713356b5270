# Every target sets up what it needs in .venv; nothing has to be installed first but a Python 3.10 or newer.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
# The newest Python from 3.10 to 3.14 on PATH; override with make PYTHON=...
PYTHON ?= $(shell for v in 3.14 3.13 3.12 3.11 3.10 3; do \
	p=$$(command -v python$$v) && $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' \
	2>/dev/null && echo $$p && break; done)

.PHONY: help demo bench bench-check e2e e2e-plane e2e-given e2e-tables test lint snapshots format catalogs generate check-generated smoke standalone \
	package release clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/runtime: setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.10 or newer with venv on PATH" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV): about a minute the first time"
	$(PY) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: $(VENV)/runtime
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/runtime ## Run the plugins on recorded clusters; needs no cluster and no kubectl
	@$(PY) tests/demo.py

test: $(VENV)/dev ## Run all tests, on all cores
	$(PY) -m pytest -q --numprocesses auto --dist loadscope

E2E := KUBETRIAGE_E2E=1 $(PY) -m pytest -q -rs -n0 -p no:randomly

e2e: $(VENV)/dev ## Run the plugins on real clusters of two versions, built from Go modules (an hour; 40 minutes more the first time)
	$(E2E) tests/e2e

e2e-plane: $(VENV)/dev ## Run the part of e2e that needs no kubelet and no broken etcd (8 minutes)
	$(E2E) tests/e2e/test_recorded_states.py tests/e2e/test_controllers.py tests/e2e/test_live.py \
		tests/e2e/test_two_versions.py

e2e-given: $(VENV)/dev ## Run the container scenarios on the kind cluster e2e, whose kubeconfig KUBETRIAGE_E2E_GIVEN names
	PYTHONPATH=tests $(PY) -m e2e.images $(or $(IMAGES),build/e2e-images)
	kind load image-archive $(or $(IMAGES),build/e2e-images)/box.tar --name e2e
	$(E2E) tests/e2e/test_given.py

e2e-tables: $(VENV)/dev ## Run e2e, keep its answers for docs/real-clusters.md and write the tables anew
	KUBETRIAGE_E2E_WRITE=1 $(E2E) tests/e2e
	$(PY) docs/generate.py

bench: package $(VENV)/dev ## Measure scans of a large generated cluster beside kubectl on the same fake API server
	$(PY) tests/latency.py
	$(PY) tests/bench.py

bench-check: package $(VENV)/dev ## Fail when a diagnosis or a scan takes a fifth longer beside kubectl than it did
	$(PY) tests/latency.py --check
	$(PY) tests/bench.py --check

lint: $(VENV)/dev ## Check style, types, the import contracts, spelling, and the links of the documents
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	PYTHONPATH=lib $(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/codespell
	$(PY) -m pytest -q -n0 tests/test_docs.py -k link

catalogs: $(VENV)/dev ## Compile the catalogues of other languages (lib/kubetriage/locale)
	$(VENV)/bin/pybabel compile --directory lib/kubetriage/locale --domain kubetriage

generate: $(VENV)/dev ## Write the files that follow from the tables of plugins and rules
	$(PY) docs/generate.py

check-generated: $(VENV)/dev ## Fail when a generated file is stale
	$(PY) docs/generate.py --check

snapshots: $(VENV)/dev ## Write the reviewed answers of tests/render/snapshots anew; read the diff
	KUBETRIAGE_WRITE_SNAPSHOTS=1 $(PY) -m pytest -q tests/render/test_snapshots.py

format: $(VENV)/dev ## Format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

smoke: $(VENV)/runtime ## Run the plugins against the cluster of the current context
	$(PY) tests/smoke.py

standalone: $(VENV)/runtime ## Freeze one binary per plugin in dist/standalone/, for machines without Python
	$(PY) -m pip install --quiet --disable-pip-version-check pyinstaller
	for file in kubectl-plugins/kubectl-*_*; do \
		$(PY) -m PyInstaller --noconfirm --log-level ERROR --onedir --strip --paths lib \
			--collect-submodules kubetriage --collect-data kubetriage --copy-metadata kubernetes \
			--exclude-module kubernetes.aio --exclude-module tkinter \
			--name $$(basename $$file) --distpath dist/standalone --workpath build/standalone --specpath build \
			$$file; \
	done

package: $(VENV)/runtime ## Build the release archive and manifests for it in dist/
	$(PY) krew-manifests/package.py

release: $(VENV)/runtime ## Build release VERSION=x and fill version, uri and sha256 of the krew manifests
	@test "$(VERSION)" = "$$($(PY) -c 'import kubetriage; print(kubetriage.__version__)')" || { \
		echo "error: VERSION=$(VERSION) is not the version in lib/kubetriage/__init__.py" >&2; exit 1; }
	$(PY) krew-manifests/package.py --release

clean: ## Remove what make built
	rm -rf $(VENV) build dist lib/*.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
