#!/usr/bin/env bash
# The journal and reloads: what the daemon says is found by its priority and its fields, a reload takes up a changed
# configuration, and a journal that stands still holds up nobody.
source "$(dirname "$0")/lib.bash"

it_says_to_the_journal_what_it_is_and_how_severe() {
  install_package
  entries --priority warning >"$scratch/warnings"
  same "$(field MESSAGE <"$scratch/warnings" | cut -d : -f 1)" 'site_hostname is not set'
  same "$(field PRIORITY <"$scratch/warnings")" 4
  # A sentence: no time stamp, no level, no fields.
  entries LISTEN_NAME=admin >"$scratch/listening"
  same "$(field MESSAGE <"$scratch/listening")" 'admin: listening on 127.0.0.1:8006'
  same "$(field PRIORITY <"$scratch/listening")" 6
  same "$(field LISTEN_ADDR <"$scratch/listening")" 127.0.0.1:8006
  same "$(field SYSLOG_IDENTIFIER <"$scratch/listening")" cla-socketserver
}

a_reload_takes_up_the_configuration_and_keeps_the_process() {
  local old
  old=$(main_pid)
  same "$(origin https://chs.example)" 403
  configure 'site_hostname = ["chs.example"]'
  box systemctl reload $unit
  # The command has waited until that was done.
  same "$(origin https://chs.example)" 200
  same "$(main_pid)" "$old"
  same "$(box systemctl is-active $unit)" active
}

a_reload_of_a_wrong_configuration_fails_and_changes_nothing() {
  local old
  old=$(main_pid)
  configure $'site_hostname = ["other.example"]\nstatsd.port = "abc"'
  if box systemctl reload $unit; then fail 'it was content'; fi
  eventually 5 error_says 'statsd.port = "abc" (file /etc/cla-socketserver/config.toml): must be a whole number from 1 to 65535'
  same "$(origin https://chs.example)" 200
  same "$(main_pid)" "$old"
  same "$(box systemctl is-active $unit)" active
}

a_hangup_sent_by_hand_is_a_reload_too() {
  local old
  old=$(main_pid)
  box systemctl kill --signal HUP $unit
  eventually 5 error_says 'configuration not reloaded, the daemon goes on with the one it has: statsd.port = "abc"'
  configure $'site_hostname = ["chs.example"]\nlog.level = "debug"'
  box kill -HUP "$old"
  eventually 5 logged 'configuration reloaded, changed: log.level'
  same "$(main_pid)" "$old"
}

a_journal_that_stands_still_holds_up_nobody() {
  local journald
  journald=$(box systemctl show --property MainPID --value systemd-journald)
  trap 'box kill -CONT "$journald"' EXIT
  box kill -STOP "$journald"
  # Each leaves a line at debug, and the journal's socket has room for some hundred.
  box python3 -c '
import socket
for _ in range(3000):
    with socket.create_connection(("127.0.0.1", 8005), 5) as stranger:
        stranger.settimeout(5)
        stranger.sendall(b"nonsense\r\n\r\n")
        assert stranger.recv(1000)
'
  box curl -fsS --max-time 2 127.0.0.1:8006/healthz
  same "$(origin https://chs.example)" 200
  box kill -TERM "$(main_pid)"
  eventually 5 gone
  box kill -CONT "$journald"
  trap - EXIT
  box systemctl start $unit
  eventually 10 box curl -fsS --max-time 2 127.0.0.1:8006/healthz
}

why_a_start_failed_is_an_error() {
  configure 'limits.sessions = "many"'
  if box systemctl restart $unit; then fail 'it started'; fi
  eventually 5 error_says 'limits.sessions = "many"'
  configure ''
  sleep 3
  box systemctl restart $unit
}

lines_in_json_have_priorities_too() {
  configure $'log.format = "json"'
  box systemctl restart $unit
  eventually 5 logged '"message":"ready"'
  entries --priority warning | field MESSAGE | grep '"level":"WARN"'
  configure ''
}

the_sealed_daemon_reaches_the_journal_too() {
  box install -D -t /etc/systemd/system/$unit.d /usr/share/cla-socketserver/sealed.conf
  box systemctl daemon-reload
  box systemctl restart $unit
  eventually 5 listening
  configure 'site_hostname = ["chs.example"]'
  box systemctl reload $unit
  same "$(origin https://chs.example)" 200
}

unit=cla-socketserver.service

# What the daemon that runs, or ran last, has logged, as JSON.
entries() {
  box journalctl --quiet --output json "_SYSTEMD_INVOCATION_ID=$(box systemctl show --property InvocationID --value $unit)" "$@"
}

# The values of a field: field NAME
field() {
  python3 -c 'import json, sys
for line in sys.stdin:
    print(json.loads(line).get(sys.argv[1]))' "$1"
}

# Searches as an operator does, by unit.
error_says() { box journalctl --quiet --unit $unit --priority err --output cat | grep -F "$1"; }

logged() { box journalctl --quiet --unit $unit --output cat | grep -F "$1"; }

listening() { entries LISTEN_NAME=public | grep .; }

gone() { ! box pgrep -x cla-socketserve; }

# The status of a handshake from a page of that origin.
origin() {
  box curl -s -o /dev/null --max-time 5 -w '%{http_code}' -H "Origin: $1" '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  claim it_says_to_the_journal_what_it_is_and_how_severe
  claim a_reload_takes_up_the_configuration_and_keeps_the_process
  claim a_reload_of_a_wrong_configuration_fails_and_changes_nothing
  claim a_hangup_sent_by_hand_is_a_reload_too
  claim a_journal_that_stands_still_holds_up_nobody
  claim why_a_start_failed_is_an_error
  claim lines_in_json_have_priorities_too
  claim the_sealed_daemon_reaches_the_journal_too
done
