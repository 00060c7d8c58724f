#!/bin/sh
# Installs what the build needs and this machine lacks. Silent and quick when nothing is missing; on anything but Debian
# and its children it only says what to install. Status 4: something is missing that could not be installed.
# With the argument aarch64: also what make check-aarch64 needs.
set -u

missing=""
need() { # PACKAGE, then a test command that succeeds when it is there
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

wanted=""
want() { # the same for what some tests need, which say SKIP without it
    package=$1
    shift
    "$@" >/dev/null 2>&1 || wanted="$wanted $package"
}

has_library() { # a pkg-config name, and a header for machines where pkg-config itself is still missing
    if command -v pkg-config >/dev/null 2>&1; then
        pkg-config --exists "$1"
    else
        [ -e "/usr/include/$2" ]
    fi
}

need gcc command -v "${CC:-gcc}"
need libc6-dev test -e /usr/include/stdio.h
need make command -v make
need binutils command -v objcopy
need pkg-config command -v pkg-config
need libzstd-dev has_library libzstd zstd.h
need libprotobuf-c-dev has_library libprotobuf-c protobuf-c/protobuf-c.h
need protobuf-c-compiler command -v protoc-c
need libdw-dev has_library libdw elfutils/libdw.h
need libbpf-dev has_library libbpf bpf/libbpf.h
need libelf-dev has_library libelf libelf.h
need zlib1g-dev has_library zlib zlib.h
need libsqlite3-dev has_library sqlite3 sqlite3.h
need check has_library check check.h
need curl command -v curl
need wrk command -v wrk

want gdb command -v gdb
want graphviz command -v dot
want python3-jsonschema /usr/bin/python3 -c 'import jsonschema'
want libxml2-utils command -v xmllint
want valgrind test -e /usr/include/valgrind/memcheck.h

if [ "${1-}" = aarch64 ]; then
    need gcc-aarch64-linux-gnu command -v aarch64-linux-gnu-gcc
    need libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/stdio.h
    need qemu-user command -v qemu-aarch64
fi

# Check's static library needs subunit on some releases, and its pkg-config file then names it.
case " $missing " in
*" check "*) ;;
*) need libsubunit-dev sh -c 'pkg-config --libs check | grep -qv subunit || pkg-config --exists libsubunit' ;;
esac

missing=${missing# }
wanted=${wanted# }
[ -n "$missing$wanted" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    [ -n "$missing" ] || exit 0
    {
        echo "deps: missing here (by Debian's names): $missing"
        echo "deps: install these, or what your system calls them, and run make again:"
        echo "  Fedora  dnf install gcc make binutils pkgconf libzstd-devel protobuf-c-devel \\"
        echo "            protobuf-c-compiler elfutils-devel elfutils-libelf-devel zlib-devel sqlite-devel check-devel \\"
        echo "            curl wrk"
        echo "  Arch    pacman -S gcc make binutils pkgconf zstd protobuf-c libelf libbpf zlib sqlite check curl wrk"
        echo "  Alpine  apk add gcc musl-dev make binutils pkgconf zstd-dev protobuf-c-dev protobuf-c-compiler \\"
        echo "            elfutils-dev libbpf-dev zlib-dev sqlite-dev check-dev curl wrk bash"
    } >&2
    exit 4
fi

if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
elif [ -z "$missing" ]; then
    exit 0
else
    {
        echo "deps: missing: $missing"
        echo "deps: neither root nor sudo here; have an administrator run:"
        echo "  apt-get update && apt-get install --no-install-recommends $missing"
    } >&2
    exit 4
fi

log=$(mktemp "${TMPDIR:-/tmp}/gmptrace-deps-XXXXXX") || exit 4
echo "deps: installing $missing${missing:+${wanted:+ }}$wanted"
apt() {
    # shellcheck disable=SC2086 # $as_root is one word or none
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q "$@" >>"$log" 2>&1
}
# An update that fails need not matter: the packages may be known already, or one foreign source may be down.
apt update || echo "deps: apt-get update failed; trying with the lists that are there" >&2
# shellcheck disable=SC2086 # lists of words
[ -z "$wanted" ] || apt install --no-install-recommends $wanted || echo "deps: without $wanted: some tests will skip" >&2
# shellcheck disable=SC2086
if [ -n "$missing" ] && ! apt install --no-install-recommends $missing; then
    tail -n 20 "$log" >&2
    echo "deps: could not install; the whole log is in $log" >&2
    exit 4
fi
rm -f "$log"
