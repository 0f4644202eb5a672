# `make run` and `make test` set everything up by themselves; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
STAMPS := .make
CHROMIUM := /usr/bin/chromium
FIREFOX := /usr/bin/firefox-esr
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
NPM_CI := npm ci --no-audit --no-fund --loglevel=error
NPM_INSTALL := npm install --no-save --prefer-offline --no-audit --no-fund --loglevel=error
PAGE := server/hookcast/static/index.html
PACKAGE := $(STAMPS)/hookcast.tgz
PACKAGE_SOURCES := $(shell find web/src/lib web/package.json web/README.md web/SPEC.md web/tsconfig.json web/tsconfig.package.json -type f 2>/dev/null)
PROJECTS := $(STAMPS)/projects/nextjs/built $(STAMPS)/projects/vite/built
PAGE_SOURCES := $(shell find web/src web/public web/index.html web/vite.config.ts web/vite.script.config.ts web/tsconfig.json -type f 2>/dev/null)

# A stamp is worth nothing without what it stands for.
_ := $(shell test -x $(BIN)/python || rm -f $(STAMPS)/python; test -x $(CHROMIUM) || rm -f $(STAMPS)/chromium; \
  test -x $(FIREFOX) || rm -f $(STAMPS)/firefox; \
  test -d web/node_modules || rm -f $(STAMPS)/web; test -d tests/clients/node_modules || rm -f $(STAMPS)/clients)

.PHONY: help run check test chaos fuzz bench soak format lock build clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(STAMPS)/python $(PAGE) ## Start the server, an emulated fal and the demo page
	$(BIN)/hookcast dev

check: $(STAMPS)/python $(STAMPS)/web ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	npm --prefix web run check
	cd examples && ../web/node_modules/.bin/biome check
	$(BIN)/python .ci/audit

test: $(STAMPS)/python $(STAMPS)/clients $(STAMPS)/chromium $(STAMPS)/firefox $(STAMPS)/services $(STAMPS)/proxies $(PAGE) $(PROJECTS) ## Run every test
	npm --prefix web test
	rm -f .coverage .coverage.*
	$(BIN)/pytest -n 4 --dist worksteal --cov

chaos: $(STAMPS)/python $(STAMPS)/services ## Kill, freeze and fill everything, for a quarter of an hour; ARGS='-k kill' for a part
	CHAOS=long $(BIN)/pytest tests/chaos $(ARGS)

fuzz: $(STAMPS)/python ## Send 1,000,000 wrong webhooks and 200,000 wrong WebSocket streams; FUZZ_SEED repeats a run
	FUZZ=long $(BIN)/pytest tests/fuzz -s $(ARGS)

bench: $(STAMPS)/bench/ready ## Measure Hookcast and its peers side by side; ARGS=--quick takes two minutes
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

soak: $(STAMPS)/python $(STAMPS)/proxies ## Hold idle streams for 90 s behind nginx, haproxy and caddy, and time their states
	PYTHONPATH=tests $(BIN)/python -m bench.proxies

format: $(STAMPS)/python $(STAMPS)/web ## Put the sources into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	npm --prefix web run format
	cd examples && ../web/node_modules/.bin/biome check --write

lock: $(STAMPS)/python ## Remake requirements/ from the newest versions that fit
	$(LOCK) pyproject.toml -o requirements/server.txt
	$(LOCK) pyproject.toml --group dev --group bench -o requirements/dev.txt
	echo hatchling | $(LOCK) - -o requirements/build.txt

build: $(STAMPS)/python $(PAGE) ## Build the wheel, with the page inside
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## Remove everything that was made here
	rm -rf .venv .make dist web/dist web/node_modules tests/clients/node_modules server/hookcast/static

$(STAMPS)/python: pyproject.toml requirements/dev.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Hookcast needs Python 3.11 or newer as python3; on Debian 12: apt-get install python3' >&2; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || $(call install,python3-venv)
	$(BIN)/python -m pip --version >/dev/null 2>&1 || python3 -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/node:
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(Number(a < 20 || (a == 20 && b < 19)))' \
	  && npm --version >/dev/null || { \
	  echo 'Hookcast needs Node 20.19 or newer, with npm, to build its page: https://nodejs.org/en/download' >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/web: web/package-lock.json | $(STAMPS)/node
	cd web && $(NPM_CI)
	@touch $@

$(STAMPS)/clients: tests/clients/package-lock.json | $(STAMPS)/node
	cd tests/clients && $(NPM_CI)
	@touch $@

$(STAMPS)/chromium:
	@test -x $(CHROMIUM) || $(call install,chromium)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/firefox:
	@test -x $(FIREFOX) || $(call install,firefox-esr)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/proxies:
	@test -x /usr/sbin/nginx -a -x /usr/sbin/haproxy -a -x /usr/bin/caddy -a -x /usr/bin/curl -a -x /usr/bin/openssl \
	  || $(call install,nginx haproxy caddy curl openssl)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/services:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || $(call install,postgresql)
	@test -x /usr/sbin/pgbouncer || $(call install,pgbouncer)
	@test -x /usr/bin/redis-server || $(call install,redis-server)
	@mkdir -p $(STAMPS) && touch $@

$(PAGE): $(STAMPS)/web $(PAGE_SOURCES)
	npm --prefix web run build --silent
	@touch $@

$(PACKAGE): $(PACKAGE_SOURCES) | $(STAMPS)/web
	cd web && npm pack --silent --pack-destination ../$(STAMPS) >/dev/null
	@mv $(STAMPS)/hookcast-*.tgz $@

# A project as its user has it: type-checked and built in a copy, with the packed package beside its locked packages.
$(STAMPS)/projects/nextjs/built: $(shell find examples/nextjs -type f -not -path '*/node_modules/*' -not -path '*/.next/*' 2>/dev/null)
$(STAMPS)/projects/vite/built: $(shell find tests/projects/vite -type f -not -path '*/node_modules/*' 2>/dev/null)
$(STAMPS)/projects/%/built: $(PACKAGE)
	@mkdir -p $(@D) && find $(@D) -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} +
	tar -C $(firstword $(wildcard examples/$* tests/projects/$*)) -c --exclude=node_modules --exclude=.next --exclude='.env*' . | tar -C $(@D) -x
	cd $(@D) && $(NPM_INSTALL) ../../hookcast.tgz && NEXT_TELEMETRY_DISABLED=1 npm run --silent build
	@touch $@

$(STAMPS)/bench/ready: $(STAMPS)/bench/load $(STAMPS)/bench/requests $(STAMPS)/bench/floor $(STAMPS)/python $(STAMPS)/services
	@test -x /usr/sbin/nginx && test -e /usr/lib/nginx/modules/ngx_nchan_module.so || $(call install,nginx libnginx-mod-nchan)
	@touch $@

$(STAMPS)/bench/load: bench/load.c bench/wire.c bench/tally.c bench/load.h
$(STAMPS)/bench/requests: bench/requests.c bench/tally.c bench/load.h
$(STAMPS)/bench/floor: bench/peers/floor.c
$(STAMPS)/bench/load $(STAMPS)/bench/requests $(STAMPS)/bench/floor:
	@command -v cc >/dev/null || $(call install,gcc libc6-dev)
	@mkdir -p $(@D)
	cc -O2 -Wall -Wextra -Werror -o $@ $(filter %.c,$^)

install = { if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
  then { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends $(1) >/dev/null; } || { \
    echo 'apt-get could not install $(1); is the network there? Install it by hand and start again.' >&2; exit 1; }; \
  else echo 'Please install the Debian package first: sudo apt-get install $(1)' >&2; exit 1; fi; }
