#!/usr/bin/env bash
# An operator has changed the configuration and upgrades while people work.
source "$(dirname "$0")/lib.bash"

an_upgrade_in_the_middle_of_the_work_succeeds() {
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
  ((count >= 300)) || fail "only $count requests, that shows nothing"
  same "$refused" 0
}

every_browser_was_back_on_its_case_within_its_first_try() {
  cat "$scratch/load"
  same "$(grep -c '^browser ' "$scratch/load")" 6
  same "$(grep '^browser ' "$scratch/load" | grep -v ': back after 1 tries$' || true)" ''
}

the_sockets_stayed_open_throughout() { same "$(opened)" "$(cat "$scratch/opened")"; }

the_new_version_is_the_one_that_runs() {
  [[ $(main_pid) != "$(cat "$scratch/pid")" ]]
  same "$(box dpkg-query -W -f '${Version}' cla-socketserver)" "$(dpkg-deb --field "$(package)" Version)"
  # A daemon whose program was replaced under it would show as deleted.
  same "$(box readlink "/proc/$(main_pid)/exe")" /usr/bin/cla-socketserver
}

an_edited_configuration_stays_and_is_in_force() {
  same "$(box cat "$config")" "$(cat "$scratch/edited")"
  box cla-socketserver check | grep 'statsd.prefix = "ours."'
}

an_edit_outlives_new_defaults_which_are_laid_beside_it() {
  box apt-get purge -qq --yes cla-socketserver
  install_package "$(previous_package '# as it once was')"
  echo 'log.level = "debug"' >"$scratch/edited"
  put "$scratch/edited" "$config"
  put "$(package)" /tmp/package.deb
  # What unattended upgrades answer to dpkg's question.
  box dpkg --force-confdef --force-confold --install /tmp/package.deb
  same "$(box cat "$config")" 'log.level = "debug"'
  box grep -q '^#statsd.prefix' "$config.dpkg-dist"
  answers
}

a_service_that_the_operator_disabled_stays_down() {
  box systemctl disable --now "${units[@]}"
  box dpkg --force-confold --install /tmp/package.deb
  same "$(box systemctl is-active "${units[@]}" || true)" $'inactive\ninactive\ninactive'
  same "$(box systemctl is-enabled "${units[@]}" || true)" $'disabled\ndisabled\ndisabled'
}

config=/etc/cla-socketserver/config.toml
units=(cla-socketserver.service cla-socketserver.socket cla-socketserver-admin.socket)

# When systemd opened the sockets.
opened() { box systemctl show --property Id,ActiveEnterTimestampMonotonic "${units[@]:1}"; }

answers() { box curl -fsS --max-time 5 127.0.0.1:8006/readyz; }

for suite in "${suites[@]}"; do
  open_box "$suite"
  # What is known of the suite before must not be taken for what happens in this one.
  rm -f "$scratch"/{load,opened,pid,edited}
  claim an_upgrade_in_the_middle_of_the_work_succeeds
  claim every_short_request_was_answered
  claim every_browser_was_back_on_its_case_within_its_first_try
  claim the_sockets_stayed_open_throughout
  claim the_new_version_is_the_one_that_runs
  claim an_edited_configuration_stays_and_is_in_force
  claim an_edit_outlives_new_defaults_which_are_laid_beside_it
  claim a_service_that_the_operator_disabled_stays_down
done
