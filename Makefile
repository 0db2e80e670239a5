# make run     everything on this machine: http://127.0.0.1:8000
# make test    all tests
# make check   formatting, types, layers, templates, migrations, deployment settings
# make warm    compile the kernels ahead (make run does it too)
# make bench   speed against the reference reader (needs ../shared/lab)

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

.PHONY: install install-dev run test check warm bench clean

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements/runtime.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	printf '#!/bin/sh\nexec "$(CURDIR)/$(BIN)/python" -m explorer.cli "$$@"\n' > $(BIN)/dump-explorer && chmod +x $(BIN)/dump-explorer
	echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/dump-explorer.pth"
	touch $@

$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
	  || { echo "The browser tests need chromium: install it with your package manager."; exit 1; }
	touch $@

run: install
	@$(BIN)/python manage.py up --port $(PORT)

test: install-dev
	$(BIN)/python -m pytest -q -n 2 --dist loadscope
	$(BIN)/python -m tests.on_services

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/python manage.py makemigrations --check --dry-run
	EXPLORER_PUBLIC_URL=https://dumps.example.com EXPLORER_ALLOWED_HOSTS=dumps.example.com \
	  EXPLORER_STORE_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))')" \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

warm: install
	NUMBA_CACHE_DIR="$${EXPLORER_DATA_DIR:-data}/kernels" $(BIN)/python -m analysis warm

bench: install
	$(BIN)/python -m benchmarks.heap 5
	$(BIN)/python -m benchmarks.retention 3

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
