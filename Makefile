.PHONY: help up test lint docs wheel

help:  ## say what there is
	@awk -F ':  ## ' '/^[a-z]+:  ## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

up:  ## run a whole mesh on this machine (scripts/up takes options)
	@scripts/up

test:  ## run the tests (scripts/test takes pytest's options)
	@scripts/test

lint:  ## run the linters and type checkers
	@scripts/lint

docs:  ## check that the manual is true: its links, commands, examples and tables
	@scripts/test tests/docs tests/devices/test_docs.py tests/wire/test_protocol_page.py

wheel:  ## build the source archive and the wheel into dist/
	@scripts/wheel
