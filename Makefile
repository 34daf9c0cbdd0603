# Amurg Runtime. `make` lists what there is; what takes more than two lines is in scripts/.
CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
FEATURES ?=
SECONDS ?= 60
MINUTES ?= 1
SEED ?=
TARGET ?=
SCALE ?= quick
COMPARE ?=
ONLY ?=
MESSAGE ?= echo $$((6*7))
STATIC_TARGET = $(or $(TARGET),x86_64-unknown-linux-musl)
FEATURE_FLAGS := $(if $(filter plain,$(FEATURES)),--no-default-features,$(if $(FEATURES),--no-default-features --features $(FEATURES)))

.DEFAULT_GOAL := help
.PHONY: help try build build-runtime test soak bench bench-check bench-accept lint doc fuzz deny install clean \
	static reproducible deb rpm rootfs bundle vendor-check cross-check kubernetes-check \
	packaging-check places debian-check release

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

try: ## Talk to a real shell through the whole runtime, no hub needed
	@$(CARGO) build --quiet $(FEATURE_FLAGS)
	@./target/debug/amurg-runtime try $(if $(CI),shell --message '$(MESSAGE)')

build: ## Build the release binary into bin/amurg-runtime
	$(CARGO) build --release $(FEATURE_FLAGS)
	@mkdir -p bin && cp target/release/amurg-runtime bin/amurg-runtime

build-runtime: build ## The same, by its older name

test: ## Run every test
	$(CARGO) test --no-fail-fast $(FEATURE_FLAGS)

soak: ## Everything at once, every fault, for MINUTES=1 (SEED= repeats a run)
	MINUTES=$(MINUTES) $(if $(SEED),SEED=$(SEED)) $(CARGO) test --test soak -- --ignored --nocapture

bench: ## Measure the release binary (SCALE=full, COMPARE=other/amurg-runtime, ONLY=echo)
	$(CARGO) bench $(FEATURE_FLAGS) --bench runtime -- --scale $(SCALE) $(if $(COMPARE),--compare $(abspath $(COMPARE))) $(if $(ONLY),--only $(ONLY))

bench-check: ## Compare instruction counts of the hot paths with the baseline
	$(CARGO) bench --quiet $(FEATURE_FLAGS) --bench runtime -- --check

bench-accept: ## Make the instruction counts of this build the baseline
	$(CARGO) bench --quiet $(FEATURE_FLAGS) --bench runtime -- --accept

lint: ## Formatting and clippy, warnings as errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings

doc: ## Build the documentation, private items too: the tour of the house
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items

fuzz: ## Fuzz every reader of foreign bytes for SECONDS (60) each; TARGET= for one
	@scripts/fuzz.sh $(SECONDS) $(TARGET)

deny: ## Check licences, advisories, sources and duplicates of the dependencies
	@scripts/deny.sh

install: build ## Install the binary under PREFIX (/usr/local)
	install -D -m 0755 bin/amurg-runtime $(DESTDIR)$(PREFIX)/bin/amurg-runtime

static: ## Build a static binary into target/dist (TARGET=aarch64-unknown-linux-musl, FEATURES=plain)
	@FEATURES=$(FEATURES) scripts/static.sh $(STATIC_TARGET)

reproducible: ## Build the static binary twice from clean: the same bytes
	@FEATURES=$(FEATURES) scripts/reproducible.sh $(STATIC_TARGET)

deb: ## Build the Debian packages of the static binaries
	@scripts/deb.sh amd64
	@scripts/deb.sh arm64

rpm: ## Build the RPM packages of the static binaries
	@scripts/rpm.sh x86_64
	@scripts/rpm.sh aarch64

rootfs: ## Assemble the container's root file system into target/rootfs
	@rm -rf target/rootfs
	@scripts/rootfs.sh target/dist/amurg-runtime-*-$(STATIC_TARGET) target/rootfs

packaging-check: ## Lint scripts, Dockerfile and units, validate the bill of materials
	@scripts/packaging-check.sh

places: ## Take turns in an empty root and in the container's file system (as root)
	@scripts/places.sh $(STATIC_TARGET)

debian-check: ## Install, use, upgrade and purge the packages in booted Debian roots (as root)
	@scripts/debian-check.sh

kubernetes-check: ## Hold the Kubernetes manifests against the API's schemas
	@scripts/kubernetes-check.sh

bundle: ## Pack binaries, packages, units and documentation for a machine without a network
	@scripts/bundle.sh

vendor-check: ## Build from vendored crates, without a network
	@scripts/vendor-check.sh

cross-check: ## Build for every target, run what runs here, print a table
	@scripts/cross-check.sh

release: ## Build every artefact of this version into target/dist, with checksums
	@scripts/release.sh

clean: ## Remove what was built
	$(CARGO) clean
	rm -rf bin
