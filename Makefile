# Every target does its own set-up; stamps under .venv make a second call start at once.
# `make help` lists the targets; `make run ARGS="--tcp 0.0.0.0:514"` passes arguments on.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
SPARK := pyspark==4.0.5
VERSITYGW := github.com/versity/versitygw/cmd/versitygw@v1.8.0
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
ARGS ?=

export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/.venv/bin:$(PATH):/usr/sbin:/sbin
# Where it is set, every program that a test starts compiles its imports anew: a second for a receiver.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test test-newest test-parts test-faults test-system test-some test-spark coverage lint format bench faults damage soak fleet follow fuzz docs setup system clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: .venv/.warm ## .venv with everything for development, at pinned versions

run: .venv/.run ## start receiving, on the embedded store; settings: ARGS, LOGSINK_*
	@exec $(BIN)/logsink serve $(ARGS)

test: ## set up everything, then lint and all tests; some: ARGS="-k tls"
	@$(MAKE) --no-print-directory -j4 setup lint
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory -j3 $(if $(ARGS),test-some,test-parts test-faults test-system)
	@$(if $(ARGS),,$(MAKE) --no-print-directory coverage)

test-parts:
	$(BIN)/coverage run -m pytest --ignore=tests/faults --ignore=tests/system

test-faults: # these start programs and wait for them: time for the others
	$(BIN)/coverage run -m pytest tests/faults

test-system: # these do the same
	$(BIN)/coverage run -m pytest tests/system

coverage: # of what `make test` has run
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m tests.support.coverage_gates

test-some:
	$(BIN)/pytest $(ARGS)

# No constraints: the newest of everything that pyproject.toml allows, asked for anew each time.
test-newest: export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/.venv-newest/bin:$(PATH)
test-newest: .venv/.made system .tools/bin/versitygw ## all tests with the newest dependencies that are declared, in .venv-newest
	@$(BIN)/python -m venv .venv-newest
	@.venv-newest/bin/python -m pip --disable-pip-version-check --quiet install --upgrade --upgrade-strategy eager \
		pip --editable '.[dev,sql]'
	.venv-newest/bin/python -m logsink.warm
	.venv-newest/bin/pytest $(ARGS)

# pyspark has all of Apache Spark in it, and a client older than the one of .venv: it has a place of its own.
test-spark: .venv/.warm .venv-spark/.made ## Apache Spark with Delta Lake on the archive, in .venv-spark (half a gigabyte, some minutes)
	$(BIN)/pytest -m slow tests/system/test_apache_spark.py $(ARGS)

lint: .venv/.dev ## ruff, mypy --strict, and the arrows of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/.dev ## rewrite the code as ruff wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## every claim about speed, beside what else is installed here; one: ARGS=ingest (an hour; each some minutes)
	$(BIN)/python -m benchmarks $(ARGS)

faults: setup ## kill and pause receivers at every named point, try ten times the examples of properties (an hour)
	$(BIN)/pytest -m slow $(ARGS)
	EXAMPLES=10 $(BIN)/pytest tests/property

damage: setup ## damage copies of real stores at random, ask everything, repair (some minutes; other damages: ARGS="--seed 2"; without each check: ARGS="--without all")
	$(BIN)/python -m tests.damage.machine --damages 3000 $(ARGS)

soak: .venv/.warm system ## kill receivers at random under load for some minutes, then count what is found
	$(BIN)/python -m benchmarks.soak $(ARGS)

fleet: .venv/.warm system ## three hosts, and a log server that is replaced, away for five minutes and back; what hosts, diff and audit say of it (root)
	AWAY=$${AWAY:-300} $(BIN)/pytest -m slow -s tests/system/test_fleet.py $(ARGS)

follow: .venv/.warm ## 20,000 lines a second into two receivers for five minutes, and a follower that must show each, in order
	$(BIN)/python -m benchmarks.follow $(ARGS)

fuzz: .venv/.warm ## feed the properties of everything that reads octets with random ones, for some minutes
	$(BIN)/python -m benchmarks.fuzz $(ARGS)

docs: .venv/.dev ## rewrite the generated parts of docs/
	$(BIN)/python docs/generate.py

clean: ## remove what the other targets made
	rm -rf .venv .venv-newest .venv-spark .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets above need

setup: .venv/.warm system .tools/bin/versitygw

.venv/.made:
	@test -n "$(PYTHON)" || { echo "logsink needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@$(PIP) --upgrade pip # the one that comes with Python 3.11 needs twice the time
	@touch $@

.venv/.run: .venv/.made pyproject.toml constraints.txt
	@echo "installing logsink into .venv (about a minute) ..."
	@$(PIP) --editable '.[sql]'
	@$(BIN)/python -m compileall -q logsink
	@$(BIN)/python -m logsink.warm
	@touch $@

.venv/.dev: .venv/.made pyproject.toml constraints.txt
	@echo "installing logsink and what its development needs into .venv ..."
	@$(PIP) --no-compile --editable '.[dev,sql]' # most of it is never imported
	@touch $@

.venv/.warm: .venv/.dev
	@$(BIN)/python -m compileall -q logsink
	@$(BIN)/python -m logsink.warm
	@touch $@ .venv/.run

.venv-spark/.made:
	@tests/support/install-programs java
	$(PYTHON) -m venv .venv-spark
	@echo "installing Apache Spark into .venv-spark ..."
	@.venv-spark/bin/python -m pip --disable-pip-version-check --quiet install $(SPARK)
	@touch $@

# The system tests drive a real rsyslogd, haproxy and syslog-ng.
system:
	@tests/support/install-programs
	@tests/support/unpack-syslog-ng

# The S3 tests drive a real S3 server.
.tools/bin/versitygw:
	@if command -v go >/dev/null; then \
		echo "building versitygw into .tools/bin ..."; \
		GOBIN=$(CURDIR)/.tools/bin go install $(VERSITYGW); \
	else \
		echo "no go here: tests that need versitygw (an S3 server) will be skipped, or fail where CI=true" >&2; \
	fi
