# `make run` shows a container, `make test` runs everything that can be checked. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help build manual rootfs run test bench clean tools test-tools bench-tools

# What a container needs a kernel and a root for is done with sudo, where make itself is not root.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BUSYBOX ?= $(or $(shell command -v busybox),/usr/bin/busybox)
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
HOST := $(or $(CARGO_BUILD_TARGET),$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p'))
RT := $(TARGET)/$(HOST)/release/rt
BUNDLE := $(TARGET)/bundle
# What `rt --version` says it was built from. A tree that is no checkout of its own has no commit.
export RT_COMMIT ?= $(shell [ -e .git ] && git --git-dir=.git --work-tree=. describe --always --dirty --abbrev=12 2>/dev/null)

help:
	echo "make run      build rt and run a container made from config.example.json"
	echo "make test     unit tests, real containers in both cgroup views, the same with runc, lints"
	echo "make build    rt, as $(RT)"
	echo "make manual   the manual pages and the completion scripts, after a change of the command line"
	echo "make rootfs   a bundle with a busybox root file system, as $(BUNDLE)"
	echo "make bench    compare with crun and runc"
	echo "make clean    remove what was built"
	echo "run and test install what is missing with apt; cargo has to be there"

build: tools
	echo "make: building rt (cargo build --release)"
	cargo build --release --locked --package rt
	echo "make: built $(RT)"

manual: tools
	cargo run --quiet --locked --package rt-manual
	echo "make: written: man/ and completions/"

rootfs: tools
	root="$(BUNDLE)/rootfs"
	echo "make: making a root file system of busybox in $$root"
	rm -rf --one-file-system "$(BUNDLE)"
	mkdir -p "$$root"/{bin,dev,etc,proc,root,sys,tmp}
	cp "$(BUSYBOX)" "$$root/bin/busybox"
	for applet in $$("$(BUSYBOX)" --list); do
		[ "$$applet" = busybox ] || ln -s busybox "$$root/bin/$$applet"
	done
	echo "root:x:0:0:root:/root:/bin/sh" > "$$root/etc/passwd"
	echo "root:x:0:" > "$$root/etc/group"
	cp config.example.json "$(BUNDLE)/config.json"

define HELLO
echo "hello from process $$$$ of the container $$(hostname), as user $$(id -u)"
echo "interfaces:    $$(ls /sys/class/net | xargs)"
echo "capabilities:  $$(grep CapEff /proc/self/status | cut -f2)"
echo "write to /:    $$(touch /file 2>&1)"
ps
endef
export HELLO

run: build rootfs
	echo "make: rt run --bundle $(BUNDLE), whose program is sh:"
	status=0
	$(SUDO) "$(RT)" run --bundle "$(BUNDLE)" "make-run-$$$$" <<< "$$HELLO" || status=$$?
	if [ $$status = 0 ]; then
		echo "make run: the container ran and ended with status 0"
	else
		echo "make run: FAILED: rt or the container's program ended with status $$status"
		exit 1
	fi

# Every part runs, whatever became of the ones before it. Logs are in $(TARGET)/test; what failed is printed.
test: test-tools build
	logs="$(TARGET)/test"
	rm -rf "$$logs"
	mkdir -p "$$logs"
	passed=0 failed=0 skipped=0
	# What belongs to the cargo that called us is not for those that we call.
	unset MAKEFLAGS MFLAGS MAKELEVEL RUSTFLAGS RT_TEST_STRICT RUST_BACKTRACE

	count() { { grep -E '^test result: ' "$$log" || true; } | sed -E "s/.* ([0-9]+) $$1.*/\1/" | awk '{ sum += $$1 } END { print sum + 0 }'; }
	# Of failed tests what they said; of anything else, what is no matter of course.
	show() {
		if grep -q '^test result: FAILED' "$$log"; then
			awk '/^failures:$$/ { on = 1 } on || /^test .* FAILED$$|^in-view: |^error|: ignored, but it passes$$|^ended with / { print } /^test result: / { on = 0 }' "$$log"
		else
			sed -E '/ \.\.\. (ok|ignored.*)$$|^test result: ok|^running [0-9]+ tests?$$|^ *(Running|Compiling|Checking|Finished|Doc-tests) |^skipped: |^all doctests ran|^$$/d' "$$log"
		fi
	}
	verdict() {
		passed=$$((passed + $$2)) failed=$$((failed + $$3)) skipped=$$((skipped + $$4))
		printf '  %-34s %s passed, %s failed, %s skipped (%s s)\n' "$$1" "$$2" "$$3" "$$4" $$((SECONDS - began))
		[ $$3 = 0 ] || { show; echo "  (the whole log: $$log)"; }
	}
	# NAME COMMAND...: a lint passes or fails.
	lint() {
		local name=$$1; shift
		log="$$logs/$${name//[ ,]/-}.log" began=$$SECONDS
		if "$$@" > "$$log" 2>&1 < /dev/null; then verdict "$$name" 1 0 0; else verdict "$$name" 0 1 0; fi
	}
	# NAME COMMAND...: the command is a cargo test, to which more arguments can be added.
	suite() {
		local name=$$1 status=0 good bad left; shift
		log="$$logs/$${name//[ ,]/-}.log" began=$$SECONDS
		export RT_TEST_SKIPS="$$log.skips"
		: > "$$RT_TEST_SKIPS"
		timeout --foreground --kill-after=10 900 "$$@" > "$$log" 2>&1 < /dev/null || status=$$?
		good=$$(count passed) bad=$$(count failed) left=$$(wc -l < "$$RT_TEST_SKIPS")
		# A test that says why it can't run here has not passed.
		good=$$((good - left))
		if grep -q '^in-view: skipped' "$$log"; then left=$$((left + 1)); fi
		if [ "$$(count ignored)" != 0 ]; then
			left=$$((left + $$(count ignored)))
			timeout --foreground --kill-after=10 900 "$$@" -- --ignored > "$$log.ignored" 2>&1 < /dev/null || true
			if grep -E ' \.\.\. ok$$' "$$log.ignored" | sed 's/$$/: ignored, but it passes/' >> "$$log"; then
				bad=$$((bad + $$(grep -cE ' \.\.\. ok$$' "$$log.ignored")))
			fi
		fi
		# A test program that says nothing about tests has run none.
		local programs=$$(grep -cE '^ +(Running|Doc-tests) ' "$$log" || true) results=$$(grep -c '^test result: ' "$$log" || true)
		if [ $$status = 0 ] && [ "$$results" -lt "$$programs" ]; then
			echo "error: $$((programs - results)) of $$programs test programs ended without a result" >> "$$log"
			bad=$$((bad + programs - results))
		fi
		# It did not compile, hung, or left something behind.
		if [ $$status != 0 ] && [ $$bad = 0 ]; then echo "ended with status $$status" >> "$$log"; bad=1; fi
		if [ $$status = 0 ] && [ $$((good + bad + left)) = 0 ]; then echo "not one test was run" >> "$$log"; bad=1; fi
		verdict "$$name" $$good $$bad $$left
	}
	# NAME RUNTIME VIEW
	view() { suite "$$1" env RUNTIME="$$2" runtime-tests/in-view "$$3" cargo test --locked --offline --no-fail-fast --package runtime-tests; }

	lint "clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
	lint "clippy of the freestanding init" cargo clippy --locked --package rt-init --bin rt-init --profile init \
		--target "$(HOST)" --target-dir "$(TARGET)/init-lint" --config 'target.$(HOST).rustflags=["--cfg=rt_program"]' -- -D warnings
	# A view has no network: everything is built before.
	lint "tests compile" cargo test --locked --workspace --no-run
	# As root they would make cgroups, so in a view too.
	suite "unit tests" runtime-tests/in-view v2 cargo test --locked --offline --no-fail-fast --workspace --exclude runtime-tests
	suite "unit tests, cgroup v1" runtime-tests/in-view hybrid cargo test --locked --offline --no-fail-fast --package rt-cgroup
	view "rt, cgroup v1" "$(RT)" hybrid
	view "rt, cgroup v2" "$(RT)" v2
	view "runc, cgroup v1" runc hybrid
	view "runc, cgroup v2" runc v2

	if cat "$$logs"/*.skips | grep -q .; then
		echo "skipped, and why:"
		cat "$$logs"/*.skips | sed -E 's/^skipped: [^:]*(::[^:]*)*: /  /' | sort | uniq -c | sort -rn
	fi
	echo "$$passed passed, $$failed failed, $$skipped skipped"
	[ $$failed = 0 ]

bench: bench-tools build
	echo "make: comparing rt with crun and runc, three minutes"
	RUNTIME="$(RT)" cargo run --locked --release --package runtime-tests --bin bench

clean:
	rm -rf --one-file-system "$(BUNDLE)"
	cargo clean

# ---- what has to be installed ----------------------------------------------------------------------------------------

# A compiler's linker, the static C library, a busybox that runs without the host's libraries.
define MISSING
missing=()
command -v cc > /dev/null || missing+=(gcc)
[ -e "$$(cc -print-file-name=libc.a 2> /dev/null)" ] || missing+=(libc6-dev)
if ! [ -x "$(BUSYBOX)" ] || ldd "$(BUSYBOX)" > /dev/null 2>&1; then missing+=(busybox-static); fi
endef

define INSTALL
if [ $${#missing[@]} != 0 ]; then
	if ! command -v apt-get > /dev/null; then
		echo "make: these are missing, and there is no apt-get to install them (Debian's names): $${missing[*]}"
		exit 1
	fi
	echo "make: installing $${missing[*]} with apt-get"
	$(SUDO) apt-get update -qq < /dev/null
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" < /dev/null > /dev/null
fi
endef

tools:
	wanted=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	if ! command -v cargo > /dev/null; then
		echo "make: cargo is missing: install Rust $$wanted or newer with rustup (https://rustup.rs)"
		exit 1
	fi
	have=$$(rustc --version | cut -d' ' -f2)
	if [ "$$(printf '%s\n' "$$wanted" "$$have" | sort -V | head -n 1)" != "$$wanted" ]; then
		echo "make: Rust $$have is too old: $$wanted or newer is needed (rustup update)"
		exit 1
	fi
	$(MISSING)
	$(INSTALL)

bench-tools: tools
	if [ "$$(id -u)" != 0 ]; then
		echo "make bench: real containers need root"
		exit 1
	fi
	missing=()
	for tool in crun runc strace; do
		command -v "$$tool" > /dev/null || missing+=("$$tool")
	done
	$(INSTALL)

test-tools: tools
	if [ "$$(id -u)" != 0 ]; then
		echo "make test: real containers need root"
		exit 1
	fi
	$(MISSING)
	command -v runc > /dev/null || missing+=(runc)
	command -v unshare > /dev/null || missing+=(util-linux)
	$(INSTALL)
	if ! cargo clippy --version > /dev/null 2>&1; then
		echo "make: adding clippy with rustup"
		rustup component add clippy
	fi
