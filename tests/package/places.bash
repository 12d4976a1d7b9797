#!/usr/bin/env bash
# Whoever looks at a case is on it again once the daemon is back, however it ended and whoever made a mistake meanwhile.
#
# survive.bash shows more of this, for an office full of people in Chromium; here are clients that poll as well.
source "$(dirname "$0")/lib.bash"

people_look_at_cases() { sit_down; }

a_mistake_that_is_mended_before_anybody_knocks_costs_no_place() {
  sit_down
  box kill -STOP "$(viewers_pid)"
  configure 'statsd.port = "abc"'
  if box systemctl restart cla-socketserver; then fail 'it started'; fi
  configure ''
  box systemctl restart cla-socketserver
  box kill -CONT "$(viewers_pid)"
  eventually 20 all_on_their_cases
}

a_stop_and_a_start_cost_no_place() {
  sit_down
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  same "$(box systemctl is-active cla-socketserver || true)" inactive
  box systemctl start cla-socketserver
  eventually 20 all_on_their_cases
}

a_hang_up_costs_no_place() {
  sit_down
  # Whether it reloads or ends: nobody may vanish for it.
  box kill -HUP "$(main_pid)"
  # Not before they have been written once more: until then nothing may have come of it.
  eventually 20 written_since "$(box date +%s)"
  eventually 20 all_on_their_cases
}

places_that_are_too_old_are_not_used() {
  sit_down
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  box test -e /run/cla-socketserver/places.json
  box touch --date '-2 min' /run/cla-socketserver/places.json
  box systemctl start cla-socketserver
  eventually 20 all_connected
  if all_on_their_cases; then fail 'they are on cases of long ago'; fi
}

systemctl_clean_deletes_them() {
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  box systemctl clean --what=runtime cla-socketserver
  same "$(box sh -c 'ls -A /run/private')" ''
}

nobody_else_can_read_them() {
  box systemctl start cla-socketserver
  eventually 20 box test -e /run/cla-socketserver/places.json
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  box test -e /run/private/cla-socketserver/places.json
  if box setpriv --reuid 12345 --clear-groups cat /run/private/cla-socketserver/places.json; then fail 'they can'; fi
}

# Everybody comes anew and opens their case, and that is written down, as it is once a second.
sit_down() {
  box systemctl restart viewers
  eventually 20 all_on_their_cases
  local written
  written=$(box stat --format %Y /run/cla-socketserver/places.json)
  eventually 20 written_since "$((written + 1))"
}

written_since() { (($(box stat --format %Y /run/cla-socketserver/places.json) > $1)); }

# Not lost, and each on the case that bears its name: all that is said of people in the admin app.
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
claim people_look_at_cases
claim a_hang_up_costs_no_place
claim a_stop_and_a_start_cost_no_place
claim a_mistake_that_is_mended_before_anybody_knocks_costs_no_place
claim places_that_are_too_old_are_not_used
claim systemctl_clean_deletes_them
claim nobody_else_can_read_them
