#!/bin/sh
# Runs what `make test` leaves out: soaks, what Debian packages bring, and the real SDKs.
# Whatever cannot run here is named with NOT RUN, and does not count as passed.
set -u
failed=0
skipped=""

have() { command -v "$1" >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/"$1" >/dev/null 2>&1; }
not_run() { skipped="$skipped
NOT RUN: $1"; }

# Debian packages: installed where apt allows it, otherwise what needs them is named.
for pair in postgres:postgresql strace:strace; do
  command=${pair%%:*}; package=${pair##*:}
  have "$command" && continue
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq >/dev/null 2>&1
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1
  fi
  have "$command" || not_run "what needs $command (the package $package could not be installed)"
done
# Nothing is built yet that needs them.
not_run "tests with Valkey and with a browser (there are none yet)"

python -m pytest -n 2 -m "slow or apt" -rs || { code=$?; [ $code = 5 ] || failed=1; }

# The SDKs need newer HTTP libraries than other clients allow, so they live in their own place.
sdk=.venv/sdk
if [ ! -x "$sdk/bin/python" ]; then
  python -m venv "$sdk" &&
    VIRTUAL_ENV="$PWD/$sdk" uv pip install --quiet --require-hashes --no-build -r requirements/sdk.lock ||
    rm -rf "$sdk"
fi
if [ -x "$sdk/bin/python" ] && ls tests/sdk/*.py >/dev/null 2>&1; then
  TURNOUT_SDK_PYTHON="$PWD/$sdk/bin/python" python -m pytest tests/sdk || failed=1
elif ls tests/sdk/*.py >/dev/null 2>&1; then
  not_run "tests/sdk (the SDK environment could not be set up)"
fi

[ -n "$skipped" ] && printf '%s\n' "$skipped"
exit $failed
