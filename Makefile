# `make help` lists the targets. The two that a newcomer needs are `make demo` and `make test`.

CARGO ?= cargo
# A binding takes part if it has a test.sh; `tools/demo.sh` runs each demo.sh.
TESTS := $(patsubst bindings/%/test.sh,test-%,$(wildcard bindings/*/test.sh))

# The scripts look for what was built in target/; dist takes TARGETS.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_TARGET

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-deep soak lib dist install bench fmt lint doc clean setup

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Tokens, failures and request counts in Rust, C, Python and C#, against an emulator (30 s; up to 6 min the first time)
	@tools/demo.sh

test: setup test-rust $(TESTS) ## Everything: format, lints, tests in every language, documentation (5 to 20 min)
	@tools/stage.sh --end
	@tools/not-tested.sh --end

test-rust: ## Rust, C and C++ only (5 to 10 min)
	@tools/test-rust.sh

test-%: bindings/%/test.sh
	@echo "== $*"
	@tools/stage.sh $* $<

test-deep: test ## The above, then sanitizers, model checks, fuzzing, soak, packages, Windows under Wine (two hours more)
	@tests/tools/deep.sh

lib: ## The release library, target/release/libp21auth.so, built alone so that LTO works (2 to 4 min)
	@echo "== building the release library; up to 4 minutes the first time"
	@$(CARGO) rustc --quiet --release --lib --crate-type cdylib
	@# The name that linked programs look for.
	@[ ! -f target/release/libp21auth.so ] || ln -sf libp21auth.so target/release/libp21auth.so.1

dist: ## The release in dist/: tarball, Debian, RPM, Python and NuGet packages (15 min the first time), for this machine or TARGETS
	@TARGETS='$(TARGETS)' tools/dist/package.sh

PREFIX ?= /usr/local
LIBDIR ?= lib
INCLUDEDIR ?= include
install: ## Installs what `make dist` built into PREFIX (/usr/local), LIBDIR, INCLUDEDIR, below DESTDIR if that is set
	@tools/dist/install.sh '$(PREFIX)' '$(LIBDIR)' '$(INCLUDEDIR)' '$(DESTDIR)'

soak: ## Random faults, refreshes, forks and clients for MINUTES, then what was seen
	$(CARGO) run --quiet --release --example soak -- $(or $(MINUTES),2)

bench: lib ## What a hit costs, from C, Python and C#, compared with its peers: one table, in benches/RESULTS.md (20 min)
	@benches/run.sh

fmt: ## Formats the Rust code
	$(CARGO) fmt --all

lint: ## rustfmt and clippy, as the tests run them
	@tools/test-rust.sh --lint-only

doc: ## The Rust documentation, in target/doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace

clean: ## Removes everything that was built
	$(CARGO) clean

setup: # installs what the tests need and this machine lacks
	@tools/not-tested.sh --begin
	@tools/stage.sh --begin
	@tools/stage.sh set-up tools/setup.sh
