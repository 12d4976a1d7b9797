#!/usr/bin/env bash
# The package file: its contents, its dependencies, and lintian. Needs no box.
source "$(dirname "$0")/lib.bash"

lintian_reports_nothing() {
  # All tags count, including pedantic and experimental ones.
  local tags
  tags=$(lintian --allow-root --display-experimental --pedantic --fail-on none "$(changes)" 2>&1)
  same "$tags" ''
}

it_contains_every_file_an_operator_needs() {
  local file wanted=(
    etc/cla-socketserver/config.toml
    usr/lib/systemd/system/cla-socketserver.service
    usr/lib/systemd/system/cla-socketserver.socket
    usr/lib/systemd/system/cla-socketserver-admin.socket
    usr/lib/systemd/system/cla-socketserver-statsd.socket
    usr/bin/cla-socketserver
    usr/share/bash-completion/completions/cla-socketserver
    usr/share/cla-socketserver/nginx/
    usr/share/cla-socketserver/sealed.conf
    usr/share/cla-socketserver/terraform/main.tf
    usr/share/cla-socketserver/terraform/examples/same-host/main.tf
    usr/share/doc/cla-socketserver/README.md
    usr/share/doc/cla-socketserver/CHANGELOG.md
    usr/share/doc/cla-socketserver/changelog
    usr/share/doc/cla-socketserver/copyright
    usr/share/doc/cla-socketserver/docs/http.md
    usr/share/doc/cla-socketserver/docs/presence.md
    usr/share/doc/cla-socketserver/docs/protocol.md
    usr/share/fish/vendor_completions.d/cla-socketserver.fish
    usr/share/man/man5/cla-socketserver.toml.5
    usr/share/man/man8/cla-socketserver.8
    usr/share/zsh/vendor-completions/_cla-socketserver
  )
  contents | sed "s/\.gz$//" >"$scratch/contents"
  for file in "${wanted[@]}"; do
    grep -qx "./$file" "$scratch/contents" || fail "not in the package: $file"
  done
}

every_crate_in_the_daemon_has_its_notice() {
  local crates
  crates=$(cd "$root" && cargo tree --locked --all-features --edges normal --prefix none --no-dedupe --format '{p}' |
    grep -v ' (/' | sed -n 's/^\([^ ]*\) v\([^ ]*\).*/==== \1 \2: /p' | sort -u)
  dpkg-deb --fsys-tarfile "$(package)" | tar -xO ./usr/share/doc/cla-socketserver/third-party-notices.gz | gunzip >"$scratch/notices"
  same "$(sed -n 's/^\(==== [^ ]* [^ ]*: \).*/\1/p' "$scratch/notices" | sort)" "$crates"
  # The texts of the licences, not only their names.
  grep -F 'Copyright (c) Tokio Contributors' "$scratch/notices"
}

the_daemon_contains_the_list_of_its_crates_for_scanners() {
  unpack_daemon
  objcopy --dump-section .dep-v0="$scratch/list" "$scratch/daemon" "$scratch/copy"
  python3 - "$scratch/list" >"$scratch/listed" <<-'LIST'
	import json, sys, zlib
	for crate in json.loads(zlib.decompress(open(sys.argv[1], "rb").read()))["packages"]:
	    print(crate["name"], crate["version"])
	LIST
  # Build dependencies are listed too.
  same "$(LC_ALL=C sort "$scratch/listed")" "$(cd "$root" && cargo tree --locked --all-features --edges normal,build \
    --prefix none --no-dedupe --format '{p}' | sed 's/^\([^ ]*\) v\([^ ]*\).*/\1 \2/' | LC_ALL=C sort -u)"
}

its_shared_folder_contains_only_nginx_terraform_and_sealed_files() {
  same "$(contents | sed -n 's,^\./usr/share/cla-socketserver/\(.*[^/]\)$,\1,p' | sort)" \
    "$(cd "$root" && { echo sealed.conf; ls nginx/*.conf terraform/README.md terraform/*.tf terraform/examples/*/*.tf; } | sort)"
}

it_contains_no_source_and_no_test() {
  if contents | grep -E 'test|\.lock|\.tfstate|/target/|Cargo|\.rs$'; then fail 'the package contains these files'; fi
}

every_file_belongs_to_root_and_only_the_daemon_is_executable() {
  local odd
  odd=$(dpkg-deb --contents "$(package)" | awk '$2 != "root/root" || $1 !~ /^(drwxr-xr-x|-rw-r--r--)$/ {print $1, $2, $6}')
  same "$odd" '-rwxr-xr-x root/root ./usr/bin/cla-socketserver'
}

only_the_configuration_is_a_conffile() {
  same "$(dpkg-deb --info "$(package)" conffiles)" /etc/cla-socketserver/config.toml
}

it_depends_on_two_system_libraries_only() {
  local needs
  needs=$(dpkg-deb --field "$(package)" Depends | tr , '\n' | sed 's/^ *//; s/ .*//')
  same "$needs" $'libc6\nlibgcc-s1'
}

its_daemon_is_the_one_that_other_tests_run() {
  unpack_daemon
  same "$(build_id "$scratch/daemon")" "$(build_id "$root/target/release/cla-socketserver")"
}

the_debug_symbols_are_of_the_same_daemon() {
  local id
  unpack_daemon
  id=$(build_id "$scratch/daemon")
  dpkg-deb --contents "$(dirname "$(package)")"/cla-socketserver-dbgsym_*.deb | grep "/${id:0:2}/${id:2}\.debug$"
  if readelf --sections --wide "$scratch/daemon" | grep '\.debug_info'; then fail 'the daemon still has its debug symbols'; fi
}

man_renders_the_pages_without_a_warning() {
  local page
  for page in cla-socketserver.8 cla-socketserver.toml.5; do
    same "$(LC_ALL=C.UTF-8 man --warnings --local-file "$root/packaging/$page" 2>&1 >/dev/null)" ''
  done
}

changes() { echo "$(package | sed 's/\.deb$//').changes"; }

contents() { dpkg-deb --contents "$(package)" | awk '{print $6}'; }

unpack_daemon() { dpkg-deb --fsys-tarfile "$(package)" | tar -xO ./usr/bin/cla-socketserver >"$scratch/daemon"; }

build_id() { readelf --notes "$1" | sed -n "s/^ *Build ID: //p"; }

claim lintian_reports_nothing
claim it_contains_every_file_an_operator_needs
claim every_crate_in_the_daemon_has_its_notice
claim the_daemon_contains_the_list_of_its_crates_for_scanners
claim its_shared_folder_contains_only_nginx_terraform_and_sealed_files
claim it_contains_no_source_and_no_test
claim every_file_belongs_to_root_and_only_the_daemon_is_executable
claim only_the_configuration_is_a_conffile
claim it_depends_on_two_system_libraries_only
claim its_daemon_is_the_one_that_other_tests_run
claim the_debug_symbols_are_of_the_same_daemon
claim man_renders_the_pages_without_a_warning
