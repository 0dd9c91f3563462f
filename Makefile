.PHONY: help up test conformance faults fuzz floors reference campaign lint docs figures wheel provision-test provision-test-slow provision-test-offline arm-test

help:  ## say what there is
	@awk -F ':  ## ' '/^[a-z-]+:  ## / { printf "make %-22s %s\n", $$1, $$2 }' Makefile

up:  ## run a whole mesh on this machine (scripts/up takes options)
	@scripts/up

test:  ## run the tests (scripts/test takes pytest's options)
	@scripts/test

conformance:  ## ask every broker for everything that we rely on (scripts/conformance takes a broker of yours)
	@scripts/conformance

faults:  ## break everything around a node and measure what it does: half an hour and more (scripts/faults takes --only, --quick, ...)
	@scripts/faults

fuzz:  ## try ten million hostile inputs on every parser: half an hour (scripts/fuzz takes --runs, --target, ...)
	@scripts/fuzz

floors:  ## run the tests with the oldest versions that are admitted, those of Debian bookworm (scripts/floors takes pytest's options)
	@scripts/floors

reference:  ## compare the kernel with scipy and mne-connectivity (scripts/reference takes pytest's options)
	@scripts/reference

campaign:  ## count the kernel's false alarms and detections over millions of looks: half an hour
	@scripts/reference --campaign

lint:  ## run the linters and type checkers
	@scripts/lint

docs:  ## check that the manual is true: its links, commands, examples and tables
	@scripts/test tests/docs tests/devices/test_docs.py tests/wire/test_protocol_page.py

figures:  ## draw the manual's figures anew
	@.venv/bin/python -m pip install -q -e '.[docs]' && .venv/bin/python docs/plots.py

wheel:  ## build the source archive and the wheel into dist/
	@scripts/wheel

provision-test:  ## bring a cell up from bare machines, upgrade, revoke, reboot, restore (root; scripts/provision-test takes --json)
	@scripts/provision-test

provision-test-slow:  ## flash a card, boot it in an emulated machine, let Ansible finish it (root)
	@scripts/provision-test-slow

provision-test-offline:  ## carry everything to a machine without a network: broker, hub and node in one (root)
	@scripts/provision-test-offline

arm-test:  ## install the wheel in ARM user spaces, and have a node sample there (root)
	@scripts/arm-test
