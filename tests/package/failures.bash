#!/usr/bin/env bash
# The daemon is killed, hangs, or has a wrong configuration at a restart or an upgrade.
source "$(dirname "$0")/lib.bash"

a_killed_daemon_is_restarted_and_no_request_is_refused() {
  local old
  old=$(main_pid)
  box kill -KILL "$old"
  # One try is enough: the request waits in the socket, which systemd keeps open.
  answers
  replaced "$old"
  # By Restart=, not by the request.
  same "$(box systemctl show --property NRestarts --value cla-socketserver)" 1
}

a_hanging_daemon_is_aborted_and_restarted() {
  # The shipped time is checked here, and shortened for the test.
  same "$(box systemctl show --property WatchdogUSec --value cla-socketserver)" 10s
  drop_in $'[Service]\nWatchdogSec=1s'
  box systemctl restart cla-socketserver
  local old
  old=$(main_pid)
  box kill -STOP "$old"
  eventually 20 replaced "$old"
  answers
  box journalctl --quiet --no-pager --unit cla-socketserver | grep -i 'watchdog timeout'
  drop_in ''
}

a_restart_with_a_wrong_configuration_is_refused_and_the_status_says_why() {
  configure 'statsd.port = "abc"'
  if box systemctl restart cla-socketserver; then fail 'it started'; fi
  # The journal may be late.
  eventually 5 status_says 'statsd.port = "abc" (file /etc/cla-socketserver/config.toml): must be a whole number from 1 to 65535'
}

connecting_browsers_do_not_start_it_for_ever() {
  same "$(box systemctl is-active cla-socketserver || true)" failed
  # Each connection makes systemd try again, until its limit of starts.
  eventually 20 gave_up
}

after_a_correction_one_restart_starts_it_again() {
  configure ''
  # An earlier try would count against the start limit of the sockets.
  eventually 10 start_limit_is_over
  box systemctl restart cla-socketserver
  answers
  box curl -fsS --max-time 5 '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
}

an_upgrade_with_a_wrong_configuration_says_why_it_fails_and_keeps_the_daemon_running() {
  box apt-get purge -qq --yes cla-socketserver
  install_package "$(previous_package)"
  configure 'statsd.port = "abc"'
  put "$(package)" /tmp/package.deb
  refused_and_the_daemon_keeps_running 'statsd.port = "abc"'
  grep -F 'dpkg --configure cla-socketserver' "$scratch/dpkg"
}

after_a_correction_the_upgrade_can_be_finished() {
  configure ''
  finished
  answers
  same "$(box dpkg-query -W -f '${db:Status-Status}' cla-socketserver)" installed
}

an_upgrade_checks_the_variables_of_the_unit_too() {
  drop_in $'[Service]\nEnvironment="CLA_STATSD__PORT=not a port"'
  refused_and_the_daemon_keeps_running 'statsd.port = "not a port" (variable CLA_STATSD__PORT)'
  drop_in ''
  finished
}

an_upgrade_checks_environment_files_too() {
  echo 'CLA_STATSD__PORT=none' >"$scratch/variables"
  put "$scratch/variables" /etc/default/cla-socketserver
  drop_in $'[Service]\nEnvironmentFile=-/etc/default/nothing\nEnvironmentFile=/etc/default/cla-socketserver'
  refused_and_the_daemon_keeps_running 'statsd.port = "none" (variable CLA_STATSD__PORT)'
  # Without the file the service would not start.
  box rm /etc/default/cla-socketserver
  refused_and_the_daemon_keeps_running journalctl
  drop_in ''
  finished
}

an_upgrade_checks_with_the_rights_of_the_service() {
  box chmod 600 /etc/cla-socketserver/config.toml
  refused_and_the_daemon_keeps_running /etc/cla-socketserver/config.toml
  box chmod 644 /etc/cla-socketserver/config.toml
  finished
}

an_upgrade_compares_addresses_with_the_socket_units() {
  configure 'admin.listen = "10.0.1.5:8005"'
  refused_and_the_daemon_keeps_running 'cla-socketserver-admin.socket says ["127.0.0.1:8006"]'
  configure 'admin.listen = "127.0.0.1:8006"'
  finished
  configure ''
}

the_environment_of_the_upgrading_user_does_not_matter() {
  local old
  old=$(main_pid)
  box env CLA_ENV=prod dpkg --force-confold --install /tmp/package.deb
  replaced "$old"
}

an_upgrade_opens_sockets_that_were_changed_but_not_restarted() {
  local changed=/run/systemd/system/cla-socketserver-admin.socket.d/test.conf
  echo $'[Socket]\nListenStream=\nListenStream=127.0.0.1:8009' >"$scratch/socket"
  put "$scratch/socket" $changed
  box systemctl daemon-reload
  box dpkg --force-confold --install /tmp/package.deb
  box curl -fsS --max-time 10 127.0.0.1:8009/healthz
  box rm $changed
  box systemctl daemon-reload
  box systemctl restart cla-socketserver-admin.socket cla-socketserver
}

a_first_installation_with_a_wrong_configuration_says_so() {
  box apt-get remove -qq --yes cla-socketserver
  configure 'statsd.port = "abc"'
  upgrade_is_refused
  grep -F 'statsd.port = "abc"' "$scratch/dpkg"
  configure ''
  box dpkg --configure cla-socketserver
  answers
}

# `systemctl status` itself fails for a daemon that is down.
status_says() { (box systemctl status --no-pager --full cla-socketserver || true) | grep -F "$1"; }

# Not /readyz, which may answer 503 for a moment after the start.
answers() { box curl -fsS --max-time 10 127.0.0.1:8006/healthz; }

# Whether the daemon is active as another process: replaced OLD_PID
replaced() { [[ $(box systemctl is-active cla-socketserver) == active && $(main_pid) != "$1" ]]; }

# Connects, and returns whether systemd has reached a start limit.
gave_up() {
  box curl -s --max-time 1 127.0.0.1:8006/readyz || true
  [[ $(box systemctl show --property Result --value cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver) == *limit-hit* ]]
}

# Changes the unit until the next boot. An empty text undoes the change: drop_in TEXT
drop_in() {
  echo "$1" >"$scratch/drop-in"
  put "$scratch/drop-in" /run/systemd/system/cla-socketserver.service.d/test.conf
  box systemctl daemon-reload
}

# Upgrades, and checks that dpkg fails with this text and the daemon keeps running: refused_and_the_daemon_keeps_running TEXT
refused_and_the_daemon_keeps_running() {
  local old
  old=$(main_pid)
  upgrade_is_refused
  grep -F "$1" "$scratch/dpkg"
  same "$(main_pid)" "$old"
  answers
}

# Finishes the refused upgrade.
finished() {
  local old
  old=$(main_pid)
  box dpkg --configure cla-socketserver
  replaced "$old"
}

upgrade_is_refused() {
  if box dpkg --force-confold --install /tmp/package.deb >"$scratch/dpkg" 2>&1; then fail 'dpkg succeeds'; fi
  cat "$scratch/dpkg"
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  install_package >/dev/null 2>&1
  claim a_killed_daemon_is_restarted_and_no_request_is_refused
  claim a_hanging_daemon_is_aborted_and_restarted
  claim a_restart_with_a_wrong_configuration_is_refused_and_the_status_says_why
  claim connecting_browsers_do_not_start_it_for_ever
  claim after_a_correction_one_restart_starts_it_again
  claim an_upgrade_with_a_wrong_configuration_says_why_it_fails_and_keeps_the_daemon_running
  claim after_a_correction_the_upgrade_can_be_finished
  claim an_upgrade_checks_the_variables_of_the_unit_too
  claim an_upgrade_checks_environment_files_too
  claim an_upgrade_checks_with_the_rights_of_the_service
  claim an_upgrade_compares_addresses_with_the_socket_units
  claim the_environment_of_the_upgrading_user_does_not_matter
  claim an_upgrade_opens_sockets_that_were_changed_but_not_restarted
  claim a_first_installation_with_a_wrong_configuration_says_so
done
