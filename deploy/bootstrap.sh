#!/usr/bin/env bash
# Makes the Python environment in the folder given, from the lock file. Needs Python >= 3.11 and a network.
set -euo pipefail

venv=$1
python=${PYTHON:-python3}

die() {
  printf 'atum-mailer: %s\n' "$*" >&2
  exit 1
}

command -v "$python" >/dev/null || die "$python is not installed; on Debian or Ubuntu: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "$("$python" --version) is too old; 3.11 or newer is needed (name one with PYTHON=...)"

# Debian keeps ensurepip in a package of its own.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo -n"; else
    die "the venv module is missing; on Debian or Ubuntu: apt-get install python3-venv"
  fi
  printf 'installing python3-venv …\n' >&2
  $as_root apt-get update -qq
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/uv" --version >/dev/null 2>&1 || "$venv/bin/python" -m pip install --quiet 'uv>=0.9,<1'
printf 'installing what uv.lock names …\n' >&2
UV_PROJECT_ENVIRONMENT="$venv" "$venv/bin/uv" sync --quiet --frozen --inexact --compile-bytecode
