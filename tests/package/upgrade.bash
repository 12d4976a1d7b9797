#!/usr/bin/env bash
# An operator has changed the configuration and upgrades while browsers are connected.
source "$(dirname "$0")/lib.bash"

an_upgrade_under_load_succeeds() {
  install_package "$(previous_package)"
  box sed -i 's/^#statsd.prefix = .*/statsd.prefix = "ours."/' "$config"
  box systemctl restart cla-socketserver
  box cat "$config" >"$scratch/edited"
  opened >"$scratch/opened"
  main_pid >"$scratch/pid"
  put_clients
  start_load
  install_package
  end_load
}

every_short_request_was_answered() {
  cat "$scratch/load"
  local count refused
  read -r count refused < <(sed -n 's/^requests \([0-9]*\), refused \([0-9]*\),.*/\1 \2/p' "$scratch/load")
  ((count >= 300)) || fail "only $count requests, too few to show anything"
  same "$refused" 0
}

every_browser_was_back_on_its_case_at_its_first_try() {
  cat "$scratch/load"
  same "$(grep -c '^browser ' "$scratch/load")" 6
  same "$(grep '^browser ' "$scratch/load" | grep -v ': back after 1 tries$' || true)" ''
}

the_sockets_stayed_open_throughout() { same "$(opened)" "$(cat "$scratch/opened")"; }

the_new_version_is_the_one_that_runs() {
  [[ $(main_pid) != "$(cat "$scratch/pid")" ]]
  same "$(box dpkg-query -W -f '${Version}' cla-socketserver)" "$(dpkg-deb --field "$(package)" Version)"
  # The link of an old process would end with "(deleted)".
  same "$(box readlink "/proc/$(main_pid)/exe")" /usr/bin/cla-socketserver
}

an_edited_configuration_is_kept_and_used() {
  same "$(box cat "$config")" "$(cat "$scratch/edited")"
  box cla-socketserver check | grep 'statsd.prefix = "ours."'
}

new_defaults_do_not_replace_an_edited_configuration() {
  box apt-get purge -qq --yes cla-socketserver
  install_package "$(previous_package '# as it once was')"
  echo 'log.level = "debug"' >"$scratch/edited"
  put "$scratch/edited" "$config"
  put "$(package)" /tmp/package.deb
  # The options of unattended upgrades for dpkg's question.
  box dpkg --force-confdef --force-confold --install /tmp/package.deb
  same "$(box cat "$config")" 'log.level = "debug"'
  box grep -q '^#statsd.prefix' "$config.dpkg-dist"
  answers
}

a_service_that_the_operator_has_disabled_is_not_started() {
  box systemctl disable --now "${units[@]}"
  box dpkg --force-confold --install /tmp/package.deb
  same "$(box systemctl is-active "${units[@]}" || true)" $'inactive\ninactive\ninactive'
  same "$(box systemctl is-enabled "${units[@]}" || true)" $'disabled\ndisabled\ndisabled'
}

config=/etc/cla-socketserver/config.toml
units=(cla-socketserver.service cla-socketserver.socket cla-socketserver-admin.socket)

# The times at which systemd opened the sockets.
opened() { box systemctl show --property Id,ActiveEnterTimestampMonotonic "${units[@]:1}"; }

answers() { box curl -fsS --max-time 5 127.0.0.1:8006/readyz; }

for suite in "${suites[@]}"; do
  open_box "$suite"
  # Without the results of the previous suite.
  rm -f "$scratch"/{load,opened,pid,edited}
  claim an_upgrade_under_load_succeeds
  claim every_short_request_was_answered
  claim every_browser_was_back_on_its_case_at_its_first_try
  claim the_sockets_stayed_open_throughout
  claim the_new_version_is_the_one_that_runs
  claim an_edited_configuration_is_kept_and_used
  claim new_defaults_do_not_replace_an_edited_configuration
  claim a_service_that_the_operator_has_disabled_is_not_started
done
