# Everything that is done with Balie starts here; each command does its own set-up. See: make help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PORT ?= 8000
PYTHON := .venv/bin/python
MADE := .venv/made
KERN := static/vendor/kern/kern.min.css
LOOK := $(KERN).gz
PACKAGES := $(MADE)/$(if $(filter test check pictures,$(MAKECMDGOALS)),test-packages,packages)
TRANSLATIONS := $(patsubst %.po,%.mo,$(wildcard booking/translations/*/LC_MESSAGES/messages.po))
SELECTED := $(ONLY)$(if $(and $(ONLY),$(QUICK)), and )$(if $(QUICK),not slow)

# Test databases live in memory where this machine has enough of it.
SCRATCH := $(shell [ "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 2000000 ] 2>/dev/null && echo /dev/shm)

# Zone rules come from the package tzdata alone: a system's may be years old.
export PYTHONTZPATH :=

.PHONY: help run test check bench servers messages pictures clean

help: ## list the commands
	@echo "Balie: appointments at the counters of a town hall"
	@echo
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

run: $(PACKAGES) $(LOOK) $(TRANSLATIONS) ## start Balie with a demo town hall; choose a port with PORT=8001
	@exec $(PYTHON) -m booking.launch --port '$(PORT)'

test: servers $(PACKAGES) $(MADE)/peers $(LOOK) $(TRANSLATIONS) $(if $(ONLY),,check) ## check everything: QUICK=1 leaves out the slow tests, ONLY=races runs one kind
	@exec env $(if $(SCRATCH),TMPDIR=$(SCRATCH)) $(if $(QUICK),BALIE_QUICK=1) $(PYTHON) -m pytest -n 2 --dist worksteal $(if $(SELECTED),-m '$(SELECTED)')

check: $(PACKAGES) ## check layout, rules and types of the code only
	@echo "Balie: checking layout, rules and types …"
	@$(PYTHON) -m ruff format --check --quiet .
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m mypy --no-error-summary

bench: servers $(PACKAGES) $(LOOK) $(TRANSLATIONS) ## measure against bare handlers, half an hour; QUICK=1 five minutes, ONLY="times book" some figures
	@exec $(PYTHON) -m bench $(ONLY)

servers:
	@.ci/prepare servers

messages: $(PACKAGES) ## collect the texts to translate into booking/translations
	@.ci/prepare messages

pictures: servers $(PACKAGES) $(LOOK) $(TRANSLATIONS) ## take the pictures of the README again
	@$(PYTHON) -m tests.pictures
	@$(PYTHON) -m tests.browser.test_heard

clean: ## remove all that was installed or made; the database in instance/ stays
	@rm -rf .venv node_modules tests/node_modules static/vendor *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis test-results
	@rm -f booking/translations/*/LC_MESSAGES/*.mo
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE)/python:
	@.ci/prepare python
	@mkdir -p $(MADE) && touch $@

$(MADE)/packages: setup.cfg pyproject.toml constraints.txt | $(MADE)/python
	@.ci/prepare packages
	@touch $@

$(MADE)/test-packages: setup.cfg pyproject.toml constraints.txt | $(MADE)/python
	@.ci/prepare test-packages
	@touch $(MADE)/packages $@

$(MADE)/peers: tests/package.json tests/package-lock.json tests/.npmrc tests/clients.txt | $(MADE)/python
	@.ci/prepare peers
	@touch $@

$(KERN): package.json package-lock.json .npmrc | $(MADE)/python
	@.ci/prepare look

# Served instead of the file itself to browsers that take it: a tenth of the bytes.
$(LOOK): $(KERN)
	@gzip -9 --keep --force $< && touch $@

%.mo: %.po | $(PACKAGES)
	@$(PYTHON) -m babel.messages.frontend -q compile -i $< -o $@
