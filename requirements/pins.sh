#!/usr/bin/env bash
# The pinned lists' hashes, and their audit. requirements/NAME.in is edited by hand, NAME.txt is what pip is given.
#
#   requirements/pins.sh hashes   write every NAME.txt anew: the pins of NAME.in with the hashes of all their files
#   requirements/pins.sh audit    look the pins up among known vulnerabilities; PIP_AUDIT_VULNERABILITY_SERVICE=osv asks another
#                                 database than the package index
set -euo pipefail
cd "$(dirname "$0")/.."

# A CPU build of torch, for Python 3.11 on x86_64, that the package index does not have; pip takes it where it lies in a folder
# of one's own (PIP_FIND_LINKS).
cpu_torch=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

lists=(build base torch torch-cuda cpu cuda encoders kubernetes test test-cpu)
tools=.venv-audit/bin

if [ ! -e .venv-audit/ready ] || [ requirements/audit.txt -nt .venv-audit/ready ]; then
    .venv/bin/python -m venv --clear .venv-audit
    "$tools/python" -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/audit.txt
    touch .venv-audit/ready
fi

compile() {
    echo "pins: requirements/$1.txt"
    "$tools/uv" pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
        --custom-compile-command "make pins" "${@:2}" --output-file "requirements/$1.txt" "requirements/$1.in" >/dev/null
}

case ${1:-} in
hashes)
    for name in "${lists[@]}"; do compile "$name" --no-deps; done
    compile audit
    sed -i.old "/--hash=sha256:$cpu_torch/d; s/^torch==.* \\\\\$/&\\n    --hash=sha256:$cpu_torch \\\\/" requirements/torch.txt
    rm requirements/torch.txt.old
    ;;
audit)
    status=0
    for name in "${lists[@]}" audit; do
        echo "audit: requirements/$name.txt"
        "$tools/pip-audit" --strict --require-hashes --disable-pip --progress-spinner off --requirement "requirements/$name.txt" || status=1
    done
    if [ $status -ne 0 ]; then echo "audit: not passed; the lines above say which pins, or that no database answered" >&2; fi
    exit $status
    ;;
*)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
