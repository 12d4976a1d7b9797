#!/usr/bin/env bash
# The socket units define the addresses: a contradicting configuration is refused, packet filters apply, and an address may be
# added later.
source "$(dirname "$0")/lib.bash"

private=10.0.1.5
# An address of another network, from the range for documentation.
other_network=203.0.113.1

a_setting_that_contradicts_a_socket_is_refused() {
  # A drop-in as of `systemctl edit`, which the command in the refusal must override.
  drop_in cla-socketserver-admin.socket 'ListenStream=\nListenStream=127.0.0.1:8006'
  configure "admin.listen = '$private:8005'"
  if box systemctl restart cla-socketserver; then fail 'it started'; fi
  if box cla-socketserver check 2>"$scratch/refusal"; then fail 'check succeeds'; fi
  cat "$scratch/refusal"
  grep -F "admin.listen = \"$private:8005\" (file /etc/cla-socketserver/config.toml)" "$scratch/refusal"
  grep -F 'cla-socketserver-admin.socket says ["127.0.0.1:8006"]' "$scratch/refusal"
  # The check at the start cannot ask systemd; the daemon itself refuses then.
  eventually 5 logged "admin.listen = \"$private:8005\" (file /etc/cla-socketserver/config.toml)"
  same "$(box systemctl show --property ExecMainStatus --value cla-socketserver)" 78
}

the_command_in_the_refusal_corrects_the_unit() {
  box bash -c "$(sed 's/.*change the unit with: //' "$scratch/refusal")"
  same "$(listening)" "$(printf "%s\n" "$private:8005" 127.0.0.1:8005)"
  box cla-socketserver check | grep -F "admin.listen = [\"$private:8005\"]  # ListenStream= of cla-socketserver-admin.socket"
}

the_refusal_of_a_forbidden_address_does_not_advise_to_open_it() {
  local setting
  for setting in 'admin.listen = "0.0.0.0:8006"' 'admin.listen = ["127.0.0.1:8006", "8.8.8.8:8006"]' 'public.listen = "127.0.0.1:0"'; do
    configure "$setting"
    if box cla-socketserver check 2>"$scratch/refusal"; then fail 'check succeeds'; fi
    cat "$scratch/refusal"
    if grep -F -e printf -e ListenStream "$scratch/refusal"; then fail 'the refusal advises to open the address'; fi
  done
  configure ''
}

an_address_may_come_up_later_than_its_socket() {
  if box ip -brief address | grep -F "$private"; then fail 'the address exists already, so the test shows nothing'; fi
  same "$(box systemctl is-active cla-socketserver)" active
  box ip address add "$private/32" dev lo
  eventually 5 box curl -fsS --max-time 2 "$private:8005/readyz"
}

an_address_for_browsers_may_come_up_later_than_its_socket_too() {
  drop_in cla-socketserver.socket 'ListenStream=\nListenStream=10.0.1.6:8005\nIPAddressAllow=10.0.1.6'
  same "$(box systemctl is-active cla-socketserver)" active
  box ip address add 10.0.1.6/32 dev lo
  reaches 10.0.1.6 '10.0.1.6:8005/socket.io/?EIO=4&transport=polling'
  drop_in cla-socketserver.socket ''
}

other_networks_do_not_reach_the_admin_app_on_the_private_address() {
  box ip address add "$other_network/32" dev lo
  if reaches "$other_network" "$private:8005/healthz"; then fail 'another network reaches it'; fi
  reaches "$private" "$private:8005/healthz"
  drop_in cla-socketserver-admin.socket "ListenStream=\nListenStream=$private:8005\nIPAddressDeny="
  # Without the filter of the unit, the daemon itself refuses.
  box curl -sS --max-time 2 --interface "$other_network" "$private:8005/healthz" | grep -F admin.allow_from
  configure ''
  box rm /etc/systemd/system/cla-socketserver-admin.socket.d/zz-listen.conf
  drop_in cla-socketserver-admin.socket ''
}

a_public_address_for_browsers_also_needs_its_clients_allowed() {
  local polling='8005/socket.io/?EIO=4&transport=polling'
  drop_in cla-socketserver.socket "ListenStream=\nListenStream=$other_network:8005"
  if reaches "$other_network" "$other_network:$polling"; then fail 'other networks get through'; fi
  drop_in cla-socketserver.socket "ListenStream=\nListenStream=$other_network:8005\nIPAddressAllow=203.0.113.0/24"
  reaches "$other_network" "$other_network:$polling"
  drop_in cla-socketserver.socket ''
}

a_setting_that_agrees_with_its_socket_is_accepted() {
  drop_in cla-socketserver.socket 'ListenStream=\nListenStream=127.0.0.1:8007'
  # The default address of the other listener, which has another one now.
  configure 'admin.listen = "127.0.0.1:8005"'
  drop_in cla-socketserver-admin.socket 'ListenStream=\nListenStream=127.0.0.1:8005'
  box cla-socketserver check --quiet
  same "$(listening)" $'127.0.0.1:8005\n127.0.0.1:8007'
  configure ''
  drop_in cla-socketserver-admin.socket ''
  drop_in cla-socketserver.socket ''
}

a_reload_with_a_setting_that_contradicts_a_socket_is_refused() {
  local old
  old=$(main_pid)
  configure 'admin.listen = "127.0.0.1:8007"'
  if box systemctl reload cla-socketserver; then fail 'the reload succeeds'; fi
  eventually 5 logged 'change the unit with: '
  same "$(main_pid)" "$old"
  configure ''
}

without_privileges_check_uses_the_addresses_of_the_sockets_too() {
  write_drop_in cla-socketserver-admin.socket 'ListenStream=\nListenStream=127.0.0.1:8007'
  box systemctl daemon-reload
  box setpriv --reuid nobody --clear-groups cla-socketserver check >"$scratch/values" 2>"$scratch/said" || true
  cat "$scratch/values" "$scratch/said"
  grep -F 'admin.listen = ["127.0.0.1:8007"]  # ListenStream= of cla-socketserver-admin.socket' "$scratch/values"
  drop_in cla-socketserver-admin.socket ''
}

an_admin_socket_on_all_addresses_is_refused() {
  drop_in cla-socketserver-admin.socket 'ListenStream=0.0.0.0:8007' refused
  (box cla-socketserver check 2>&1 || true) | grep -F 'would open the admin app to other networks'
  same "$(box systemctl is-active cla-socketserver || true)" failed
  drop_in cla-socketserver-admin.socket ''
}

a_socket_that_was_changed_but_not_restarted_is_named() {
  write_drop_in cla-socketserver-admin.socket 'ListenStream=\nListenStream=127.0.0.1:8009'
  box systemctl daemon-reload
  if box systemctl restart cla-socketserver; then fail "it started: $(listening)"; fi
  local remedy='systemctl restart cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver'
  eventually 5 logged "$remedy"
  box sh -c "$remedy"
  same "$(listening)" $'127.0.0.1:8005\n127.0.0.1:8009'
}

restarting_a_socket_restarts_the_daemon() {
  local old
  old=$(main_pid)
  box systemctl restart cla-socketserver-admin.socket
  eventually 5 box systemctl is-active cla-socketserver
  [[ $(main_pid) != "$old" ]]
}

stopping_the_sockets_stops_the_daemon_and_a_start_starts_all() {
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket
  eventually 5 is_down
  local still
  still=$(listening)
  same "$still" ''
  box systemctl start cla-socketserver
  same "$(listening | wc -l)" 2
}

is_down() { [[ $(box systemctl is-active cla-socketserver) == inactive ]]; }

write_drop_in() {
  echo -e "[Socket]\n$2" >"$scratch/drop-in"
  put "$scratch/drop-in" "/etc/systemd/system/$1.d/override.conf"
}

# Changes a socket as an operator does. The daemon must start unless the third argument is "refused":
# drop_in UNIT TEXT [refused]
drop_in() {
  write_drop_in "$@"
  box systemctl daemon-reload
  box systemctl reset-failed 'cla-socketserver*'
  box systemctl restart "$1" cla-socketserver || [[ ${3-} == refused ]]
}

listening() { box ss -Hltn 'sport >= :8005 and sport <= :8009' | awk '{ print $4 }' | sort; }

# Whether a request from an address of the box succeeds: reaches ADDRESS URL
reaches() { box curl -fsS --max-time 2 --interface "$1" "$2"; }

logged() { box journalctl --quiet --no-pager --unit cla-socketserver --lines 10 | grep -F "$1"; }

for suite in "${suites[@]}"; do
  open_box "$suite"
  install_package >"$scratch/install" 2>&1 || fail "$(cat "$scratch/install")"
  claim a_setting_that_contradicts_a_socket_is_refused
  claim the_command_in_the_refusal_corrects_the_unit
  claim the_refusal_of_a_forbidden_address_does_not_advise_to_open_it
  claim an_address_may_come_up_later_than_its_socket
  claim an_address_for_browsers_may_come_up_later_than_its_socket_too
  claim other_networks_do_not_reach_the_admin_app_on_the_private_address
  claim a_public_address_for_browsers_also_needs_its_clients_allowed
  claim a_setting_that_agrees_with_its_socket_is_accepted
  claim a_reload_with_a_setting_that_contradicts_a_socket_is_refused
  claim without_privileges_check_uses_the_addresses_of_the_sockets_too
  claim an_admin_socket_on_all_addresses_is_refused
  claim a_socket_that_was_changed_but_not_restarted_is_named
  claim restarting_a_socket_restarts_the_daemon
  claim stopping_the_sockets_stops_the_daemon_and_a_start_starts_all
done
