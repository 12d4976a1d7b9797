# The layers of tests: the needs and the commands of each. README.md beside this file describes them.
#
# Sourced by tests/run, which installs the needs and runs the layers.
# shellcheck shell=bash

layers=(style supply core server package fuzz terraform clients python browser idle compare overload soak blackout)
on_demand=(slow)
quick=(style supply core server clients python idle)
# Order in which steps start: the layers, and the preparations that several layers share. The release build and the package
# take longest, so they start first.
order=(modules release style package supply core server fuzz generator terraform clients python browser)
order+=(idle compare overload soak blackout slow)
# Layers that run alone, because they measure times or use the whole machine.
alone=(idle compare overload soak blackout slow)

# Conditions, by the names of the functions in support/needs.bash.
declare -A conditions=(
  [style]='rust lints'
  [supply]='rust'
  [core]='rust'
  [server]='rust'
  [fuzz]='rust'
  [package]='rust debian root namespaces cgroups node'
  [terraform]='terraform node'
  [clients]='rust node'
  [python]='rust'
  [browser]='rust node'
  [idle]='rust linux'
  [compare]='rust linux files node'
  [overload]='rust linux files node'
  [soak]='rust linux node'
  [blackout]='rust linux root namespaces node'
  [slow]='rust debian root namespaces cgroups node'
  [modules]='node'
)

declare -A packages=(
  [style]='build-essential'
  [supply]='build-essential git python3 python3-venv'
  [core]='build-essential'
  [server]='build-essential'
  [fuzz]='build-essential'
  [package]='build-essential bash-completion chromium curl debhelper fish iproute2 lintian man-db mmdebstrap procps python3 python3-venv systemd-container util-linux zsh'
  [terraform]='python3 python3-venv'
  [clients]='build-essential'
  [python]='build-essential python3 python3-venv'
  [browser]='build-essential chromium'
  [idle]='build-essential python3'
  [compare]='build-essential python3'
  [overload]='build-essential util-linux'
  [soak]='build-essential'
  [blackout]='build-essential chromium iproute2 nftables nginx util-linux'
  [release]='build-essential'
  [generator]='build-essential'
)
packages[slow]="${packages[package]} git piuparts"

# Preparations that a layer uses. Each is done once for all layers.
uses=(
  [package]='release modules'
  [clients]='release modules'
  [python]='release'
  [browser]='release modules'
  [idle]='release'
  [compare]='release modules generator'
  [overload]='release'
  [soak]='release modules'
  [blackout]='release modules'
  [slow]='release modules'
)

# style, core and server build in the same folder, where cargo runs one build at a time. fuzz waits, because its build would
# disturb the server tests.
after=([core]='style' [server]='style core' [fuzz]='server')

# Path of the release build, which the package contains and the other layers run.
SOCKETSERVER_BIN=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release/cla-socketserver
export SOCKETSERVER_BIN
run_release() { packaging/build --binary-only; }

# At low priority, because it is needed last.
run_generator() { nice tests/load/compare --build; }

# The npm packages of all layers.
run_modules() {
  local folder
  for folder in tests/support tests/load/peers/node; do npm_ci "$folder"; done
}

# Installs npm packages, unless the lock file is older than the last installation: npm_ci FOLDER
npm_ci() {
  local stamp=$1/node_modules/.stamp
  [[ $stamp -nt $1/package-lock.json ]] && return
  npm ci --no-audit --no-fund --prefix "$1"
  touch "$stamp"
}

# Formatting, lints, and the tests of the test runner.
run_style() {
  cargo fmt --all --check
  cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
  cargo clippy --workspace --all-targets --locked -- -D warnings
  tests/support/runner.test
  macos
}

# Checks that the daemon compiles for macOS, which some developers use.
macos() {
  local target=aarch64-apple-darwin
  if [[ -d $(rustc --print sysroot)/lib/rustlib/$target ]]; then
    cargo check --locked --target "$target"
  else
    echo "not checked for macOS, because Rust has no standard library for it here: rustup target add $target"
  fi
}

run_supply() { tests/supply/run; }

run_core() { cargo test --locked --workspace --lib --bins; }

# More threads than processors, because these tests spend most of their time waiting for time-outs.
run_server() { cargo test --locked --workspace --test it --test server -- --test-threads 6; }

# 15 s for each target, at low priority. tests/fuzz/README.md describes longer runs.
run_fuzz() {
  local target
  for target in wire session admin config; do
    nice tests/fuzz/run "$target" 15
  done
}

run_clients() { node --test --test-concurrency 4 tests/clients/*.test.mjs; }

run_python() {
  local venv=target/python
  [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --requirement tests/clients/python/requirements.txt
  "$venv/bin/python" -B -m unittest discover --start-directory tests/clients/python
}

run_browser() { node --test tests/browser/*.test.mjs; }

run_idle() { tests/load/idle; }

run_compare() { tests/load/compare --quick; }

run_overload() { tests/load/overload --quick; }

run_soak() { tests/load/soak 1; }

run_blackout() { tests/blackout/run; }

run_terraform() { tests/terraform/run; }

run_package() { tests/package/run; }

run_slow() { tests/package/run slow; }
