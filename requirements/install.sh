#!/usr/bin/env bash
# Make ./.venv and install the pinned lists into it; what is already there is skipped. Files whose hash is in no list are refused.
#
#   requirements/install.sh        what running needs
#   requirements/install.sh test   and what testing needs
#   requirements/install.sh native build the C++ kernels again
#   requirements/install.sh encoders and what encoders of timm and transformers need
#
# PYTHON=python3.12            the Python to use; otherwise the first of python3, python3.12, python3.11, python3.10 that fits
# TIERWISE_DEVICE=cpu|cuda     the list to install; otherwise cuda where nvidia-smi finds a device
# TIERWISE_REQUIRE_NATIVE=1    fail where the C++ kernels cannot be built
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=${PATH//"$PWD/.venv/bin:"/} # .venv is what we make, so it must not be what we make it with

fail() { echo "set-up: $*" >&2; exit 1; }
say() { echo "set-up: $*"; }

# A Python that starts, is one of ours and can make an environment; version managers leave names on the path that only print an error.
fits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 with the modules venv and ensurepip; name another one"
        echo "$PYTHON"
        return
    fi
    local candidate
    for candidate in python3 python3.12 python3.11 python3.10; do
        if fits "$candidate"; then echo "$candidate"; return; fi
    done
    fail "no Python 3.10, 3.11 or 3.12 with the modules venv and ensurepip on the path;" \
        "install one (on Debian: python3 and python3-venv) or name one: make setup PYTHON=/path/to/python3.12"
}

device=${TIERWISE_DEVICE:-}
if [ -z "$device" ]; then
    if nvidia-smi -L >/dev/null 2>&1; then device=cuda; else device=cpu; fi
fi
case $device in cpu | cuda) ;; *) fail "TIERWISE_DEVICE=$device; allowed: cpu, cuda" ;; esac

# Two at once would undo each other's work: the second waits here, then finds the first one's stamp.
exec 9<requirements/install.sh
flock 9

# A stamp is written last, so an interrupted set-up leaves none; its name is a hash of all that was installed.
key=$(cat requirements/{build,torch,torch-cuda,base,"$device"}.txt requirements/install.sh setup.cfg - <<<"${PYTHON:-} $PWD" |
    sha256sum | cut -c1-16)
run_stamp=.venv/ready-$device-$key
tests=(requirements/test.txt requirements/kubernetes.txt requirements/encoders.txt)
if [ "$device" = cpu ]; then tests+=(requirements/test-cpu.txt); fi
test_stamp=$run_stamp-test-$(cat "${tests[@]}" | sha256sum | cut -c1-16)
encoders_stamp=$run_stamp-encoders-$(sha256sum <requirements/encoders.txt | cut -c1-16)
pip="./.venv/bin/python -m pip --disable-pip-version-check --quiet --quiet"
pinned="$pip install --require-hashes --no-deps --no-build-isolation"

if [ ! -e "$run_stamp" ]; then
    python=$(choose_python)
    say "new .venv with $("$python" -V), for $device"
    "$python" -m venv --clear .venv
    say "1/2 torch, the largest download"
    # pip prefers a build whose hash its index says. So what it prefers without hashes is fetched first, and installed if
    # its hash is one of ours.
    $pip download --no-deps --only-binary :all: --dest .venv/torch "$(grep '^torch==' requirements/torch.in)"
    $pinned --no-index --find-links .venv/torch --requirement requirements/torch.txt
    rm -r .venv/torch
    # Builds for CUDA bring no libraries of CUDA, they ask for them.
    if ./.venv/bin/python -c 'import sys; from importlib.metadata import requires
sys.exit(not any("cuda" in need for need in requires("torch") or []))'; then
        $pinned --requirement requirements/torch-cuda.txt
    fi
    say "2/2 everything else"
    $pinned --requirement requirements/build.txt
    $pinned --requirement requirements/base.txt --requirement "requirements/$device.txt"
    touch "$run_stamp"
fi

# The package itself, with its C++ kernels: again whenever their sources change. Their compiler's words go to a log.
kernels=embeddings/kernels/native
native_stamp=$run_stamp-native-$(cat setup.py $kernels/*.{cpp,h,inc} - <<<"${TIERWISE_REQUIRE_NATIVE:-}" | sha256sum | cut -c1-16)
if [ ! -e "$native_stamp" ] || [ "${1:-}" = native ]; then
    say "the package and its native kernels, a minute's compilation"
    rm -f $kernels/kernels.so "$run_stamp"-native-*
    log=.venv/native.log
    if ! ./.venv/bin/python -m pip --disable-pip-version-check install --verbose --no-deps --no-build-isolation --editable . >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "the package could not be installed; the whole log is in $log"
    fi
    if [ ! -e $kernels/kernels.so ]; then
        say "no native kernels, see $log: SimTier and attention will run as plain torch, several times slower;" \
            "install a C++ compiler (on Debian: g++) and run 'make native'"
    fi
    touch "$native_stamp"
    say "done in $SECONDS s"
fi

if [ "${1:-}" = test ] && [ ! -e "$test_stamp" ]; then
    say "adding what tests and lint need"
    $pinned "${tests[@]/#/--requirement=}"
    touch "$test_stamp"
fi

if [ "${1:-}" = encoders ] && [ ! -e "$encoders_stamp" ]; then
    say "adding timm and transformers"
    $pinned --requirement requirements/encoders.txt
    touch "$encoders_stamp"
fi
