#!/usr/bin/env bash
# An operator installs the package on a new machine, removes it and purges it.
source "$(dirname "$0")/lib.bash"

installing_it_enables_and_starts_every_unit() {
  install_package
  local unit
  for unit in "${units[@]}"; do
    same "$unit $(box systemctl is-enabled "$unit") $(box systemctl is-active "$unit")" "$unit enabled active"
  done
  box systemctl is-active cla-socketserver-statsd.socket && fail 'the socket is active without sealed.conf'
  same "$(box systemctl is-system-running)" running
}

it_listens_on_loopback_with_room_for_every_browser_at_once() {
  # The second column is the backlog.
  same "$(box ss -Hltn 'sport = :8005 or sport = :8006' | awk '{print $4, $3}' | sort)" $'127.0.0.1:8005 4096\n127.0.0.1:8006 4096'
  local statsd
  statsd=$(box ss -Hlun 'sport = :8127')
  same "$statsd" ''
}

both_listeners_answer_and_are_not_mixed_up() {
  answers public '0{' '127.0.0.1:8005/socket.io/?EIO=4&transport=polling'
  answers admin '{"status":"ready"}' 127.0.0.1:8006/readyz
  same "$(box curl -so /dev/null -w '%{http_code}' 127.0.0.1:8005/readyz)" 404
}

it_warns_only_of_the_missing_site_hostname() {
  local complaints
  complaints=$(journal --priority warning)
  same "$(cut -d : -f 1 <<<"$complaints")" 'site_hostname is not set'
  journal | grep 'listening on 127.0.0.1:8005'
}

the_shipped_configuration_changes_nothing() {
  local effective
  effective=$(box cla-socketserver check --all)
  [[ -n $effective ]]
  if grep -v -e '# default$' -e '# from limits' -e '# ListenStream= of ' -e '# variable RUNTIME_DIRECTORY$' <<<"$effective"; then fail 'these values are not defaults'; fi
}

removing_it_stops_it_and_keeps_the_configuration() {
  box apt-get remove -qq --yes cla-socketserver
  nothing_runs
  box test -e /etc/cla-socketserver/config.toml
  local left
  left=$(box find /usr/bin /usr/share -maxdepth 1 -name cla-socketserver)
  same "$left" ''
  # Places contain names of users and cases, so the removal deletes them.
  left=$(box sh -c 'ls -Ad /run/cla-socketserver /run/private/cla-socketserver 2>/dev/null' || true)
  same "$left" ''
}

purging_it_leaves_nothing() {
  box apt-get purge -qq --yes cla-socketserver
  nothing_runs
  snapshot >"$scratch/after"
  diff -u "$scratch/before" "$scratch/after"
}

it_can_be_purged_while_it_runs() {
  install_package
  box cla-socketserver check
  purging_it_leaves_nothing
}

purging_it_deletes_persistent_places_too() {
  install_package
  echo '[Service]
StateDirectory=cla-socketserver
Environment=CLA_PRESENCE__STATE_DIR=/var/lib/cla-socketserver' >"$scratch/drop-in"
  put "$scratch/drop-in" /run/systemd/system/cla-socketserver.service.d/test.conf
  box systemctl daemon-reload
  box systemctl restart cla-socketserver
  box test -d /var/lib/private/cla-socketserver
  purging_it_leaves_nothing
}

units=(cla-socketserver.service cla-socketserver.socket cla-socketserver-admin.socket)

journal() { box journalctl --quiet --no-pager --output cat --unit 'cla-socketserver*' "$@"; }

answers() {
  local name=$1 start=$2 url=$3 answer
  answer=$(box curl -sS --max-time 5 "$url")
  [[ $answer == "$start"* ]] || fail "$name answers: $answer"
}

nothing_runs() {
  local known processes ports
  known=$(box systemctl list-units --all --plain --no-legend 'cla-socketserver*')
  same "$(grep -v not-found <<<"$known" || true)" ''
  processes=$(box ps -A -o comm=)
  same "$(grep -x cla-socketserve <<<"$processes" || true)" ''
  ports=$(box ss -Hltn 'sport = :8005 or sport = :8006')
  same "$ports" ''
}

# Lists the files that a package could leave behind, without those of dpkg, apt, systemd and the journal. Also without
# /run/private and /var/lib/private themselves, which systemd creates for all services with a dynamic user.
snapshot() {
  box find /etc /usr /var /run /root /home /opt /srv -xdev \( \
    -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /run/systemd -o -path /run/log \
    \) -prune -o -path /run/private -o -path /var/lib/private -o -print | sort
  box getent passwd
}

for suite in "${suites[@]}"; do
  open_box "$suite"
  snapshot >"$scratch/before"
  claim installing_it_enables_and_starts_every_unit
  claim it_listens_on_loopback_with_room_for_every_browser_at_once
  claim both_listeners_answer_and_are_not_mixed_up
  claim it_warns_only_of_the_missing_site_hostname
  claim the_shipped_configuration_changes_nothing
  claim removing_it_stops_it_and_keeps_the_configuration
  claim purging_it_leaves_nothing
  claim it_can_be_purged_while_it_runs
  claim purging_it_deletes_persistent_places_too
done
