# What the groups of package tests share: claims, one box at a time, the package in two versions.
#
# A group is a script beside this file. It sources this file, defines functions whose names are claims, opens a box
# and calls `claim` for each. It ends with a status other than 0 when one of them failed; the box goes in any case.
# shellcheck shell=bash
set -euo pipefail

root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
# Root file systems are kept here, by what they are made from.
boxes=$root/target/boxes
suites=(bookworm trixie)
# What any group needs inside a box. nodejs runs the JavaScript clients.
box_packages=nginx-light,python3-minimal,nodejs,socat

failed=0
suite=host
box=
# Files of this group. Gone at its end. Not in /tmp, from where programs may not be run everywhere.
mkdir -p "$root/target"
scratch=$(mktemp -d "$root/target/claims.XXXXXX")

trap finish EXIT
trap 'exit 130' INT TERM

finish() {
  local status=$?
  trap '' INT TERM
  # What a group has to take away besides its box.
  ! declare -F tidy >/dev/null || tidy
  close_box
  rm -rf "$scratch"
  exit $((status == 0 ? failed : status))
}

# Runs one claim and says whether it held; if not, what it wrote and what the daemon logged.
claim() {
  local name=$1 started=$SECONDS status
  # In a subshell of its own, so that the first command that fails ends the claim.
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

# Ends a claim that does not hold.
fail() {
  echo "$*" >&2
  exit 1
}

# Holds two texts to be the same, and shows how they are not.
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
      fail "still not so: $*"
    fi
    sleep 0.1
  done
}

# Boots a new box of a suite in place of the last one.
open_box() {
  close_box
  suite=$1
  make_root "$suite"
  box=$(mktemp -d "$boxes/$suite.XXXXXX")
  "$root/tests/package/sdbox" up "$box" "$(tar_of "$suite")"
}

# The root file system of a suite, once for all groups.
make_root() {
  local tar
  tar=$(tar_of "$1")
  mkdir -p "$boxes"
  [[ -e $tar ]] || "$root/tests/package/sdbox" make "$tar" "$1" "$box_packages"
}

tar_of() { echo "$boxes/$1-$(cksum <<<"$box_packages $(<"$root/tests/package/sdbox")" | cut -d ' ' -f 1).tar"; }

# Those of all suites, side by side.
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

# Runs a command in the box. What it writes comes back, its status too.
box() { "$root/tests/package/sdbox" run "$box" "$@"; }

# Copies a file into the box: put FILE PATH
put() { "$root/tests/package/sdbox" put "$box" "$1" "$2"; }

# Installs a package as an operator would, the one under test unless another is named.
install_package() {
  put "${1:-$(package)}" /tmp/package.deb
  # Without a terminal a question that dpkg asks is an error, so nothing is asked here.
  box env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --option Dpkg::Use-Pty=0 /tmp/package.deb </dev/null
}

# Path of the package under test.
package() {
  echo "${SOCKETSERVER_DEB:?is not set; run tests/package/run, or set it to the path of the package}"
}

# Path of the package again, as a version before: the same daemon, another default configuration if given as text.
previous_package() {
  local defaults=${1-} tree=$scratch/previous
  rm -rf "$tree"
  dpkg-deb --raw-extract "$(package)" "$tree"
  sed -i 's/^Version: .*/&~previous/' "$tree/DEBIAN/control"
  [[ -z $defaults ]] || echo "$defaults" >"$tree/etc/cla-socketserver/config.toml"
  dpkg-deb --root-owner-group -Znone --build "$tree" "$scratch/previous.deb" >/dev/null
  echo "$scratch/previous.deb"
}

# Puts the JavaScript clients that users have into the box, for programs in /tmp/clients.
put_clients() {
  need_modules
  # Without what drives Chromium, which runs on this machine.
  tar -C "$root/tests/support" --exclude 'node_modules/*playwright*' --exclude 'node_modules/*axe*' \
    -cf "$scratch/clients.tar" clients.mjs name-server.mjs wait.mjs package.json node_modules
  put "$scratch/clients.tar" /tmp/clients/clients.tar
  box tar -C /tmp/clients -xf /tmp/clients/clients.tar
}

need_modules() {
  [[ -e $root/tests/support/node_modules ]] || npm ci --no-audit --no-fund --prefix "$root/tests/support"
}

# Keeps the daemon busy with browsers and requests, through load.mjs and its arguments, until end_load. Needs put_clients.
start_load() {
  put "$root/tests/package/load.mjs" /tmp/clients/load.mjs
  # The load ends when its standard input does, which is a pipe that this process holds open.
  rm -f "$scratch/hold"
  mkfifo "$scratch/hold"
  box node /tmp/clients/load.mjs "$@" <"$scratch/hold" >"$scratch/load" 2>&1 &
  load=$!
  exec 9>"$scratch/hold"
  eventually 20 grep -q busy "$scratch/load"
}

# What came of it is in $scratch/load.
end_load() {
  exec 9>&-
  wait "$load" || { cat "$scratch/load" >&2; fail 'the load did not end well'; }
}

# Replaces the box's configuration: configure TEXT
configure() {
  echo "$1" >"$scratch/config"
  put "$scratch/config" /etc/cla-socketserver/config.toml
}

# The box's daemon, by process id.
main_pid() { box systemctl show --property MainPID --value cla-socketserver.service; }
