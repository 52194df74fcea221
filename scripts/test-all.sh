#!/bin/sh
# Runs what `make test` leaves out: soaks, what Debian packages bring, and the real SDKs.
# Its arguments name what to run instead of all. Whatever cannot run here is named with NOT RUN,
# and does not count as passed.
set -u
failed=0
skipped=""

have() { command -v "$1" >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/"$1" >/dev/null 2>&1; }
not_run() { skipped="$skipped
NOT RUN: $1"; }

# Debian packages: installed where apt allows it, otherwise what needs them is named.
for pair in postgres:postgresql strace:strace chromium:chromium; do
  command=${pair%%:*}; package=${pair##*:}
  have "$command" && continue
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq >/dev/null 2>&1
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1
  fi
  have "$command" || not_run "what needs $command (the package $package could not be installed)"
done

# Clients and fuzzers want versions that exclude each other, so each set lives in its own place.
own() {
  place=".venv/$1"
  if [ ! -f "$place/.ready" ] || [ "requirements/$1.lock" -nt "$place/.ready" ]; then
    rm -rf "$place"
    python -m venv "$place" &&
      VIRTUAL_ENV="$PWD/$place" uv pip install --quiet --require-hashes --no-build \
        -r "requirements/$1.lock" && touch "$place/.ready"
  fi
  [ -f "$place/.ready" ]
}
own sdk && export TURNOUT_SDK_PYTHON="$PWD/.venv/sdk/bin/python" ||
  not_run "clients on openai 3 and anthropic 2 (their environment could not be set up)"
own sdk2 && export TURNOUT_SDK2_PYTHON="$PWD/.venv/sdk2/bin/python" ||
  not_run "clients on openai 2 (their environment could not be set up)"
own fuzz && export TURNOUT_FUZZ_PYTHON="$PWD/.venv/fuzz/bin/python" ||
  not_run "fuzzing (its environment could not be set up)"

python -m pytest -n 2 --dist loadgroup -m "slow or apt" -rs "$@" || { code=$?; [ $code = 5 ] || failed=1; }

[ -n "$skipped" ] && printf '%s\n' "$skipped"
exit $failed
