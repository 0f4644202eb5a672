# `make run` and `make test` set everything up by themselves; `make help` lists the rest. .ci/setup says what it installs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
PAGE := server/hookcast/static/index.html
PAGE_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -path web/test -prune -o -type f -print) docs/access.md docs/protocol.md

.PHONY: help run check test projects coverage check-lowest test-image test-install chaos fuzz bench instructions soak format lock build clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(PAGE) ## Start the server, an emulated fal and the demo page
	@.ci/setup run
	$(BIN)/hookcast dev

check: web/node_modules/.package-lock.json ## Format, lint, types, layers
	@.ci/check

test: $(PAGE) tests/clients/node_modules/.package-lock.json ## Run every test; ARGS='-k drain' for a part
	@.ci/setup dev browsers services proxies rails systemd prometheus
	@tests/projects/build
	npm --prefix web test
	$(BIN)/pytest -n 6 --dist worksteal $(ARGS)

projects: $(PAGE) tests/clients/node_modules/.package-lock.json ## Build the projects that the tests use, as they do themselves
	@.ci/setup dev
	@tests/projects/build

coverage: $(PAGE) tests/clients/node_modules/.package-lock.json ## Measure which lines the tests run that have the server in their own process
	@.ci/coverage

check-lowest: tests/clients/node_modules/.package-lock.json ## Run the tests of streams, store and bus on the lowest versions allowed
	@.ci/lowest

test-image: ## Build the image on stand-in bases and run it; needs root and 2 GB of memory
	@.ci/setup dev node buildah debootstrap
	$(BIN)/pytest tests/image $(ARGS)

test-install: build ## Install what a release publishes, by pip, uvx, pipx and npm
	@.ci/setup dev chromium-headless-shell
	$(BIN)/pytest -n 2 tests/install $(ARGS)

chaos: ## Kill, freeze and fill everything, for a quarter of an hour; ARGS='-k kill' for a part
	@.ci/setup dev services
	CHAOS=long $(BIN)/pytest tests/chaos $(ARGS)

fuzz: ## Send 1,000,000 wrong webhooks, 200,000 WebSocket streams and answers of fal; FUZZ_SEED repeats a run
	@.ci/setup dev
	FUZZ=long $(BIN)/pytest tests/fuzz -s $(ARGS)

bench: ## Measure Hookcast and its peers side by side; ARGS=--quick takes two minutes
	@.ci/setup bench gcc libc6-dev iproute2 nginx libnginx-mod-nchan services
	@bench/build
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

instructions: ## Count the instructions of opening, push and webhook; ARGS='--against main' fails if they grew by 5 %
	@.ci/setup bench gcc libc6-dev valgrind
	@bench/build
	PYTHONPATH=tests $(BIN)/python -m bench.instructions $(ARGS)

soak: ## Hold idle streams for 90 s behind nginx, haproxy and caddy, and time their states
	@.ci/setup dev proxies
	PYTHONPATH=tests $(BIN)/python -m bench.proxies

format: web/node_modules/.package-lock.json ## Put the sources into shape
	@.ci/setup dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	npm --prefix web run format
	cd examples && ../web/node_modules/.bin/biome check --write

lock: ## Lock the newest versions that fit, the lowest ones, and uv itself
	@.ci/lock

build: $(PAGE) ## Build the wheel and the source distribution, with the page and the browser package inside
	@.ci/setup uv
	.make/uv/bin/uv build --quiet

clean: ## Remove everything that was made here
	rm -rf .venv .make dist web/dist web/node_modules tests/clients/node_modules server/hookcast/static

%/node_modules/.package-lock.json: %/package-lock.json
	@.ci/setup npm:$*

$(PAGE): web/node_modules/.package-lock.json $(PAGE_SOURCES)
	npm --prefix web run --silent build
