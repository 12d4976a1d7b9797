# The layers of tests: what each needs and runs. README.md beside this file tells about them.
#
# Sourced by tests/run, which installs what is needed and runs the layers.
# shellcheck shell=bash

layers=(style supply core server package fuzz terraform clients python browser idle compare overload soak blackout)
on_demand=(slow)
quick=(style supply core server clients python idle)
# In the order in which steps start: the layers, and among them what is prepared once for several. The release build and
# after it the package take longest, so they begin as soon as they can.
order=(modules release style package supply core server fuzz generator terraform clients python browser)
order+=(idle compare overload soak blackout slow)
# What measures times, or takes so much that others would.
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

# What is built or fetched once for several layers.
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

# The first three build in the same folder, where cargo lets one build at a time; and no build should disturb the server.
after=([core]='style' [server]='style core' [fuzz]='server')

# The binary that goes into the package, and that the tests which use it run.
SOCKETSERVER_BIN=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release/cla-socketserver
export SOCKETSERVER_BIN
run_release() { packaging/build --binary-only; }

# It is needed last of all, so it gives way to what runs beside it.
run_generator() { nice tests/load/compare --build; }

# The JavaScript that tests share or need.
run_modules() {
  local folder
  for folder in tests/support tests/load/peers/node; do npm_ci "$folder"; done
}

# A second run need not install again what the lock file has not changed.
npm_ci() {
  local stamp=$1/node_modules/.stamp
  [[ $stamp -nt $1/package-lock.json ]] && return
  npm ci --no-audit --no-fund --prefix "$1"
  touch "$stamp"
}

# Formatting, lints, and the program that runs the tests.
run_style() {
  cargo fmt --all --check
  cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
  cargo clippy --workspace --all-targets --locked -- -D warnings
  tests/support/runner.test
  macos
}

# Some developers who try the daemon have a Mac.
macos() {
  local target=aarch64-apple-darwin
  if [[ -d $(rustc --print sysroot)/lib/rustlib/$target ]]; then
    cargo check --locked --target "$target"
  else
    echo "not checked for macOS, because Rust is not prepared for it here: rustup target add $target"
  fi
}

run_supply() { tests/supply/run; }

run_core() { cargo test --locked --workspace --lib --bins; }

# Most of these tests wait for a time-out most of the time, so more of them run side by side than there are processors.
run_server() { cargo test --locked --test it -- --test-threads 6; }

# A quarter of a minute each, and a build that gives way to what runs beside it. Longer runs: tests/fuzz/README.md.
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
