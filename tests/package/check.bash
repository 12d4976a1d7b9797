#!/usr/bin/env bash
# `cla-socketserver check` predicts the start of the service: it refuses a configuration with which the service would not
# start, and warns of one with which something would not work.
source "$(dirname "$0")/lib.bash"

as_root_it_checks_as_the_service_and_says_so() {
  install_package
  configure "$site"
  check_is 0
  grep -F 'checked as the service' "$scratch/said"
  same "$(grep -c warning "$scratch/said" || true)" 0
  grep -F 'presence.state_dir = "/run/cla-socketserver"  # variable RUNTIME_DIRECTORY' "$scratch/values"
}

the_running_service_is_not_affected() {
  local old places
  old=$(main_pid)
  eventually 10 box test -e "$places_file"
  places=$(box stat --format '%u %a' "$places_file" /run/private/cla-socketserver)
  box cla-socketserver check
  same "$(main_pid)" "$old"
  same "$(box stat --format '%u %a' "$places_file" /run/private/cla-socketserver)" "$places"
  same "$(box systemctl list-units --all --plain --no-legend 'run-*.service')" ''
}

a_file_that_only_root_can_read_is_refused() {
  box chmod 600 $config
  check_is 78
  grep -F "config file $config: Permission denied" "$scratch/said"
  box chmod 644 $config
  box chmod 700 /etc/cla-socketserver
  check_is 78
  box chmod 755 /etc/cla-socketserver
}

a_variable_of_the_unit_counts() {
  drop_in 'Environment="CLA_STATSD__PORT=not a port"'
  check_is 78
  grep -F 'statsd.port = "not a port" (variable CLA_STATSD__PORT)' "$scratch/said"
  drop_in 'Environment=CLA_STATSD__PREFIX=ours'
  check_is 0
  grep -F 'statsd.prefix = "ours"  # variable CLA_STATSD__PREFIX' "$scratch/values"
}

an_environment_file_counts() {
  box sh -c 'echo CLA_STATSD__PORT=none >/etc/default/cla-socketserver'
  drop_in $'EnvironmentFile=-/etc/default/nothing\nEnvironmentFile=/etc/default/cla-socketserver'
  check_is 78
  grep -F 'statsd.port = "none" (variable CLA_STATSD__PORT)' "$scratch/said"
  box rm /etc/default/cla-socketserver
  check_is 78
  grep -F journalctl "$scratch/said"
  drop_in ''
}

the_environment_of_root_does_not_count() {
  box env CLA_STATSD__PORT=none cla-socketserver check --quiet
}

more_sessions_than_the_memory_allows_are_a_warning() {
  configure "$site"$'\nlimits.sessions = 100000\nlimits.sessions_per_address = 100000'
  drop_in LimitNOFILE=infinity
  check_is 0
  grep 'warning: limits.sessions is 100000, which takes about 2[0-9]* MiB of memory, but MemoryMax= of the unit is 512 MiB' "$scratch/said"
  drop_in $'LimitNOFILE=infinity\nMemoryMax=4G'
  check_is 0
  if grep -F MemoryMax "$scratch/said"; then fail 'a warning in spite of enough memory'; fi
  configure "$site"
  drop_in ''
}

more_sessions_than_open_files_allow_are_a_warning() {
  drop_in LimitNOFILE=1024
  check_is 0
  grep -F 'warning: limits.sessions is 10000, but 1024 open files leave room for 768 connections' "$scratch/said"
  drop_in ''
}

an_unwritable_directory_for_places_is_a_warning() {
  local directory=/srv/places
  configure "$site"$'\npresence.state_dir = "'$directory'"'
  warned_of_places
  box mkdir -p $directory
  warned_of_places
  box chmod 777 $directory
  # Still unwritable because of ProtectSystem= of the unit. The daemon logs it at its first write, after some seconds.
  warned_of_places
  eventually 10 complains_of_places
  drop_in "ReadWritePaths=$directory"
  not_warned_of_places $directory
  box chmod 755 $directory
  warned_of_places
  configure "$site"$'\npresence.state_dir = "/var/lib/cla-socketserver"'
  warned_of_places
  drop_in StateDirectory=cla-socketserver
  not_warned_of_places /var/lib/cla-socketserver
  configure "$site"
  drop_in ''
}

an_unset_site_is_a_warning() {
  configure ''
  check_is 0
  grep -F 'warning: site_hostname is not set' "$scratch/said"
  configure "$site"
}

changed_units_that_systemd_has_not_read_are_a_warning() {
  put /dev/null /run/systemd/system/cla-socketserver.service.d/unread.conf
  check_is 0
  grep -F 'warning: the units have changed since systemd read them: systemctl daemon-reload' "$scratch/said"
  box rm /run/systemd/system/cla-socketserver.service.d/unread.conf
  box systemctl daemon-reload
}

it_prints_operator_keys_and_changed_keys_and_all_with_a_flag() {
  configure "$site"$'\nlimits.inbox = 5000\ndrain.spread_ms = 1'
  check_is 0
  grep -F 'drain.spread_ms = 1  # file' "$scratch/values"
  grep -F 'log.level = "info"  # default' "$scratch/values"
  if grep -F limits.queued_bytes "$scratch/values"; then fail 'a tuning key with its default is printed'; fi
  grep -F "note: limits.inbox (file $config) need not be set" "$scratch/said"
  box cla-socketserver check --all | grep -F 'limits.queued_bytes = 262144  # default'
  configure "$site"
}

quiet_prints_only_mistakes() {
  configure ''
  same "$(box cla-socketserver check --quiet 2>&1)" ''
  configure 'statsd.port = "abc"'
  same "$(box cla-socketserver check --quiet 2>&1 || true)" \
    "statsd.port = \"abc\" (file $config): must be a whole number from 1 to 65535"
  configure "$site"
}

with_flags_it_checks_as_the_current_user() {
  box sh -c "umask 077 && mkdir -p /root/draft && cp $config /root/draft/config.toml"
  box cla-socketserver check --config /root/draft/config.toml 2>"$scratch/said"
  grep -F 'checked as the current user' "$scratch/said"
}

without_privileges_it_checks_as_the_current_user_and_says_so() {
  box setpriv --reuid 12345 --clear-groups cla-socketserver check 2>"$scratch/said"
  grep -F 'checked as the current user; as root' "$scratch/said"
}

a_start_logs_each_warning_once() {
  box journalctl --quiet --rotate --vacuum-time=1s >/dev/null 2>&1 || true
  configure ''
  box systemctl restart cla-socketserver
  same "$(box journalctl --quiet --no-pager --boot --output cat --unit cla-socketserver --since '-5 s' | grep -c 'site_hostname is not set')" 1
  configure "$site"
}

site='site_hostname = ["chs.example.org"]'
config=/etc/cla-socketserver/config.toml
places_file=/run/cla-socketserver/places.json

# Checks the exit code of `check`, and that the service starts if it is 0 and fails if it is 78: check_is STATUS
check_is() {
  local status=0 started=0
  box cla-socketserver check >"$scratch/values" 2>"$scratch/said" || status=$?
  cat "$scratch/said"
  same "$status" "$1"
  box systemctl reset-failed 'cla-socketserver*'
  if ! box systemctl restart cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver; then started=78; fi
  same "$started" "$1"
}

warned_of_places() {
  check_is 0
  grep 'warning: presence.state_dir is .*, where the daemon cannot write' "$scratch/said"
}

not_warned_of_places() {
  check_is 0
  same "$(grep -F presence.state_dir "$scratch/said" || true)" ''
  eventually 10 box test -e "$1/places.json"
}

# Whether the running daemon has logged that it cannot write places.
complains_of_places() {
  box journalctl --quiet --no-pager "_PID=$(main_pid)" | grep -F 'cannot keep places'
}

# Changes the service until the next boot. An empty text undoes the change: drop_in TEXT
drop_in() {
  echo $'[Service]\n'"$1" >"$scratch/drop-in"
  put "$scratch/drop-in" /run/systemd/system/cla-socketserver.service.d/test.conf
  box systemctl daemon-reload
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  claim as_root_it_checks_as_the_service_and_says_so
  claim the_running_service_is_not_affected
  claim a_file_that_only_root_can_read_is_refused
  claim a_variable_of_the_unit_counts
  claim an_environment_file_counts
  claim the_environment_of_root_does_not_count
  claim more_sessions_than_the_memory_allows_are_a_warning
  claim more_sessions_than_open_files_allow_are_a_warning
  claim an_unwritable_directory_for_places_is_a_warning
  claim an_unset_site_is_a_warning
  claim changed_units_that_systemd_has_not_read_are_a_warning
  claim it_prints_operator_keys_and_changed_keys_and_all_with_a_flag
  claim quiet_prints_only_mistakes
  claim with_flags_it_checks_as_the_current_user
  claim without_privileges_it_checks_as_the_current_user_and_says_so
  claim a_start_logs_each_warning_once
done
