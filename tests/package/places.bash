#!/usr/bin/env bash
# Users are on their cases again after the daemon was stopped, failed to start or reloaded.
#
# survive.bash shows more of this with Chromium; the clients of this group also poll.
source "$(dirname "$0")/lib.bash"

users_view_cases() { open_cases; }

a_mistake_that_is_corrected_before_a_client_connects_costs_no_place() {
  open_cases
  box kill -STOP "$(viewers_pid)"
  configure 'statsd.port = "abc"'
  if box systemctl restart cla-socketserver; then fail 'it started'; fi
  configure ''
  box systemctl restart cla-socketserver
  box kill -CONT "$(viewers_pid)"
  eventually 20 all_on_their_cases
}

a_stop_and_a_start_cost_no_place() {
  open_cases
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  same "$(box systemctl is-active cla-socketserver || true)" inactive
  box systemctl start cla-socketserver
  eventually 20 all_on_their_cases
}

a_sighup_costs_no_place() {
  open_cases
  # SIGHUP is a reload, which must not remove anybody.
  box kill -HUP "$(main_pid)"
  # After the next write of the file, the daemon has handled the signal.
  eventually 20 written_since "$(box date +%s)"
  eventually 20 all_on_their_cases
}

places_older_than_the_grace_are_not_used() {
  open_cases
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  box test -e /run/cla-socketserver/places.json
  box touch --date '-2 min' /run/cla-socketserver/places.json
  box systemctl start cla-socketserver
  eventually 20 all_connected
  if all_on_their_cases; then fail 'the daemon has used the old places'; fi
}

systemctl_clean_deletes_places() {
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  box systemctl clean --what=runtime cla-socketserver
  same "$(box sh -c 'ls -A /run/private')" ''
}

other_users_cannot_read_places() {
  box systemctl start cla-socketserver
  eventually 20 box test -e /run/cla-socketserver/places.json
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  box test -e /run/private/cla-socketserver/places.json
  if box setpriv --reuid 12345 --clear-groups cat /run/private/cla-socketserver/places.json; then fail 'another user can read them'; fi
}

# Restarts the clients, which open their cases, and waits until the places file has them.
open_cases() {
  box systemctl restart viewers
  eventually 20 all_on_their_cases
  local written
  written=$(box stat --format %Y /run/cla-socketserver/places.json)
  eventually 20 written_since "$((written + 1))"
}

written_since() { (($(box stat --format %Y /run/cla-socketserver/places.json) > $1)); }

# Whether all clients are connected, each on the case with its own name, and no other client is.
all_on_their_cases() {
  same "$(places)" $'1.7.4-polling on 1.7.4-polling\n1.7.4-websocket on 1.7.4-websocket\n4.8-polling on 4.8-polling\n4.8-websocket on 4.8-websocket'
}

all_connected() { same "$(places | wc -l)" 4; }

places() {
  box curl -fsS --max-time 5 127.0.0.1:8006/admin/peopleMap/ | python3 -c '
import json, sys
for person in json.load(sys.stdin).values():
    for connection in person["connections"].values():
        if "lost" not in connection:
            print(person["username"], "on", connection["caseViewed"])' | sort
}

viewers_pid() { box systemctl show --property MainPID --value viewers; }

open_box bookworm
install_package >"$scratch/install" 2>&1 || fail "$(cat "$scratch/install")"
put_clients
put "$root/tests/package/viewers.mjs" /tmp/clients/viewers.mjs
echo $'[Service]\nExecStart=node /tmp/clients/viewers.mjs http://127.0.0.1:8005' >"$scratch/viewers"
put "$scratch/viewers" /run/systemd/system/viewers.service
claim users_view_cases
claim a_sighup_costs_no_place
claim a_stop_and_a_start_cost_no_place
claim a_mistake_that_is_corrected_before_a_client_connects_costs_no_place
claim places_older_than_the_grace_are_not_used
claim systemctl_clean_deletes_places
claim other_users_cannot_read_places
