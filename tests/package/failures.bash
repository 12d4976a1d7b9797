#!/usr/bin/env bash
# The daemon is killed, hangs, meets a wrong configuration: by itself, at a restart, in an upgrade.
source "$(dirname "$0")/lib.bash"

a_killed_daemon_is_back_and_refuses_nobody_meanwhile() {
  local old
  old=$(main_pid)
  box kill -KILL "$old"
  # No second try: the request waits in the socket that systemd holds.
  answers
  replaced "$old"
  # By itself, not because of that request.
  same "$(box systemctl show --property NRestarts --value cla-socketserver)" 1
}

a_daemon_that_hangs_is_aborted_and_back() {
  # A test need not wait for the shipped time.
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
  # The journal may need a moment.
  eventually 5 status_says 'statsd.port = "abc" (file /etc/cla-socketserver/config.toml): must be a whole number from 1 to 65535'
}

browsers_that_knock_do_not_start_it_for_ever() {
  same "$(box systemctl is-active cla-socketserver || true)" failed
  # Each connection makes systemd try once more, until it gives up.
  eventually 20 gave_up
}

once_the_configuration_is_right_a_restart_is_all_it_takes() {
  configure ''
  # StartLimitIntervalSec= of the unit. To try meanwhile would count against the limit of the sockets.
  sleep 3
  box systemctl restart cla-socketserver
  answers
  box curl -fsS --max-time 5 '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
}

an_upgrade_with_a_wrong_configuration_fails_in_clear_words_and_leaves_the_daemon_alone() {
  box apt-get purge -qq --yes cla-socketserver
  install_package "$(previous_package)"
  configure 'statsd.port = "abc"'
  put "$(package)" /tmp/package.deb
  refused_with_the_daemon_left_alone 'statsd.port = "abc"'
  grep -F 'dpkg --configure cla-socketserver' "$scratch/dpkg"
}

the_upgrade_is_finished_once_the_configuration_is_right() {
  configure ''
  finished
  answers
  same "$(box dpkg-query -W -f '${db:Status-Status}' cla-socketserver)" installed
}

an_upgrade_judges_the_variables_of_the_unit_too() {
  drop_in $'[Service]\nEnvironment="CLA_STATSD__PORT=not a port"'
  refused_with_the_daemon_left_alone 'statsd.port = "not a port" (variable CLA_STATSD__PORT)'
  drop_in ''
  finished
}

an_upgrade_judges_files_of_variables_too() {
  echo 'CLA_STATSD__PORT=none' >"$scratch/variables"
  put "$scratch/variables" /etc/default/cla-socketserver
  drop_in $'[Service]\nEnvironmentFile=-/etc/default/nothing\nEnvironmentFile=/etc/default/cla-socketserver'
  refused_with_the_daemon_left_alone 'statsd.port = "none" (variable CLA_STATSD__PORT)'
  # Without the file the service would not start.
  box rm /etc/default/cla-socketserver
  refused_with_the_daemon_left_alone journalctl
  drop_in ''
  finished
}

an_upgrade_judges_as_a_user_who_may_not_read_everything() {
  box chmod 600 /etc/cla-socketserver/config.toml
  refused_with_the_daemon_left_alone /etc/cla-socketserver/config.toml
  box chmod 644 /etc/cla-socketserver/config.toml
  finished
}

an_upgrade_judges_addresses_by_the_socket_units() {
  configure 'admin.listen = "10.0.1.5:8005"'
  refused_with_the_daemon_left_alone 'cla-socketserver-admin.socket says ["127.0.0.1:8006"]'
  configure 'admin.listen = "127.0.0.1:8006"'
  finished
  configure ''
}

what_whoever_upgrades_has_in_their_environment_does_not_matter() {
  local old
  old=$(main_pid)
  box env CLA_ENV=prod dpkg --force-confold --install /tmp/package.deb
  replaced "$old"
}

an_upgrade_takes_up_sockets_that_were_changed_and_not_restarted() {
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

a_first_installation_beside_a_wrong_configuration_says_so() {
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

# Not readiness, which a daemon may deny for a moment after it has begun to answer.
answers() { box curl -fsS --max-time 10 127.0.0.1:8006/healthz; }

# Another process has taken the place of that one, and is up.
replaced() { [[ $(box systemctl is-active cla-socketserver) == active && $(main_pid) != "$1" ]]; }

# Knocks, and says whether systemd has given up on the daemon.
gave_up() {
  box curl -s --max-time 1 127.0.0.1:8006/readyz || true
  [[ $(box systemctl show --property Result --value cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver) == *limit-hit* ]]
}

# Changes the unit until the next boot; an empty text takes the change back.
drop_in() {
  echo "$1" >"$scratch/drop-in"
  put "$scratch/drop-in" /run/systemd/system/cla-socketserver.service.d/test.conf
  box systemctl daemon-reload
}

# The reason is what dpkg shows.
refused_with_the_daemon_left_alone() {
  local old
  old=$(main_pid)
  upgrade_is_refused
  grep -F "$1" "$scratch/dpkg"
  same "$(main_pid)" "$old"
  answers
}

# The upgrade that was refused.
finished() {
  local old
  old=$(main_pid)
  box dpkg --configure cla-socketserver
  replaced "$old"
}

upgrade_is_refused() {
  if box dpkg --force-confold --install /tmp/package.deb >"$scratch/dpkg" 2>&1; then fail 'dpkg is content'; fi
  cat "$scratch/dpkg"
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  install_package >/dev/null 2>&1
  claim a_killed_daemon_is_back_and_refuses_nobody_meanwhile
  claim a_daemon_that_hangs_is_aborted_and_back
  claim a_restart_with_a_wrong_configuration_is_refused_and_the_status_says_why
  claim browsers_that_knock_do_not_start_it_for_ever
  claim once_the_configuration_is_right_a_restart_is_all_it_takes
  claim an_upgrade_with_a_wrong_configuration_fails_in_clear_words_and_leaves_the_daemon_alone
  claim the_upgrade_is_finished_once_the_configuration_is_right
  claim an_upgrade_judges_the_variables_of_the_unit_too
  claim an_upgrade_judges_files_of_variables_too
  claim an_upgrade_judges_as_a_user_who_may_not_read_everything
  claim an_upgrade_judges_addresses_by_the_socket_units
  claim what_whoever_upgrades_has_in_their_environment_does_not_matter
  claim an_upgrade_takes_up_sockets_that_were_changed_and_not_restarted
  claim a_first_installation_beside_a_wrong_configuration_says_so
done
