#!/bin/sh
# Builds and installs `agent` from this checkout. `./install.sh --help` says how.
set -eu

usage() {
    cat <<'TXT'
Usage: ./install.sh [--deps] [--prefix DIR]    build and install agent into DIR/bin
       ./install.sh --test [CARGO-TEST-ARGS]   get what the tests need, and run them
       ./install.sh --long                     the long forms of the tests (fuzzing, kill loops): about an hour
       ./install.sh --uninstall [--prefix DIR]

  --deps        first install missing system packages (as root on Debian, Ubuntu, Fedora, Arch)
  --prefix DIR  default: /usr/local for root, else ~/.local
TXT
}

rust_needed=1.90
say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2; exit 1; }

action=install deps=no prefix=
while [ $# -gt 0 ]; do
    case $1 in
        --deps) deps=yes ;;
        --prefix) [ $# -gt 1 ] || die "--prefix needs a directory"; prefix=$2; shift ;;
        --prefix=*) prefix=${1#--prefix=} ;;
        --uninstall) action=uninstall ;;
        --test) action="test"; shift; break ;;
        --long) action="long"; shift; break ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; die "unknown option $1" ;;
    esac
    shift
done

root=no
[ "$(id -u)" -ne 0 ] || root=yes
if [ -z "$prefix" ]; then
    if [ $root = yes ]; then prefix=/usr/local; else prefix=${HOME:?}/.local; fi
fi

# Later steps stand elsewhere.
case $prefix in /*) ;; *) prefix=$(pwd)/$prefix ;; esac

if [ $action = uninstall ]; then
    if [ -e "$prefix/bin/agent" ]; then
        rm -f "$prefix/bin/agent"
        say "removed $prefix/bin/agent; sessions and configuration stay where they are (agent doctor names the places)"
    else
        say "there is no $prefix/bin/agent"
    fi
    exit 0
fi

cd "$(dirname "$0")"

# The packages that give a C compiler, git and certificates, by the name of the package manager.
packages() {
    if command -v apt-get >/dev/null 2>&1; then echo "apt-get build-essential git ca-certificates"
    elif command -v dnf >/dev/null 2>&1; then echo "dnf gcc git ca-certificates"
    elif command -v pacman >/dev/null 2>&1; then echo "pacman base-devel git ca-certificates"
    else echo "none"
    fi
}

# get PACKAGE...: installs packages, as root.
get() {
    [ $root = yes ] || die "installing packages needs root: $*" "run: sudo ./install.sh --deps"
    set -- "$(packages | cut -d' ' -f1)" "$@"
    case $1 in
        apt-get)
            shift
            # A fresh machine has no package lists.
            DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1 || {
                apt-get update -qq
                DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null
            }
            ;;
        dnf) shift; dnf install -y -q "$@" ;;
        pacman) shift; pacman -Sy --noconfirm --needed "$@" ;;
        *) die "no known package manager" "install a C compiler and git yourself, then run ./install.sh" ;;
    esac
}

new_enough() { # new_enough VERSION WANTED
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -t. -k1,1n -k2,2n | head -n1)" = "$2" ]
}

toolchain() {
    if [ $deps = yes ] || [ "$action" = test ] && [ $root = yes ]; then
        if ! command -v cc >/dev/null 2>&1 || ! command -v git >/dev/null 2>&1; then
            # shellcheck disable=SC2046 # words on purpose
            get $(packages | cut -d' ' -f2-)
        fi
        if ! command -v cargo >/dev/null 2>&1 && ! command -v rustup >/dev/null 2>&1; then
            get rustup || true
            ! command -v rustup >/dev/null 2>&1 || rustup default stable
        fi
    fi
    command -v cc >/dev/null 2>&1 || die "there is no C compiler (cc)" "./install.sh --deps as root installs it"
    [ -x "${HOME:-}/.cargo/bin/cargo" ] && PATH=$PATH:$HOME/.cargo/bin
    command -v cargo >/dev/null 2>&1 || die "there is no Rust toolchain (cargo)" "install Rust $rust_needed or newer: https://rustup.rs"
    have=$(cargo --version | cut -d' ' -f2)
    new_enough "$have" $rust_needed || die "cargo $have is too old: Rust $rust_needed or newer is needed" "rustup update stable, or https://rustup.rs"
}

# A container engine that answers: one that is there, or one that is started for the tests and stopped after them.
engine() {
    [ "$(uname -s)" = Linux ] || return 0
    ! docker info >/dev/null 2>&1 || return 0
    if [ $root = yes ] && { ! command -v dockerd >/dev/null 2>&1 || ! command -v docker >/dev/null 2>&1; }; then
        case $(packages | cut -d' ' -f1) in
            apt-get) get docker.io && { command -v docker >/dev/null 2>&1 || get docker-cli; } ;;
            dnf) get moby-engine ;;
            pacman) get docker ;;
            *) ;;
        esac || true
    fi
    # A package may have started it.
    ! docker info >/dev/null 2>&1 || return 0
    if [ $root = yes ] && command -v dockerd >/dev/null 2>&1; then
        dockerd >"${TMPDIR:-/tmp}/agent-test-dockerd.log" 2>&1 &
        dockerd=$!
        for _ in $(seq 60); do
            ! docker info >/dev/null 2>&1 || return 0
            kill -0 $dockerd 2>/dev/null || break
            sleep 1
        done
    fi
    say "note: no container engine answers; what needs one is skipped, aloud"
}

# The socket of a Podman that is started for the tests and stopped after them. It keeps its containers and images apart
# from those of the user's own.
podman_service() {
    [ "$(uname -s)" = Linux ] && [ $root = yes ] && [ -z "${AGENT_TEST_PODMAN:-}" ] || return 0
    command -v podman >/dev/null 2>&1 || get podman || return 0
    podman_home=$(mktemp -d)
    # Others than the newest crun can't do with all that machines have of control groups.
    runtime=
    ! command -v runc >/dev/null 2>&1 || runtime="--runtime runc"
    # Layers of files can't be had within every container.
    for driver in overlay vfs; do
        # shellcheck disable=SC2086 # words on purpose
        set -- podman $runtime --root "$podman_home/$driver" --runroot "$podman_home/run" --tmpdir "$podman_home/tmp" \
            --cgroup-manager cgroupfs --events-backend file --storage-driver $driver
        ! "$@" info >/dev/null 2>&1 || break
    done
    "$@" system service --time=0 "unix://$podman_home/socket" >"$podman_home/log" 2>&1 &
    podman=$!
    for _ in $(seq 30); do
        [ ! -S "$podman_home/socket" ] || { AGENT_TEST_PODMAN=unix://$podman_home/socket; export AGENT_TEST_PODMAN; return 0; }
        kill -0 $podman 2>/dev/null || break
        sleep 1
    done
    say "note: Podman does not start: $(tail -n 1 "$podman_home/log")"
}

# Ends what was started for the tests.
end_services() {
    rm -f "$AGENT_TEST_SKIPS"
    [ -z "$dockerd" ] || kill "$dockerd" 2>/dev/null || true
    if [ -n "$podman" ]; then
        kill "$podman" 2>/dev/null || true
        wait "$podman" 2>/dev/null || true
    fi
    [ -z "$podman_home" ] || { umount -R "$podman_home"/*/overlay 2>/dev/null || true; rm -rf "$podman_home" 2>/dev/null || true; }
}

# A Python with what FILE lists, in a folder of this NAME beside what is built, which is then in $tools.
python_tools() {
    name=$1 file=$2 check=$3
    tools=${CARGO_TARGET_DIR:-target}/$name
    case $tools in /*) ;; *) tools=$(pwd)/$tools ;; esac
    if [ ! -x "$tools/bin/python3" ] || ! "$tools/bin/python3" -c "$check" >/dev/null 2>&1; then
        python3 -m venv "$tools" >/dev/null 2>&1 || { [ $root = no ] || { get python3-venv && python3 -m venv "$tools"; }; } || true
        "$tools/bin/python3" -m pip install -q -r "$file" || true
    fi
}

# A server that buckets are tested with: the one of this Python, or its own.
bucket() {
    ! python3 -c 'import moto.server' >/dev/null 2>&1 || return 0
    python_tools test-tools tests/data/bucket.txt 'import moto.server'
    [ ! -x "$tools/bin/python3" ] || PATH=$tools/bin:$PATH
}

# The same for buckets of Azure: one in the path, or one in a folder beside what is built.
azure() {
    ! command -v azurite-blob >/dev/null 2>&1 || return 0
    command -v npm >/dev/null 2>&1 || { [ $root = no ] || get npm; } || return 0
    tools=${CARGO_TARGET_DIR:-target}/test-azure
    case $tools in /*) ;; *) tools=$(pwd)/$tools ;; esac
    if [ ! -x "$tools/node_modules/.bin/azurite-blob" ]; then
        mkdir -p "$tools" && (cd "$tools" && npm install --silent --no-audit --no-fund --prefix . azurite@3) >/dev/null 2>&1 || true
    fi
    PATH=$PATH:$tools/node_modules/.bin
}

# A gateway that others wrote, which wires are tested against: the one in the path, or its own.
gateway() {
    ! command -v litellm >/dev/null 2>&1 || return 0
    python_tools test-gateway tests/data/gateway.txt 'import litellm'
    [ ! -x "$tools/bin/litellm" ] || { AGENT_TEST_GATEWAY=$tools/bin/litellm; export AGENT_TEST_GATEWAY; }
}

# The types that providers publish, which requests are held against: those of this Python, or their own.
schemas() {
    ! python3 -c 'import anthropic, openai, pydantic' >/dev/null 2>&1 || return 0
    python_tools test-schemas tests/data/schemas.txt 'import anthropic, openai, pydantic'
    [ ! -x "$tools/bin/python3" ] || { AGENT_TEST_SCHEMAS=$tools/bin/python3; export AGENT_TEST_SCHEMAS; }
}

sandbox_check() {
    [ "$(uname -s)" = Linux ] || { say "note: the local sandbox needs Linux"; return 0; }
    if ! "$1" sandbox -- true >/dev/null 2>&1; then
        say "note: the sandbox can't be had on this machine; 'agent doctor' says what is missing and how to get it"
    fi
}

case $action in
    install)
        toolchain
        # Said, so that it is known whatever cargo's own configuration says.
        target=${CARGO_TARGET_DIR:-target}
        cargo build --release --locked --target-dir "$target"
        bin=$target/release/agent
        mkdir -p "$prefix/bin"
        # Never over a file that runs: a new one takes its name.
        cp "$bin" "$prefix/bin/.agent.new"
        chmod 755 "$prefix/bin/.agent.new"
        mv -f "$prefix/bin/.agent.new" "$prefix/bin/agent"
        say "installed $prefix/bin/agent ($("$prefix/bin/agent" --version))"
        sandbox_check "$prefix/bin/agent"
        case :$PATH: in
            *:"$prefix/bin":*) ;;
            *) say "note: $prefix/bin is not in your PATH; add it, or run $prefix/bin/agent" ;;
        esac
        ;;
    test | long)
        toolchain
        missing=
        for tool in tmux git python3 less; do command -v $tool >/dev/null 2>&1 || missing="$missing $tool"; done
        command -v vi >/dev/null 2>&1 || missing="$missing vim"
        command -v top >/dev/null 2>&1 || missing="$missing procps"
        [ "$(uname -s)" != Linux ] || [ -x /usr/bin/bwrap ] || missing="$missing bubblewrap"
        if [ -n "$missing" ]; then
            # shellcheck disable=SC2086 # words on purpose
            if [ $root = yes ]; then get $missing; else say "note: not installed:$missing; what needs them is skipped, aloud"; fi
        fi
        bucket
        gateway
        schemas
        [ $action = test ] || azure
        dockerd='' podman='' podman_home=''
        engine
        podman_service
        AGENT_TEST_SKIPS=$(mktemp)
        export AGENT_TEST_SKIPS
        trap end_services EXIT
        if [ $action = long ]; then AGENT_TEST_LONG=1 PROPTEST_CASES=20000; export AGENT_TEST_LONG PROPTEST_CASES; fi
        result=0
        cargo test --locked "$@" || result=$?
        skipped=$(wc -l <"$AGENT_TEST_SKIPS")
        if [ "$skipped" -gt 0 ]; then
            say "NOT TESTED on this machine ($skipped):"
            sort "$AGENT_TEST_SKIPS" | sed 's/^/  /'
            [ "${CI:-}" != true ] || die "under CI everything must be tested"
        elif [ $result -eq 0 ] && [ $# -eq 0 ]; then
            say "everything was tested: nothing skipped"
        fi
        exit $result
        ;;
esac
