# run     the daemon on a demo estate, no configuration needed
# test    installs what the tests need (Debian packages), then runs everything
# check   formatting, lints, documentation, licences, rules, layers
# bench   speed and memory against the tools one would use instead
# audit   known vulnerabilities of dependencies (needs the network)

CARGO ?= cargo
export BUILD_REVISION ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

.PHONY: run test check bench audit prepare

run:
	$(CARGO) run --release --locked -- serve --demo

prepare:
	scripts/install-test-tools

test: prepare
	$(CARGO) test --locked

check: prepare
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --quiet
	scripts/cargo-deny check --hide-inclusion-graph bans licenses sources
	scripts/check-rules

bench: prepare
	$(CARGO) bench --locked

audit:
	scripts/cargo-deny check advisories
