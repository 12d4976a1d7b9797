#!/usr/bin/env bash
# The commands of the README and the man page, from the package to a proxied service, have the described results.
source "$(dirname "$0")/lib.bash"

the_installation_commands_end_with_a_ready_daemon() {
  put "$(package)" "/root/$(basename "$(package)")"
  block Install sh 2 | typed | tail -n 1 | grep -F '{"status":"ready"}'
}

the_site_hostname_from_the_page_is_used() {
  same "$(from_origin https://chs.example.org)" 403
  block Install toml 1 >"$scratch/site"
  put "$scratch/site" /etc/cla-socketserver/config.toml
  block Install sh 3 | typed
  same "$(from_origin https://chs.example.org)" 200
}

the_nginx_commands_lead_to_the_daemon() {
  # nginx is in the box already, and the box has no network.
  example NGINX 1 | sed '/apt-get install nginx/d' | typed | tail -n 1 | grep '^0{"sid":'
}

the_private_address_from_the_page_answers() {
  box ip address add 10.0.1.5/32 dev lo
  same "$(example 'PRIVATE NETWORK' 1)" 'systemctl edit cla-socketserver-admin.socket'
  # As `systemctl edit` does after the editor was closed.
  example 'PRIVATE NETWORK' 2 >"$scratch/drop-in"
  put "$scratch/drop-in" /etc/systemd/system/cla-socketserver-admin.socket.d/override.conf
  box systemctl daemon-reload
  example 'PRIVATE NETWORK' 3 | typed
  answers 10.0.1.5:8005
  answers 127.0.0.1:8006
}

the_sealing_commands_leave_the_daemon_ready() {
  example SANDBOX 1 | typed
  answers 127.0.0.1:8006
}

# Prints a code block of the README: block SECTION LANGUAGE NUMBER
block() {
  awk -v section="$1" -v fence="\`\`\`$2" -v number="$3" '
    /^#+ / { inside = $0 ~ "^#+ " section "$" }
    /^```$/ { copying = 0 }
    copying
    inside && $0 == fence { copying = ++seen == number }' "$root/README.md" | grep . || fail "the README has no $2 block $3 in $1"
}

# Prints an example of the man page as rendered: example SECTION NUMBER
example() {
  awk -v heading=".SH $1" -v number="$2" '
    /^\.SH / { inside = $0 == heading }
    /^\.EE$/ { copying = 0 }
    copying
    inside && /^\.EX$/ { copying = ++seen == number }' "$root/packaging/cla-socketserver.8" |
    sed "s/\\\\-/-/g; s/\\\\(aq/'/g" | grep . || fail "the man page has no example $2 in $1"
}

# Runs the commands on standard input in the box.
typed() {
  cat >"$scratch/typed"
  put "$scratch/typed" /root/typed
  box sh -c 'cd && DEBIAN_FRONTEND=noninteractive sh -ex typed' </dev/null
}

# Status of a handshake with this origin: from_origin ORIGIN
from_origin() {
  box curl -sS --max-time 5 -o /dev/null -w '%{http_code}' -H "Origin: $1" '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
}

answers() { box curl -fsS --max-time 5 "$1/readyz" | grep -F '{"status":"ready"}'; }

for suite in "${suites[@]}"; do
  open_box "$suite"
  claim the_installation_commands_end_with_a_ready_daemon
  claim the_site_hostname_from_the_page_is_used
  claim the_nginx_commands_lead_to_the_daemon
  claim the_private_address_from_the_page_answers
  claim the_sealing_commands_leave_the_daemon_ready
done
