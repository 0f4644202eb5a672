# `make run` and `make test` set everything up by themselves; `make help` lists the rest. .ci/setup says what it installs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
PAGE := server/hookcast/static/index.html
PAGE_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -path web/test -prune -o -type f -print) docs/access.md docs/protocol.md
SERVICES := postgresql pgbouncer redis-server
PROXIES := nginx haproxy caddy curl openssl
RAILS := puma ruby-railties ruby-activerecord ruby-sqlite3
COMPILE := .make/uv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate
UNMEASURED := $(addprefix --ignore=tests/integration/,clients pyclient/test_commands.py test_access.py test_access_of_pages.py \
  test_access_tokens.py test_attacks.py test_cli.py test_cuts.py test_failing_parts.py test_faults.py test_full_disk.py \
  test_garbage.py test_health_check.py test_installation.py test_limits_of_clients.py test_media_commands.py \
  test_memory_of_readers.py test_open_files.py test_redis_entry.py test_setup.py test_start.py test_unread_log.py test_watchdog.py)
PYTEST := $(BIN)/pytest -n 6 --dist worksteal

.PHONY: help run check test coverage check-lowest test-image test-install chaos fuzz bench instructions soak format lock build clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(PAGE) ## Start the server, an emulated fal and the demo page
	@.ci/setup run
	$(BIN)/hookcast dev

check: web/node_modules/.package-lock.json ## Format, lint, types, layers
	@.ci/setup bench
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet --strict-collection .github
	npm --prefix web run check
	cd examples && ../web/node_modules/.bin/biome check
	$(BIN)/python .ci/audit

test: $(PAGE) tests/clients/node_modules/.package-lock.json ## Run every test; ARGS='-k drain' for a part
	@.ci/setup dev chromium firefox-esr systemd prometheus $(SERVICES) $(PROXIES) $(RAILS)
	@tests/projects/build
	npm --prefix web test
	$(PYTEST) $(ARGS)

coverage: $(PAGE) tests/clients/node_modules/.package-lock.json ## Measure which lines the tests run that have the server in their own process
	@.ci/setup dev $(SERVICES)
	$(PYTEST) --cov=hookcast tests/unit tests/contract tests/integration $(UNMEASURED)

check-lowest: tests/clients/node_modules/.package-lock.json ## Run the tests of streams, store and bus on the lowest versions allowed
	@.ci/lowest

test-image: ## Build the image on stand-in bases and run it; needs root and 2 GB of memory
	@.ci/setup dev node buildah debootstrap
	$(BIN)/pytest tests/image $(ARGS)

test-install: build ## Install what a release publishes, by pip, uvx, pipx and npm
	@.ci/setup dev chromium
	$(BIN)/pytest -n 2 tests/install $(ARGS)

chaos: ## Kill, freeze and fill everything, for a quarter of an hour; ARGS='-k kill' for a part
	@.ci/setup dev $(SERVICES)
	CHAOS=long $(BIN)/pytest tests/chaos $(ARGS)

fuzz: ## Send 1,000,000 wrong webhooks, 200,000 WebSocket streams and answers of fal; FUZZ_SEED repeats a run
	@.ci/setup dev
	FUZZ=long $(BIN)/pytest tests/fuzz -s $(ARGS)

bench: ## Measure Hookcast and its peers side by side; ARGS=--quick takes two minutes
	@.ci/setup bench gcc libc6-dev iproute2 nginx libnginx-mod-nchan $(SERVICES)
	@bench/build
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

instructions: ## Count the instructions of opening, push and webhook; ARGS='--against main' fails if they grew by 5 %
	@.ci/setup bench gcc libc6-dev valgrind
	@bench/build
	PYTHONPATH=tests $(BIN)/python -m bench.instructions $(ARGS)

soak: ## Hold idle streams for 90 s behind nginx, haproxy and caddy, and time their states
	@.ci/setup dev $(PROXIES)
	PYTHONPATH=tests $(BIN)/python -m bench.proxies

format: web/node_modules/.package-lock.json ## Put the sources into shape
	@.ci/setup dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	npm --prefix web run format
	cd examples && ../web/node_modules/.bin/biome check --write

lock: ## Lock the newest versions that fit, the lowest ones, and uv itself
	@.ci/setup uv
	.make/uv/bin/uv lock --upgrade
	$(COMPILE) --resolution lowest-direct pyproject.toml -o .ci/lowest.txt
	echo uv | $(COMPILE) - -o .ci/uv.txt

build: $(PAGE) ## Build the wheel and the source distribution, with the page and the browser package inside
	@.ci/setup uv
	.make/uv/bin/uv build --quiet

clean: ## Remove everything that was made here
	rm -rf .venv .make dist web/dist web/node_modules tests/clients/node_modules server/hookcast/static

%/node_modules/.package-lock.json: %/package-lock.json
	@.ci/setup npm:$*

$(PAGE): web/node_modules/.package-lock.json $(PAGE_SOURCES)
	npm --prefix web run --silent build
