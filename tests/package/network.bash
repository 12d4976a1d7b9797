#!/usr/bin/env bash
# Machines of the private network reach what the operator opened to them, on the addresses it was opened on, and nothing else.
#
# The box gets a cable to two machines, which are network namespaces of their own:
#
#   backend  10.0.1.9, 100.64.1.9, 11.0.1.9, fd00:1::9
#   nginx    10.0.1.10               the box is 10.0.1.5 and 10.0.1.6 to them, 100.64.1.5, 11.0.1.5, and fd00:1::5
source "$(dirname "$0")/lib.bash"

as_installed_nothing_answers_from_outside() {
  install_package
  local address
  for address in 10.0.1.5 10.0.1.6 '[fd00:1::5]'; do
    refused backend "$address:8005"
    refused backend "$address:8006"
  done
  # The cable is not what keeps them apart: without the units' own address, somebody does answer.
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

browsers_still_come_over_loopback_only_and_the_two_never_mix() {
  status_is 200 box '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
  status_is 404 box 127.0.0.1:8005/admin/peopleMap/
  status_is 404 backend '10.0.1.5:8005/socket.io/?EIO=4&transport=polling'
}

the_admin_app_answers_to_its_address_and_to_no_name_that_it_does_not_know() {
  status_is 421 backend 10.0.1.5:8005/admin/peopleMap/ --header 'Host: chs.example.org'
  status_is 421 backend 10.0.1.5:8005/admin/peopleMap/ --header 'Host: 10.0.1.5.example.org:8005'
}

a_secondary_network_of_a_vpc_is_private_too() {
  drop_in cla-socketserver-admin.socket $'ListenStream=\nListenStream=100.64.1.5:8005'
  status_is 200 backend 100.64.1.5:8005/admin/peopleMap/
  drop_in cla-socketserver-admin.socket ''
}

a_network_is_private_once_the_operator_names_it() {
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

browsers_are_let_in_from_nginx_on_another_machine_and_from_no_other() {
  drop_in cla-socketserver.socket 'ListenStream=
ListenStream=10.0.1.5:8006
IPAddressAllow=10.0.1.10'
  local handshake='10.0.1.5:8006/socket.io/?EIO=4&transport=polling'
  status_is 200 nginx "$handshake"
  unheard backend "$handshake"
  # It is the filter that keeps the other out.
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

# Asks from a machine: status_is STATUS NAME URL OPTION...
status_is() { same "$(from "$2" curl -gsS --max-time 5 -o /dev/null -w '%{http_code}' "${@:4}" "$3")" "$1"; }

# Nobody listens there, and the kernel says so.
refused() { fails_with 7 "$@"; }

# Somebody listens there, and what is sent vanishes.
unheard() { fails_with 28 "$@"; }

fails_with() {
  local status=0
  from "$2" curl -gsS --max-time 2 -o /dev/null "$3" || status=$?
  [[ $status == "$1" ]] || fail "curl from $2 to $3 ended with $status instead of $1"
}

# Changes a socket unit the way that its comments say.
drop_in() {
  echo "[Socket]
$2" >"$scratch/drop-in"
  put "$scratch/drop-in" "/etc/systemd/system/$1.d/override.conf"
  box systemctl daemon-reload
  # More restarts come together here than systemd allows a socket within ten seconds.
  box systemctl reset-failed 'cla-socketserver*'
  box systemctl restart "$1"
  box systemctl start cla-socketserver.service
}

# A bridge in a namespace of its own, and a cable from it to the box and to each machine. The machine this runs on is
# not connected, and its own network is not touched.
lay_cables() {
  local leader name
  leader=$(cat "$box/leader")
  ip netns add "switch.$$"
  ip -n "switch.$$" link add bridge up type bridge
  for name in backend nginx; do
    ip netns add "$name.$$"
    ip -n "switch.$$" link add "to-$name" type veth peer name cable netns "$name.$$"
  done
  ip -n "switch.$$" link add to-box type veth peer name cable netns "$leader"
  for name in backend nginx box; do ip -n "switch.$$" link set "to-$name" master bridge up; done
  for name in backend nginx box; do from "$name" ip link set cable up; done
  from box ip address add 10.0.1.5/24 dev cable
  from box ip address add 10.0.1.6/24 dev cable
  from box ip address add 100.64.1.5/24 dev cable
  from box ip address add 11.0.1.5/24 dev cable
  from box ip address add fd00:1::5/64 dev cable nodad
  from backend ip address add 10.0.1.9/24 dev cable
  from backend ip address add 100.64.1.9/24 dev cable
  from backend ip address add 11.0.1.9/24 dev cable
  from backend ip address add fd00:1::9/64 dev cable nodad
  from nginx ip address add 10.0.1.10/24 dev cable
}

tidy() {
  local name
  for name in switch backend nginx; do ip netns delete "$name.$$" 2>/dev/null || true; done
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  tidy
  lay_cables
  claim as_installed_nothing_answers_from_outside
  claim the_admin_app_answers_on_the_private_address_and_no_other
  claim the_back_end_sends_a_notification
  claim browsers_still_come_over_loopback_only_and_the_two_never_mix
  claim the_admin_app_answers_to_its_address_and_to_no_name_that_it_does_not_know
  claim a_secondary_network_of_a_vpc_is_private_too
  claim a_network_is_private_once_the_operator_names_it
  claim a_public_address_for_the_admin_app_is_refused
  claim browsers_are_let_in_from_nginx_on_another_machine_and_from_no_other
done
