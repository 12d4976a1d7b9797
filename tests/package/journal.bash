#!/usr/bin/env bash
# The journal and reloads: log entries have priorities and fields, a reload applies a changed configuration, and a stopped
# journal does not block the daemon.
source "$(dirname "$0")/lib.bash"

journal_entries_have_a_message_a_priority_and_fields() {
  install_package
  entries --priority warning >"$scratch/warnings"
  same "$(field MESSAGE <"$scratch/warnings" | cut -d : -f 1)" 'site_hostname is not set'
  same "$(field PRIORITY <"$scratch/warnings")" 4
  # The message is a plain sentence without time stamp, level and fields.
  entries LISTEN_NAME=admin >"$scratch/listening"
  same "$(field MESSAGE <"$scratch/listening")" 'admin: listening on 127.0.0.1:8006'
  same "$(field PRIORITY <"$scratch/listening")" 6
  same "$(field LISTEN_ADDR <"$scratch/listening")" 127.0.0.1:8006
  same "$(field SYSLOG_IDENTIFIER <"$scratch/listening")" cla-socketserver
}

a_reload_applies_the_configuration_and_keeps_the_process() {
  local old
  old=$(main_pid)
  same "$(origin https://chs.example)" 403
  configure 'site_hostname = ["chs.example"]'
  box systemctl reload $unit
  # systemctl returns after the reload.
  same "$(origin https://chs.example)" 200
  same "$(main_pid)" "$old"
  same "$(box systemctl is-active $unit)" active
}

a_reload_of_a_wrong_configuration_fails_and_changes_nothing() {
  local old
  old=$(main_pid)
  configure $'site_hostname = ["other.example"]\nstatsd.port = "abc"'
  if box systemctl reload $unit; then fail 'the reload succeeds'; fi
  eventually 5 error_says 'statsd.port = "abc" (file /etc/cla-socketserver/config.toml): must be a whole number from 1 to 65535'
  same "$(origin https://chs.example)" 200
  same "$(main_pid)" "$old"
  same "$(box systemctl is-active $unit)" active
}

a_sighup_sent_by_hand_is_a_reload_too() {
  local old
  old=$(main_pid)
  box systemctl kill --signal HUP $unit
  eventually 5 error_says 'configuration not reloaded, the daemon goes on with the one it has: statsd.port = "abc"'
  configure $'site_hostname = ["chs.example"]\nlog.level = "debug"'
  box kill -HUP "$old"
  eventually 5 logged 'configuration reloaded, changed: log.level'
  same "$(main_pid)" "$old"
}

a_stopped_journal_blocks_nobody() {
  local journald
  journald=$(box systemctl show --property MainPID --value systemd-journald)
  trap 'box kill -CONT "$journald"' EXIT
  box kill -STOP "$journald"
  # Each request logs a line at debug; the socket of the journal has room for some hundred lines.
  box python3 -c '
import socket
for _ in range(3000):
    with socket.create_connection(("127.0.0.1", 8005), 5) as client:
        client.settimeout(5)
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(1000)
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

the_reason_of_a_failed_start_is_logged_as_an_error() {
  configure 'limits.sessions = "many"'
  if box systemctl restart $unit; then fail 'it started'; fi
  eventually 5 error_says 'limits.sessions = "many"'
  configure ''
  eventually 10 start_limit_is_over
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

# The log of the current or last run of the daemon, as JSON: entries OPTION...
entries() {
  box journalctl --quiet --output json "_SYSTEMD_INVOCATION_ID=$(box systemctl show --property InvocationID --value $unit)" "$@"
}

# Prints a field of all entries on standard input: field NAME
field() {
  python3 -c 'import json, sys
for line in sys.stdin:
    print(json.loads(line).get(sys.argv[1]))' "$1"
}

# Searches the errors of the unit, as an operator does.
error_says() { box journalctl --quiet --unit $unit --priority err --output cat | grep -F "$1"; }

logged() { box journalctl --quiet --unit $unit --output cat | grep -F "$1"; }

listening() { entries LISTEN_NAME=public | grep .; }

gone() { ! box pgrep -x cla-socketserve; }

# Status of a handshake with this origin: origin ORIGIN
origin() {
  box curl -s -o /dev/null --max-time 5 -w '%{http_code}' -H "Origin: $1" '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  claim journal_entries_have_a_message_a_priority_and_fields
  claim a_reload_applies_the_configuration_and_keeps_the_process
  claim a_reload_of_a_wrong_configuration_fails_and_changes_nothing
  claim a_sighup_sent_by_hand_is_a_reload_too
  claim a_stopped_journal_blocks_nobody
  claim the_reason_of_a_failed_start_is_logged_as_an_error
  claim lines_in_json_have_priorities_too
  claim the_sealed_daemon_reaches_the_journal_too
done
