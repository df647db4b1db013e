# atum-mailer: every target says what it is for. `make` alone lists them.
#
# A fresh machine needs Python >= 3.11 and make. PostgreSQL, RabbitMQ and, for the tests, Node.js, Prometheus and Alertmanager are used where they are
# installed, and installed with apt-get where they are not and root's rights are at hand.

# A plain Debian or Ubuntu has python3; PYTHON=... names another one.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Passed on to demo, bench and test, as in: make demo ARGS="--mails 5000 --exit --json"
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test matrix bench api-bench webhook-bench replay-bench fuzz outage lint format fingerprint rendered clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is made once and again whenever the lock file changes. uv installs exactly what is locked.
$(VENV)/.ready: uv.lock pyproject.toml deploy/bootstrap.sh
	@PYTHON="$(PYTHON)" bash deploy/bootstrap.sh "$(VENV)"
	@touch $@

setup: $(VENV)/.ready  ## make the Python environment

demo: $(VENV)/.ready  ## run the whole system here, deliver mails, check the ledger (Ctrl-C ends it)
	@$(BIN)/atum-mailer demo $(ARGS)

# Four processes share what does not care how busy the machine is; its order is that of tests/conftest.py: xdist would leave to
# the end the files with few tests, which take longest. Whole systems that are killed and frozen come after it: they wait for
# most of their time, so four of them share two cores (tests/acceptance/conftest.py hands them out). Both parts run, whatever
# fails; .pytest_cache/ended holds pytest's exit status of each, and .ci/run reads it.
test: $(VENV)/.ready  ## run all tests against private PostgreSQL and RabbitMQ nodes
	@$(BIN)/python -m atum_ops.stack.ensure
ifeq ($(strip $(ARGS)),)
	@rm -f .pytest_cache/v/cache/lastfailed; first=0; second=0; \
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --ignore tests/acceptance tests || first=$$?; \
	$(BIN)/python -m pytest -n 4 tests/acceptance || second=$$?; \
	echo "$$first $$second" > .pytest_cache/ended; test "$$first $$second" = "0 0"
else
	@$(BIN)/python -m pytest $(ARGS)
endif

fingerprint: $(VENV)/.ready  ## list anew what the migrations make, after a change of them
	@ATUM_FINGERPRINT=write $(BIN)/python -m pytest tests/integration/test_fingerprint.py

# With the defaults of the settings, whatever this environment says; tests compare.
rendered: $(VENV)/.ready  ## write anew the rules, the configuration of Alertmanager and the dashboards, after a change of them
	@env -i PATH="$$PATH" $(BIN)/atum-mailer alerts render --output deploy/prometheus/atum-mailer.rules.yml
	@env -i PATH="$$PATH" $(BIN)/atum-mailer alerts render --what alertmanager --output deploy/alertmanager/alertmanager.yml
	@$(BIN)/atum-mailer dashboards --output deploy/grafana/dashboards

matrix: $(VENV)/.ready  ## kill and freeze the parts at every step, and compare with docs/reliability.md
	@ATUM_MATRIX=1 $(BIN)/python -m pytest tests/matrix $(ARGS)

bench: $(VENV)/.ready  ## measure against a plain Dramatiq actor, in one run; last line is JSON
	@$(BIN)/atum-mailer bench $(ARGS)

api-bench: $(VENV)/.ready  ## measure how fast the API takes mail; last line is JSON
	@$(BIN)/atum-mailer api-bench $(ARGS)

webhook-bench: $(VENV)/.ready  ## measure how fast the webhook endpoint stores events; last line is JSON
	@$(BIN)/atum-mailer webhook-bench $(ARGS)

replay-bench: $(VENV)/.ready  ## measure how fast dead letters are replayed; last line is JSON
	@$(BIN)/atum-mailer replay-bench $(ARGS)

fuzz: $(VENV)/.ready  ## send the API thousands of requests made from its OpenAPI document; last line is JSON
	@$(BIN)/python -m atum_ops.stack.ensure
	@$(BIN)/python -m tests.fuzzing $(ARGS)

outage: $(VENV)/.ready  ## play an outage of the provider with mails waiting; last line is JSON
	@$(BIN)/atum-mailer outage $(ARGS)

# SEED: the same one gives the same plan; a random one otherwise, printed. DURATION: seconds of faults.
SEED     ?=
DURATION ?= 60

chaos: $(VENV)/.ready  ## kill everything under load, then compare with what the provider accepted; SEED= DURATION=
	@$(BIN)/atum-mailer chaos $(if $(SEED),--seed $(SEED)) --duration $(DURATION) $(ARGS)

lint: $(VENV)/.ready  ## formatting, lint, types, layers, lock file
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/uv lock --check

format: $(VENV)/.ready  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:  ## remove the environment, caches and local data
	rm -rf $(VENV) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
