# Functions shared by the groups of package tests: claims, boxes, the package in two versions.
#
# A group is a script beside this file. It sources this file, defines functions whose names are claims, opens a box and calls
# `claim` for each function. Its exit status is not 0 if a claim failed. The box is removed in any case.
# shellcheck shell=bash
set -euo pipefail

root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
# Root file systems, with a checksum of their ingredients in the name.
boxes=$root/target/boxes
suites=(bookworm trixie)
# Debian packages in a box, for all groups. nodejs runs the JavaScript clients.
box_packages=nginx-light,python3-minimal,nodejs,socat

failed=0
suite=host
box=
# Temporary files of this group, removed at its end. Not in /tmp, which may be mounted noexec.
mkdir -p "$root/target"
scratch=$(mktemp -d "$root/target/claims.XXXXXX")

trap finish EXIT
trap 'exit 130' INT TERM

finish() {
  local status=$?
  trap '' INT TERM
  # What cannot be removed must not keep the rest from being removed.
  set +e
  # A group that starts more than its box defines `tidy`.
  ! declare -F tidy >/dev/null || tidy
  close_box
  rm -rf "$scratch"
  exit $((status == 0 ? failed : status))
}

# Runs one claim and prints its result; after a failure, also its output and the end of the daemon's log.
claim() {
  local name=$1 started=$SECONDS status
  # In a subshell, so that the first failing command ends the claim.
  set +e
  (set -e; "$name") >"$scratch/output" 2>&1
  status=$?
  set -e
  if ((status == 0)); then
    printf 'ok      %-9s %s, %s s\n' "$suite" "${name//_/ }" $((SECONDS - started))
    return
  fi
  failed=1
  printf 'FAILED  %-9s %s, %s s\n' "$suite" "${name//_/ }" $((SECONDS - started))
  sed 's/^/        | /' "$scratch/output"
  [[ -z $box ]] || box journalctl --no-pager --lines 30 --unit 'cla-socketserver*' | sed 's/^/        # /' || true
}

# Fails the claim: fail MESSAGE
fail() {
  echo "$*" >&2
  exit 1
}

# Compares two texts and prints the difference: same ACTUAL EXPECTED
same() {
  diff -u --label expected --label actual <(echo "$2") <(echo "$1")
}

# Waits until a command succeeds: eventually SECONDS COMMAND...
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >"$scratch/attempt" 2>&1; do
    if ((SECONDS >= deadline)); then
      cat "$scratch/attempt" >&2
      fail "time-out: $*"
    fi
    sleep 0.1
  done
}

# Boots a new box of a suite and removes the last one.
open_box() {
  close_box
  suite=$1
  make_root "$suite"
  box=$(mktemp -d "$boxes/$suite.XXXXXX")
  "$root/tests/package/sdbox" up "$box" "$(tar_of "$suite")"
}

# Builds the root file system of a suite, unless it exists.
make_root() {
  local tar
  tar=$(tar_of "$1")
  mkdir -p "$boxes"
  [[ -e $tar ]] || "$root/tests/package/sdbox" make "$tar" "$1" "$box_packages"
}

tar_of() { echo "$boxes/$1-$(cksum <<<"$box_packages $(<"$root/tests/package/sdbox")" | cut -d ' ' -f 1).tar"; }

# Builds the root file systems of all suites in parallel.
make_roots() {
  local one makers=()
  for one in "${suites[@]}"; do
    make_root "$one" &
    makers+=("$!")
  done
  for one in "${makers[@]}"; do wait "$one"; done
}

close_box() {
  [[ -z $box ]] || "$root/tests/package/sdbox" down "$box"
  box=
  suite=host
}

# Runs a command in the box, with its output and status: box COMMAND...
box() { "$root/tests/package/sdbox" run "$box" "$@"; }

# Copies a file into the box: put FILE PATH
put() { "$root/tests/package/sdbox" put "$box" "$1" "$2"; }

# Installs a package as an operator does, by default the one under test: install_package [FILE]
install_package() {
  put "${1:-$(package)}" /tmp/package.deb
  # Without a terminal, a question of dpkg is an error, so this also checks that dpkg asks none.
  box env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --option Dpkg::Use-Pty=0 /tmp/package.deb </dev/null
}

# Path of the package under test.
package() {
  echo "${SOCKETSERVER_DEB:?is not set; run tests/package/run, or set it to the path of the package}"
}

# Prints the path of an older version of the package, with the same daemon: previous_package [DEFAULT_CONFIGURATION]
previous_package() {
  local defaults=${1-} tree=$scratch/previous
  rm -rf "$tree"
  dpkg-deb --raw-extract "$(package)" "$tree"
  sed -i 's/^Version: .*/&~previous/' "$tree/DEBIAN/control"
  [[ -z $defaults ]] || echo "$defaults" >"$tree/etc/cla-socketserver/config.toml"
  dpkg-deb --root-owner-group -Znone --build "$tree" "$scratch/previous.deb" >/dev/null
  echo "$scratch/previous.deb"
}

# Copies the JavaScript clients that users have to /tmp/clients in the box.
put_clients() {
  need_modules
  # Without the packages for Chromium, which runs outside of the box.
  tar -C "$root/tests/support" --exclude 'node_modules/*playwright*' --exclude 'node_modules/*axe*' \
    -cf "$scratch/clients.tar" clients.mjs name-server.mjs wait.mjs package.json node_modules
  put "$scratch/clients.tar" /tmp/clients/clients.tar
  box tar -C /tmp/clients -xf /tmp/clients/clients.tar
}

need_modules() {
  [[ -e $root/tests/support/node_modules ]] || npm ci --no-audit --no-fund --prefix "$root/tests/support"
}

# Keeps the daemon busy with browsers and requests until end_load: start_load ARGUMENT... of load.mjs. Needs put_clients.
start_load() {
  put "$root/tests/package/load.mjs" /tmp/clients/load.mjs
  # The load ends at the end of its standard input, a pipe that this process keeps open.
  rm -f "$scratch/hold"
  mkfifo "$scratch/hold"
  box node /tmp/clients/load.mjs "$@" <"$scratch/hold" >"$scratch/load" 2>&1 &
  load=$!
  exec 9>"$scratch/hold"
  eventually 20 grep -q busy "$scratch/load"
}

# Ends the load. Its report is in $scratch/load.
end_load() {
  exec 9>&-
  wait "$load" || { cat "$scratch/load" >&2; fail 'the load failed'; }
}

# Replaces the box's configuration: configure TEXT
configure() {
  echo "$1" >"$scratch/config"
  put "$scratch/config" /etc/cla-socketserver/config.toml
}

# Process id of the daemon in the box.
main_pid() { box systemctl show --property MainPID --value cla-socketserver.service; }

# Whether systemd allows another start of the daemon: StartLimitIntervalSec= has passed since its last change of state. After
# several starts within that time it refuses.
start_limit_is_over() {
  local interval changed
  interval=$(box systemctl show --property StartLimitIntervalUSec --value cla-socketserver.service)
  changed=$(box systemctl show --property StateChangeTimestampMonotonic --value cla-socketserver.service)
  python3 -c 'import sys, time; sys.exit(time.monotonic() * 1e6 < int(sys.argv[1]) + float(sys.argv[2]) * 1e6)' "$changed" "${interval%s}"
}
