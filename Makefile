# make demo, make check: the two commands of the README. `make help` lists the rest.
#
# One non-recursive makefile: a new source file in a directory is found by itself. Everything that is built lies under
# build/VARIANT/, where VARIANT follows from CC and SAN.

CC ?= cc
ifeq ($(origin CC),default)
CC := gcc
endif
OBJCOPY ?= objcopy
SAN ?=
V ?=
# For another machine: where its libraries are, and what runs its programs.
SYSROOT ?=
EMULATOR ?=
PREFIX ?= /usr/local
DESTDIR ?=

VARIANT := $(notdir $(firstword $(CC)))$(if $(SAN),-$(SAN))$(if $(FORCE_YIELD),-yield)
BUILD := build/$(VARIANT)
Q := $(if $(V),,@)
VERSION := $(shell sed -n 's/^\#define GMPT_VERSION "\(.*\)"/\1/p' include/gmptrace/gmpt.h)

# What programs on the runtime should be compiled with; include/gmptrace/gmpt.h says why.
USER_CFLAGS := -fno-omit-frame-pointer -fno-optimize-sibling-calls -fstack-clash-protection
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS ?= -O2 -g
BASE_CFLAGS := -std=gnu11 -D_GNU_SOURCE= -fno-omit-frame-pointer -fvisibility=hidden -pthread $(WARNINGS) -Iinclude -I. -I$(BUILD) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all) $(if $(FORCE_YIELD),-DGMPT_FORCE_YIELD)
LDFLAGS += -pthread $(if $(SAN),-fsanitize=$(SAN))
ifdef SYSROOT
SYSROOT_LIB := $(wildcard $(SYSROOT)/usr/lib/*-linux-gnu)
BASE_CFLAGS += -isystem $(SYSROOT)/usr/include $(patsubst $(SYSROOT)/usr/lib/%,-isystem $(SYSROOT)/usr/include/%,$(SYSROOT_LIB))
LDFLAGS += -L$(SYSROOT_LIB) -Wl,--disable-new-dtags,-rpath,$(SYSROOT_LIB):$(SYSROOT)/lib/$(notdir $(SYSROOT_LIB))
endif

RUNTIME_SRC := $(wildcard runtime/*.c runtime/*.S)
# What a traced program carries of trace/: no compression, no reader.
EMIT_SRC := trace/segment.c trace/spares.c trace/ring.c trace/dictionary.c trace/clocksource.c $(wildcard trace/atomics.c)
TRACE_SRC := $(wildcard trace/*.c)
PPROF_SRC := $(wildcard pprof/*.c)
ANALYSIS_SRC := $(wildcard analysis/*.c)
KERNEL_SRC := $(wildcard kernel/*.c)
EBPF_SRC := $(filter-out %.bpf.c,$(wildcard ebpf/*.c))
CLI_SRC := $(wildcard cli/*.c cli/*.S)
TEST_SRC := $(wildcard tests/*.c)
EXAMPLES := $(basename $(notdir $(wildcard examples/*.c)))
FUZZ_SRC := $(wildcard fuzz/target_*.c)
BENCHES := $(basename $(notdir $(wildcard bench/*.c)))
TEST_PROGRAMS := $(basename $(notdir $(wildcard tests/programs/*.c)))
LEAK_PROGRAMS := $(basename $(notdir $(wildcard tests/leaks/leaks_*.c)))

objects = $(patsubst %,$(BUILD)/%.o,$(basename $(1)))
RUNTIME_OBJ := $(call objects,$(RUNTIME_SRC))
EMIT_OBJ := $(call objects,$(EMIT_SRC))
TRACE_OBJ := $(call objects,$(TRACE_SRC))
PPROF_OBJ := $(call objects,$(PPROF_SRC)) $(BUILD)/pprof/profile.pb-c.o
ANALYSIS_OBJ := $(call objects,$(ANALYSIS_SRC))
PRELOAD_OBJ := $(call objects,preload/heap_map.c) # what the tests call without preloading it
KERNEL_OBJ := $(call objects,$(KERNEL_SRC)) $(call objects,$(EBPF_SRC))
CLI_OBJ := $(call objects,$(CLI_SRC)) $(BUILD)/cli/perfetto.pb-c.o
PROTO_OBJ := $(BUILD)/pprof/profile.pb-c.o $(BUILD)/cli/perfetto.pb-c.o
TEST_OBJ := $(call objects,$(TEST_SRC))
LEAK_PATTERN_OBJ := $(call objects,$(wildcard tests/leaks/pattern_*.c))
LEAK_HIDDEN_OBJ := $(call objects,$(wildcard tests/leaks/hidden_*.c))
LEAK_RANDOM_OBJ := $(call objects,$(wildcard tests/leaks/random_*.c))
FUZZ_OBJ := $(call objects,$(FUZZ_SRC))

LIB := $(BUILD)/libgmptrace.a
TOOL := $(BUILD)/gmptrace
BLOCKCHECK := $(BUILD)/libgmptrace-blockcheck.so
HEAP := $(BUILD)/libgmptrace-heap.so
CHECKER := $(BUILD)/check
EXAMPLE_BIN := $(addprefix $(BUILD)/examples/,$(EXAMPLES))
BENCH_BIN := $(addprefix $(BUILD)/bench/,$(BENCHES))
TEST_PROGRAM_BIN := $(addprefix $(BUILD)/tests/programs/,$(TEST_PROGRAMS)) $(addprefix $(BUILD)/tests/leaks/,$(LEAK_PROGRAMS))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all demo check check-aarch64 deps stress fuzz bench bench-http bench-trace bench-analysis bench-leaks bench-kernel lint skeleton format install uninstall clean help

all: $(LIB) $(TOOL) $(BLOCKCHECK) $(HEAP) $(EXAMPLE_BIN)

# The two commands for a fresh machine: install what is missing, then start over, since make has by now looked for
# what was not there yet.
demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) scripts/demo.sh

check: deps
	$(Q)scripts/schemas.sh $(SCHEMAS)
	$(Q)$(MAKE) --no-print-directory run-check lint

deps:
	$(Q)scripts/deps.sh

# Of the reports; tests of forms that are held to one skip without.
SCHEMAS := build/schemas
SARIF_SCHEMA ?= $(abspath $(wildcard $(SCHEMAS)/sarif.json))
JUNIT_XSD ?= $(abspath $(wildcard $(SCHEMAS)/junit.xsd))

.PHONY: run-check
run-check: all $(CHECKER) $(TEST_PROGRAM_BIN)
	$(Q)BUILD=$(abspath $(BUILD)) GMPTRACE=$(abspath $(TOOL)) GATEWAY=$(abspath $(BUILD)/examples/gateway) \
		SARIF_SCHEMA=$(SARIF_SCHEMA) JUNIT_XSD=$(JUNIT_XSD) GMPTRACE_KERNEL=off \
		TSAN_OPTIONS=$${TSAN_OPTIONS:-atexit_sleep_ms=0} SAN=$(SAN) SUITE=$(SUITE) CASE=$(CASE) $(EMULATOR) $(CHECKER)

check-aarch64:
	+$(Q)MAKE=$(MAKE) scripts/check-aarch64.sh

# The randomised mixes of tests/test_stress.c, longer, from new seeds, in every build that finds something of its own.
ROUNDS ?= 5
stress:
	$(Q)for round in $$(seq $(ROUNDS)); do for variant in V=$(V) FORCE_YIELD=1 SAN=thread SAN=address; do \
		seed=$$(od -An -N3 -tu4 /dev/urandom | tr -d ' '); \
		echo "stress: $$variant STRESS_SEED=$$seed STRESS_ROUNDS=1500"; \
		STRESS_SEED=$$seed STRESS_ROUNDS=1500 STRESS_SIGNALS=1 \
			$(MAKE) --no-print-directory $$variant run-check SUITE=stress || exit 1; \
	done; done

# The targets in fuzz/ under clang's libFuzzer; a build of its own below build/fuzz. `make check` runs their corpus.
SECONDS_EACH ?= 60
fuzz:
	+$(Q)MAKE=$(MAKE) SECONDS_EACH=$(SECONDS_EACH) TARGETS="$(TARGETS)" scripts/fuzz.sh

bench: all $(BENCH_BIN)
	$(Q)BUILD=$(BUILD) bench/run.sh $(ROWS)

bench-http: all $(BENCH_BIN)
	$(Q)BUILD=$(BUILD) bench/http.sh

bench-trace: all $(BENCH_BIN)
	$(Q)BUILD=$(BUILD) CC=$(CC) bench/trace.sh $(ROWS)

bench-analysis: all $(BENCH_BIN)
	$(Q)BUILD=$(BUILD) bench/analysis.sh

bench-kernel: all $(BENCH_BIN)
	$(Q)BUILD=$(BUILD) bench/kernel.sh $(ROWS)

bench-leaks: all $(BENCH_BIN)
	$(Q)BUILD=$(BUILD) bench/leak_stop.sh

# The BPF program, as the header that is committed: clang and bpftool make it again.
skeleton:
	$(Q)scripts/skeleton.sh

lint:
	$(Q)scripts/lint.sh

format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC    $<")
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(call own-section,$@)

$(BUILD)/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(if $(Q),@echo "  AS    $<")
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(call own-section,$@)

# The code that runs in the program lies in a section of its own: runtime/async.c must know it from the program's.
own-section = $(if $(filter $(1),$(RUNTIME_OBJ) $(EMIT_OBJ)),$(OBJCOPY) $(foreach s,text text.unlikely text.hot \
	text.startup text.exit,--rename-section .$(s)=gmpt_text) $(1))

# A hook walks the stack from the frame of the API function, which a sibling call would have left by then. The library
# may be linked into a shared object. Without -fno-plt the first call of a libc function makes the dynamic linker save all
# vector registers, which alone is more than a small stack.
$(RUNTIME_OBJ): BASE_CFLAGS += -fno-optimize-sibling-calls
$(RUNTIME_OBJ) $(TRACE_OBJ): BASE_CFLAGS += -fPIC -fno-plt

# Generated protobuf code: not ours to warn about.
$(BUILD)/%.pb-c.c $(BUILD)/%.pb-c.h &: %.proto
	@mkdir -p $(@D)
	$(if $(Q),@echo "  PROTO $<")
	$(Q)protoc-c --proto_path=$(<D) --c_out=$(@D) $<

$(PROTO_OBJ): %.o: %.c
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -w -c $< -o $@

$(PPROF_OBJ) $(CLI_OBJ) $(TEST_OBJ): | $(PROTO_OBJ:.o=.h)

# The page of `gmptrace report`: its scripts and styles, each joined into one, with the hashes by which the page's policy
# names them.
REPORT_JS := $(wildcard report/*.js)
REPORT_CSS := $(wildcard report/*.css)
REPORT_FILES := $(addprefix $(BUILD)/report/,page.html joined.js joined.css joined.js.hash joined.css.hash)

$(BUILD)/report/page.html: report/page.html
	@mkdir -p $(@D)
	$(Q)cp $< $@
$(BUILD)/report/joined.js: $(REPORT_JS) Makefile
	@mkdir -p $(@D)
	$(Q)(echo '(() => { "use strict";' && cat $(sort $(REPORT_JS)) && echo '})();') > $@
$(BUILD)/report/joined.css: $(REPORT_CSS)
	@mkdir -p $(@D)
	$(Q)cat $(sort $(REPORT_CSS)) > $@
$(BUILD)/report/%.hash: $(BUILD)/report/%
	$(Q)sha256sum < $< | cut -c1-64 | tr a-f A-F | basenc --base16 -d | base64 -w0 > $@

$(BUILD)/cli/report_assets.o: $(REPORT_FILES)
$(BUILD)/cli/report_assets.o: BASE_CFLAGS += -Wa,-I$(BUILD)

# The library's two halves, each linked into one object whose internal names are made local, so that no name of
# ours can meet a user's, and a program that only uses the runtime needs neither zstd nor the reader.
$(BUILD)/runtime-whole.o: $(RUNTIME_OBJ) $(EMIT_OBJ)
$(BUILD)/reader-whole.o: $(TRACE_OBJ)
$(BUILD)/%-whole.o:
	$(if $(Q),@echo "  LD    $@")
	$(Q)$(CC) -nostdlib -r -o $@ $^
	$(Q)$(OBJCOPY) --localize-hidden $@

$(LIB): $(BUILD)/runtime-whole.o $(BUILD)/reader-whole.o
	$(if $(Q),@echo "  AR    $@")
	$(Q)rm -f $@ && ar rcs $@ $^

# Preloaded into programs on the runtime, so without what sanitizers and yields need of them: to see their mutexes
# (runtime/blockcheck.h), and their chunks of memory (preload/heap_registry.h).
PRELOAD_CFLAGS := $(filter-out -fsanitize% -fno-sanitize% -DGMPT_FORCE_YIELD,$(BASE_CFLAGS)) -fPIC -fno-builtin

$(BLOCKCHECK): preload/blockcheck_mutexes.c preload/blockcheck_preload.h Makefile
	$(if $(Q),@echo "  LINK  $@")
	$(Q)mkdir -p $(@D) && $(CC) $(PRELOAD_CFLAGS) $(CFLAGS) -shared -o $@ $< -ldl

$(HEAP): preload/heap_interpose.c preload/heap_map.c preload/heap_map.h preload/heap_registry.h trace/atomics.h Makefile
	$(if $(Q),@echo "  LINK  $@")
	$(Q)mkdir -p $(@D) && $(CC) $(PRELOAD_CFLAGS) $(CFLAGS) -shared -o $@ $(filter %.c,$^) -ldl

TOOL_LIBS := -lzstd -lprotobuf-c -lz -ldw -lelf -lsqlite3 -lbpf -lm

$(TOOL): $(CLI_OBJ) $(TRACE_OBJ) $(ANALYSIS_OBJ) $(PPROF_OBJ) $(KERNEL_OBJ)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS)

$(LEAK_PATTERN_OBJ) $(LEAK_HIDDEN_OBJ) $(LEAK_RANDOM_OBJ) $(addsuffix .o,$(EXAMPLE_BIN) $(BENCH_BIN) $(TEST_PROGRAM_BIN)): BASE_CFLAGS += $(USER_CFLAGS)

# Of which some functions are to have no frame pointers.
$(BUILD)/tests/programs/frameless.o: BASE_CFLAGS += -fomit-frame-pointer

$(BUILD)/examples/%: $(BUILD)/examples/%.o $(LIB)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lzstd

# The raw switch, measured without the runtime.
$(BUILD)/bench/floors: $(filter $(BUILD)/runtime/switch_%,$(RUNTIME_OBJ))

# Small stacks have no room for the dynamic linker.
$(BUILD)/bench/parked $(BUILD)/tests/programs/faulty $(BUILD)/tests/programs/scopes: LDFLAGS += -Wl,-z,now

# They use what the library hides: the hooks, and the segment.
$(BUILD)/bench/emit $(BUILD)/bench/leak_stop: $(BUILD)/bench/%: $(BUILD)/bench/%.o $(RUNTIME_OBJ) $(EMIT_OBJ)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

$(BUILD)/bench/kernel_runs: BENCH_LIBS = -lbpf

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIB)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(BENCH_LIBS) -lzstd

# Its calls of these can be made to fail.
FAILABLE := malloc calloc realloc aligned_alloc strdup mmap munmap madvise mprotect pthread_create epoll_create1 \
	epoll_ctl epoll_wait epoll_pwait2 eventfd sigaction sigaltstack getaddrinfo socket setsockopt bind listen connect \
	accept4 memfd_create ftruncate fcntl process_madvise
$(BUILD)/tests/programs/allparts $(BUILD)/tests/programs/scopes: LDFLAGS += $(FAILABLE:%=-Wl,--wrap=%)

# A suite such as users have.
$(BUILD)/tests/programs/leaky_suite: TEST_PROGRAM_LIBS = $$(pkg-config --libs check)

$(BUILD)/tests/programs/%: $(BUILD)/tests/programs/%.o $(LIB)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(TEST_PROGRAM_LIBS) -lzstd

$(BUILD)/tests/leaks/leaks_corpus: $(LEAK_PATTERN_OBJ)
$(BUILD)/tests/leaks/leaks_hidden: $(LEAK_HIDDEN_OBJ)
$(BUILD)/tests/leaks/leaks_random: $(LEAK_RANDOM_OBJ)
$(BUILD)/tests/leaks/leaks_judge: $(BUILD)/tests/leaks/judge.o $(TRACE_OBJ)

# They have atomics of their own, and the library keeps its atomics.o to itself.
$(BUILD)/tests/leaks/%: $(BUILD)/tests/leaks/%.o $(BUILD)/trace/atomics.o $(LIB)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lzstd

# The tests see the internals, so they link the objects and not the library; cli/main.c has the other main().
$(CHECKER): $(TEST_OBJ) $(BUILD)/tests/leaks/judge.o $(FUZZ_OBJ) $(RUNTIME_OBJ) $(TRACE_OBJ) $(ANALYSIS_OBJ) $(PPROF_OBJ) $(PRELOAD_OBJ) $(KERNEL_OBJ) \
		$(filter-out %/cli/main.o,$(CLI_OBJ))
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $$(pkg-config --libs check) $(TOOL_LIBS)

$(BUILD)/fuzz/libfuzzer_%.o: fuzz/libfuzzer.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -DFUZZ_TARGET=fuzz_$* -MMD -MP -c $< -o $@

$(BUILD)/fuzz/run_%: $(BUILD)/fuzz/libfuzzer_%.o $(FUZZ_OBJ) $(TRACE_OBJ)
	$(if $(Q),@echo "  LINK  $@")
	$(Q)$(CC) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ -lzstd

# Made each time: PREFIX may be another one.
.PHONY: $(BUILD)/gmptrace.pc $(BUILD)/gmptrace-reader.pc
$(BUILD)/gmptrace.pc:
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'Name: gmptrace' 'Description: goroutines for C that can be seen into' \
		'Version: $(VERSION)' 'Cflags: -I$${prefix}/include $(USER_CFLAGS) -pthread' \
		'Libs: -L$${prefix}/lib -lgmptrace -pthread -Wl,-z,now' > $@

# A program that reads traces needs zstd, too.
$(BUILD)/gmptrace-reader.pc:
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'Name: gmptrace-reader' 'Description: reads the traces of gmptrace' \
		'Version: $(VERSION)' 'Cflags: -I$${prefix}/include' 'Libs: -L$${prefix}/lib -lgmptrace -lzstd -pthread' > $@

install: all $(BUILD)/gmptrace.pc $(BUILD)/gmptrace-reader.pc
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/gmptrace
	install -m 755 $(TOOL) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(LIB) $(BLOCKCHECK) $(HEAP) $(DESTDIR)$(PREFIX)/lib/
	install -m 644 $(BUILD)/gmptrace.pc $(BUILD)/gmptrace-reader.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/
	install -m 644 include/gmptrace/* $(DESTDIR)$(PREFIX)/include/gmptrace/
	install -d $(DESTDIR)$(PREFIX)/share/gmptrace
	install -m 644 schema/*.json $(DESTDIR)$(PREFIX)/share/gmptrace/
	install -m 644 scripts/gmptrace-gdb.py $(DESTDIR)$(PREFIX)/share/gmptrace/
	install -d $(DESTDIR)$(PREFIX)/share/doc/gmptrace/examples
	install -m 644 examples/*.c $(DESTDIR)$(PREFIX)/share/doc/gmptrace/examples/
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/gmptrace/
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 cli/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 cli/*.7 $(DESTDIR)$(PREFIX)/share/man/man7/

uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/include/gmptrace $(DESTDIR)$(PREFIX)/share/gmptrace $(DESTDIR)$(PREFIX)/share/doc/gmptrace
	rm -f $(DESTDIR)$(PREFIX)/bin/gmptrace $(DESTDIR)$(PREFIX)/lib/libgmptrace.a \
		$(DESTDIR)$(PREFIX)/lib/libgmptrace-blockcheck.so $(DESTDIR)$(PREFIX)/lib/libgmptrace-heap.so \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig/gmptrace.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/gmptrace-reader.pc \
		$(DESTDIR)$(PREFIX)/share/man/man1/gmptrace*.1 $(DESTDIR)$(PREFIX)/share/man/man7/gmptrace.7

clean:
	rm -rf build

help:
	@echo 'make demo           install what is missing, build, record the gateway under load, show its leak'
	@echo 'make check          install what is missing, build, test; SUITE=runq CASE=steal runs what matches'
	@echo 'make check-aarch64  the same for aarch64, cross-compiled and under qemu, where Debian has both'
	@echo 'make all            build the library, the command and the examples under $(BUILD)'
	@echo 'make run-check      build and test only: installs nothing, no lint'
	@echo 'make stress         randomised stress in plain, yielding and sanitized builds; ROUNDS=5'
	@echo 'make fuzz           the reader and the recorder under libFuzzer; SECONDS_EACH=60 TARGETS="file text"'
	@echo 'make bench          benchmarks beside their Go peers; ROWS="yield_2 skynet_chan" ROUNDS=3 PS="1 2"'
	@echo 'make bench-http     an HTTP server with 10,000 connections beside Go; ROUNDS=3 SECONDS_EACH=5'
	@echo 'make bench-trace    what tracing costs, beside Go and LTTng; ROWS="emit yield_2" ROUNDS=3 PS="1 2" KERNEL=bpf'
	@echo 'make bench-analysis how fast a trace of 20 million events is read, beside Go; EVENTS=20000000 ROUNDS=3'
	@echo 'make bench-leaks    how long proofs of leaks stop a program, beside Go; GOROUTINES="10000 1000000" HEAPS_MB="100 1024"'
	@echo 'make bench-kernel   what the kernel'"'"'s side costs, by each tier; ROWS="storm_futex echo_64" ROUNDS=3 TIERS="perf bpf"'
	@echo 'make lint           include rules and house rules'
	@echo 'make skeleton       compile the BPF program again, by clang and bpftool, into ebpf/offcpu.skel.h'
	@echo 'make format         clang-format on everything'
	@echo 'make deps           install what the build and the tests need (Debian and its children)'
	@echo 'make install        PREFIX=/usr/local DESTDIR=; make uninstall takes it away'
	@echo 'make clean          remove build/'
	@echo 'options             CC=clang  SAN=address|thread|undefined  FORCE_YIELD=1  V=1'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
