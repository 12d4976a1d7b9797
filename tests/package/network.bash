#!/usr/bin/env bash
# Machines of the private network reach only the addresses that the operator has opened to them.
#
# A virtual network connects the box with two machines, which are network namespaces:
#
#   backend  10.0.1.9, 100.64.1.9, 11.0.1.9, fd00:1::9
#   nginx    10.0.1.10               the box has 10.0.1.5, 10.0.1.6, 100.64.1.5, 11.0.1.5 and fd00:1::5
source "$(dirname "$0")/lib.bash"

as_installed_no_port_is_reachable_from_outside() {
  install_package
  local address
  for address in 10.0.1.5 10.0.1.6 '[fd00:1::5]'; do
    refused backend "$address:8005"
    refused backend "$address:8006"
  done
  # The network itself works: another service on a public address of the box is reachable.
  box systemd-run --quiet --unit=other socat TCP-LISTEN:8007,fork,reuseaddr SYSTEM:'echo HTTP/1.0 204; echo'
  eventually 5 status_is 204 backend 10.0.1.5:8007/
  box systemctl stop other
}

the_admin_app_answers_on_the_private_address_and_no_other() {
  drop_in cla-socketserver-admin.socket 'ListenStream=
ListenStream=10.0.1.5:8005
ListenStream=[fd00:1::5]:8005
ListenStream=127.0.0.1:8006'
  status_is 200 backend 10.0.1.5:8005/admin/peopleMap/
  status_is 200 backend '[fd00:1::5]:8005/admin/peopleMap/'
  refused backend 10.0.1.6:8005
  refused backend 10.0.1.5:8006
  status_is 200 box 127.0.0.1:8006/admin/peopleMap/
}

the_back_end_sends_a_notification() {
  same "$(from backend curl -sS --max-time 5 --header 'Content-Type: application/json' --data '{"notifications": []}' 10.0.1.5:8005/admin/notifications/)" \
    '{"success":true,"activeTab":"notifications","usertype":"operator","reached":0,"kept":0,"warnings":["nobody of user type operator is connected or lost, so nobody gets this"]}'
}

browsers_connect_over_loopback_only_and_the_listeners_never_mix() {
  status_is 200 box '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
  status_is 404 box 127.0.0.1:8005/admin/peopleMap/
  status_is 404 backend '10.0.1.5:8005/socket.io/?EIO=4&transport=polling'
}

the_admin_app_refuses_unknown_host_names() {
  status_is 421 backend 10.0.1.5:8005/admin/peopleMap/ --header 'Host: chs.example.org'
  status_is 421 backend 10.0.1.5:8005/admin/peopleMap/ --header 'Host: 10.0.1.5.example.org:8005'
}

a_secondary_network_of_a_vpc_is_private_too() {
  drop_in cla-socketserver-admin.socket $'ListenStream=\nListenStream=100.64.1.5:8005'
  status_is 200 backend 100.64.1.5:8005/admin/peopleMap/
  drop_in cla-socketserver-admin.socket ''
}

a_public_network_is_allowed_once_the_operator_names_it() {
  configure 'admin.allow_from = ["127.0.0.0/8", "11.0.1.0/24"]'
  drop_in cla-socketserver-admin.socket $'ListenStream=\nListenStream=11.0.1.5:8005\nIPAddressAllow=11.0.1.0/24'
  status_is 200 backend 11.0.1.5:8005/admin/peopleMap/
  configure ''
  drop_in cla-socketserver-admin.socket ''
}

a_public_address_for_the_admin_app_is_refused() {
  if drop_in cla-socketserver-admin.socket $'ListenStream=\nListenStream=203.0.113.5:8005'; then fail 'it started'; fi
  box journalctl --quiet --no-pager --unit cla-socketserver | grep -F 203.0.113.5:8005
  drop_in cla-socketserver-admin.socket ''
}

browsers_connect_through_nginx_on_another_machine_and_from_no_other() {
  drop_in cla-socketserver.socket 'ListenStream=
ListenStream=10.0.1.5:8006
IPAddressAllow=10.0.1.10'
  local handshake='10.0.1.5:8006/socket.io/?EIO=4&transport=polling'
  status_is 200 nginx "$handshake"
  dropped backend "$handshake"
  # With a wider filter the other machine gets through, so it was the filter that dropped its packets.
  drop_in cla-socketserver.socket 'ListenStream=
ListenStream=10.0.1.5:8006
IPAddressAllow=10.0.1.0/24'
  status_is 200 backend "$handshake"
}

# Runs a command on a machine: from NAME COMMAND...
from() {
  local name=$1
  shift
  case $name in
    box) box "$@" ;;
    *) ip netns exec "$name.$$" "$@" ;;
  esac
}

# Checks the status of a request from a machine: status_is STATUS NAME URL OPTION...
status_is() { same "$(from "$2" curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' "${@:4}" "$3")" "$1"; }

# Checks that the kernel refuses a connection, because nothing listens: refused NAME URL
refused() { fails_with 7 "$@"; }

# Checks that the packet filter drops a connection: dropped NAME URL
dropped() { fails_with 28 "$@"; }

fails_with() {
  local status=0
  from "$2" curl -gsS --max-time 2 -o /dev/null "$3" || status=$?
  [[ $status == "$1" ]] || fail "curl from $2 to $3 ended with $status instead of $1"
}

# Changes a socket unit in the way that its comments describe: drop_in UNIT TEXT
drop_in() {
  echo "[Socket]
$2" >"$scratch/drop-in"
  put "$scratch/drop-in" "/etc/systemd/system/$1.d/override.conf"
  box systemctl daemon-reload
  # These tests restart a socket more often than its start limit allows.
  box systemctl reset-failed 'cla-socketserver*'
  box systemctl restart "$1"
  box systemctl start cla-socketserver.service
}

# Creates a bridge in its own namespace, and a virtual link from it to the box and to each machine. The network of this
# machine is not connected and not changed.
connect_machines() {
  local leader name
  leader=$(cat "$box/leader")
  ip netns add "switch.$$"
  ip -n "switch.$$" link add bridge up type bridge
  for name in backend nginx; do
    ip netns add "$name.$$"
    ip -n "switch.$$" link add "to-$name" type veth peer name veth netns "$name.$$"
  done
  ip -n "switch.$$" link add to-box type veth peer name veth netns "$leader"
  for name in backend nginx box; do ip -n "switch.$$" link set "to-$name" master bridge up; done
  for name in backend nginx box; do from "$name" ip link set veth up; done
  from box ip address add 10.0.1.5/24 dev veth
  from box ip address add 10.0.1.6/24 dev veth
  from box ip address add 100.64.1.5/24 dev veth
  from box ip address add 11.0.1.5/24 dev veth
  from box ip address add fd00:1::5/64 dev veth nodad
  from backend ip address add 10.0.1.9/24 dev veth
  from backend ip address add 100.64.1.9/24 dev veth
  from backend ip address add 11.0.1.9/24 dev veth
  from backend ip address add fd00:1::9/64 dev veth nodad
  from nginx ip address add 10.0.1.10/24 dev veth
}

tidy() {
  local name
  for name in switch backend nginx; do ip netns delete "$name.$$" 2>/dev/null || true; done
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  tidy
  connect_machines
  claim as_installed_no_port_is_reachable_from_outside
  claim the_admin_app_answers_on_the_private_address_and_no_other
  claim the_back_end_sends_a_notification
  claim browsers_connect_over_loopback_only_and_the_listeners_never_mix
  claim the_admin_app_refuses_unknown_host_names
  claim a_secondary_network_of_a_vpc_is_private_too
  claim a_public_network_is_allowed_once_the_operator_names_it
  claim a_public_address_for_the_admin_app_is_refused
  claim browsers_connect_through_nginx_on_another_machine_and_from_no_other
done
