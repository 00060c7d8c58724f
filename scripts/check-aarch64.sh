#!/bin/sh
# make check-aarch64: builds everything for aarch64 with Debian's cross compiler and runs the tests under qemu's user
# emulation. The libraries come as Debian's arm64 packages, unpacked under build/, so that nothing of this machine is
# changed but for the compiler and qemu. Where it cannot be done it says SKIP and why, and succeeds.
#
# Left out are the suites that start programs: the kernel would have to know how to run those of another machine.
set -u
cd "$(dirname "$0")/.." || exit 2

sysroot=$PWD/build/sysroot-aarch64
packages="check libsubunit0 libsubunit-dev libzstd1 libzstd-dev libprotobuf-c1 libprotobuf-c-dev zlib1g zlib1g-dev
    libdw1 libdw-dev libelf1 libelf-dev liblzma5 libbz2-1.0 libsqlite3-0 libsqlite3-dev libbpf1 libbpf-dev"
starts_programs=$(grep -lE 'harness_shell|shell_run|exported_run|built_[a-z]+\(|exec(l|ve)\(' tests/test_*.c |
    xargs sed -n 's/^TEST[A-Z_]*(\([a-z_0-9]*\),.*/\1/p' | sort -u | paste -sd, -)

skip() {
    echo "SKIP check-aarch64: $*"
    exit 0
}

[ "$(uname -m)" != aarch64 ] || skip "this machine is one: make check"
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null 2>&1 || skip "it needs Debian's packages for arm64, and there is no $tool here"
done
scripts/deps.sh aarch64 || skip "no cross compiler or no qemu"

# apt with lists of its own, for arm64 only; again when this list of packages may be another one.
if [ ! "$sysroot/.complete" -nt "$0" ]; then
    echo "check-aarch64: fetching libraries for arm64"
    rm -rf "$sysroot"
    mkdir -p "$sysroot/apt/lists/partial" "$sysroot/apt/cache/archives/partial" || exit 2
    log=$sysroot/apt/log
    apt() {
        apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::Lists="$sysroot/apt/lists" \
            -o Dir::Cache="$sysroot/apt/cache" -o APT::Sandbox::User="$(id -un)" "$@" >>"$log" 2>&1
    }
    apt update
    # shellcheck disable=SC2086 # a list of words
    if ! (cd "$sysroot/apt" && apt download $packages); then
        tail -n 5 "$log" >&2
        skip "the arm64 packages could not be fetched; the whole log is in $log"
    fi
    for package in "$sysroot"/apt/*.deb; do
        dpkg-deb -x "$package" "$sysroot" || exit 2
    done
    rm -rf "$sysroot/apt"
    touch "$sysroot/.complete"
fi

# The emulator keeps books on every page that is reserved, so it gets little to reserve. It is slow: more time a test.
echo "check-aarch64: without the suites that start programs: $starts_programs"
export QEMU_RESERVED_VA="${QEMU_RESERVED_VA:-64G}"
export CK_TIMEOUT_MULTIPLIER="${CK_TIMEOUT_MULTIPLIER:-5}"
export EXCEPT="$starts_programs"
exec "${MAKE:-make}" --no-print-directory CC=aarch64-linux-gnu-gcc OBJCOPY=aarch64-linux-gnu-objcopy \
    SYSROOT="$sysroot" EMULATOR="qemu-aarch64 -L /usr/aarch64-linux-gnu" run-check
