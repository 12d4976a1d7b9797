#!/usr/bin/env bash
# People who look at cases stay on each other's screens, whatever is done to the daemon or to nginx under them.
#
# Chromium runs on this machine, in the network of the box; everything that it asks for comes from nginx in there.
source "$(dirname "$0")/lib.bash"

the_site_of_the_example_leads_to_the_daemon() {
  install_package "$(previous_package)"
  configure "$patient"
  box systemctl restart cla-socketserver
  start_site
  box curl -fsS --max-time 5 '127.0.0.1/socket.io/?EIO=3&transport=polling'
}

two_hundred_people_look_at_fifty_cases() { office open; }

an_upgrade_makes_nobody_vanish() {
  office brace
  install_package
  same "$(box dpkg-query -W -f '${Version}' cla-socketserver)" "$(dpkg-deb --field "$(package)" Version)"
  office back
}

a_crash_makes_nobody_vanish() {
  office brace
  box kill -9 "$(main_pid)"
  office back
}

a_restart_makes_nobody_vanish() {
  office brace
  box systemctl restart cla-socketserver
  office back
}

a_restart_with_a_mistake_makes_nobody_vanish_once_it_is_mended() {
  office brace
  configure 'presence.grace_ms = "60 s"'
  if box systemctl restart cla-socketserver; then fail 'it started'; fi
  # The browsers knock, until systemd closes the sockets.
  eventually 20 box systemctl is-failed cla-socketserver.socket
  configure "$patient"
  # StartLimitIntervalSec= of the unit, in which systemd would refuse to start it.
  sleep 3
  box systemctl restart cla-socketserver
  office back
}

a_stop_and_a_start_make_nobody_vanish() {
  office brace
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  same "$(box systemctl is-active cla-socketserver || true)" inactive
  box systemctl start cla-socketserver
  office back
}

a_signal_that_ends_it_makes_nobody_vanish() {
  office brace
  # systemd does not start it again, for it ended as it was told to. The next browser that knocks does.
  box kill "$(main_pid)"
  office back
}

a_reload_cuts_nobody_off() {
  local before
  before=$(main_pid; connections_lost)
  configure "$patient"$'\nlimits.sessions = 9000'
  box systemctl reload cla-socketserver
  configure 'presence.grace_ms = "60 s"'
  if box systemctl reload cla-socketserver; then fail 'a wrong configuration was taken up'; fi
  box kill -HUP "$(main_pid)"
  office tour
  same "$(main_pid; connections_lost)" "$before"
  configure "$patient"
}

a_reload_of_nginx_that_cuts_websockets_makes_nobody_vanish() {
  office brace
  box systemctl reload nginx
  office back
}

who_closes_a_tab_is_gone_at_once() { office close; }

who_reloads_a_page_is_gone_at_once_and_back() { office reload; }

who_loads_another_case_is_gone_at_once() { office navigate; }

# Two hundred browsers that share this machine come back more slowly than those of two hundred people would.
patient='presence.grace_ms = 60000'

# How many connections have ended without a clean close since the daemon started.
connections_lost() { box curl -fsS 127.0.0.1:8006/metrics | grep '^cla_socketserver_presence_total{event="lost"}'; }

# Gives an order to office.mjs and waits until it is carried out. Says what it says.
office() {
  local line
  echo "$1" >&8
  while read -r -t 120 line <&9; do
    case $line in
      ok) return ;;
      no) fail "it did not come true: $1" ;;
      *) echo "$line" ;;
    esac
  done
  cat "$scratch/office.log" >&2
  fail 'the office is silent'
}

start_office() {
  rm -f "$scratch"/{orders,answers}
  mkfifo "$scratch/orders" "$scratch/answers"
  nsenter --target "$(cat "$box/leader")" --net node "$root/tests/package/office.mjs" \
    <"$scratch/orders" >"$scratch/answers" 2>"$scratch/office.log" 8>&- 9>&- &
  office=$!
  exec 8>"$scratch/orders" 9<"$scratch/answers"
}

# It ends by itself when nobody can give it orders any more.
tidy() {
  [[ -n ${office-} ]] || return 0
  exec 8>&-
  timeout 20 tail --pid="$office" -f /dev/null || kill "$office"
  wait "$office" || true
  exec 9<&-
  office=
}

# The site of the example, with pages at every address, and the processes of nginx as it advises, but less patient.
start_site() {
  local available=/etc/nginx/sites-available/cla-socketserver.conf
  {
    cat "$root/tests/support/chs.html"
    echo '<script>'
    cat "$root/tests/package/journal.js"
    echo '</script>'
  } >"$scratch/case.html"
  put "$scratch/case.html" /srv/office/case.html
  put "$root/tests/support/node_modules/sio1/dist/socket.io.min.js" /srv/office/socket.io.js
  echo '<!DOCTYPE html><meta charset="utf-8"><title>Hall</title><link rel="icon" href="data:,">' >"$scratch/hall.html"
  put "$scratch/hall.html" /srv/office/hall.html
  sed 's#return 404;#root /srv/office; try_files $uri /case.html;#' "$root/nginx/example.conf" >"$scratch/site"
  put "$scratch/site" "$available"
  box sh -c "ln -s $available /etc/nginx/sites-enabled/ && rm /etc/nginx/sites-enabled/default &&
    sed -i 's/worker_connections .*/worker_connections 8192;/; 1i worker_rlimit_nofile 16384; worker_shutdown_timeout 2s;' /etc/nginx/nginx.conf &&
    nginx -t && systemctl restart nginx"
}

need_modules
for suite in "${suites[@]}"; do
  open_box "$suite"
  claim the_site_of_the_example_leads_to_the_daemon
  start_office
  claim two_hundred_people_look_at_fifty_cases
  claim an_upgrade_makes_nobody_vanish
  claim a_crash_makes_nobody_vanish
  claim a_restart_makes_nobody_vanish
  claim a_restart_with_a_mistake_makes_nobody_vanish_once_it_is_mended
  claim a_stop_and_a_start_make_nobody_vanish
  claim a_signal_that_ends_it_makes_nobody_vanish
  claim a_reload_cuts_nobody_off
  claim a_reload_of_nginx_that_cuts_websockets_makes_nobody_vanish
  claim who_closes_a_tab_is_gone_at_once
  claim who_reloads_a_page_is_gone_at_once_and_back
  claim who_loads_another_case_is_gone_at_once
  tidy
done
