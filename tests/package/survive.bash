#!/usr/bin/env bash
# Users stay on each other's screens through restarts, crashes and upgrades of the daemon and reloads of nginx.
#
# Chromium runs on this machine, in the network namespace of the box. It loads all pages from nginx in the box.
source "$(dirname "$0")/lib.bash"

the_example_site_reaches_the_daemon() {
  install_package "$(previous_package)"
  configure "$long_grace"
  box systemctl restart cla-socketserver
  start_site
  box curl -fsS --max-time 5 '127.0.0.1/socket.io/?EIO=3&transport=polling'
}

two_hundred_users_view_fifty_cases() { office open; }

an_upgrade_makes_nobody_vanish() {
  office prepare
  install_package
  same "$(box dpkg-query -W -f '${Version}' cla-socketserver)" "$(dpkg-deb --field "$(package)" Version)"
  office recover
}

a_crash_makes_nobody_vanish() {
  office prepare
  box kill -9 "$(main_pid)"
  office recover
}

a_restart_makes_nobody_vanish() {
  office prepare
  box systemctl restart cla-socketserver
  office recover
}

a_restart_with_a_mistake_makes_nobody_vanish_once_it_is_corrected() {
  office prepare
  configure 'presence.grace_ms = "60 s"'
  if box systemctl restart cla-socketserver; then fail 'it started'; fi
  # The browsers try to connect until systemd closes the sockets.
  eventually 20 box systemctl is-failed cla-socketserver.socket
  configure "$long_grace"
  eventually 10 start_limit_is_over
  box systemctl restart cla-socketserver
  office recover
}

a_stop_and_a_start_make_nobody_vanish() {
  office prepare
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  same "$(box systemctl is-active cla-socketserver || true)" inactive
  box systemctl start cla-socketserver
  office recover
}

a_signal_that_ends_it_makes_nobody_vanish() {
  office prepare
  # After SIGTERM systemd does not restart the daemon. The next connection to its socket does.
  box kill "$(main_pid)"
  office recover
}

a_reload_cuts_nobody_off() {
  local before
  before=$(main_pid; connections_lost)
  configure "$long_grace"$'\nlimits.sessions = 9000'
  box systemctl reload cla-socketserver
  configure 'presence.grace_ms = "60 s"'
  if box systemctl reload cla-socketserver; then fail 'the reload accepts a wrong configuration'; fi
  box kill -HUP "$(main_pid)"
  office tour
  same "$(main_pid; connections_lost)" "$before"
  configure "$long_grace"
}

a_reload_of_nginx_that_cuts_websockets_makes_nobody_vanish() {
  office prepare
  box systemctl reload nginx
  office recover
}

who_closes_a_tab_is_gone_at_once() { office close; }

who_reloads_a_page_is_gone_at_once_and_back() { office reload; }

who_loads_another_case_is_gone_at_once() { office navigate; }

# A longer grace, because two hundred browsers on one machine reconnect more slowly than on two hundred machines.
long_grace='presence.grace_ms = 60000'

# Number of connections lost since the start of the daemon.
connections_lost() { box curl -fsS 127.0.0.1:8006/metrics | grep '^cla_socketserver_presence_total{event="lost"}'; }

# Sends an order to office.mjs, prints its answer, and fails if the answer ends with `no`.
office() {
  local line
  echo "$1" >&8
  while read -r -t 120 line <&9; do
    case $line in
      ok) return ;;
      no) fail "the order failed: $1" ;;
      *) echo "$line" ;;
    esac
  done
  cat "$scratch/office.log" >&2
  fail 'office.mjs does not answer'
}

start_office() {
  rm -f "$scratch"/{orders,answers}
  mkfifo "$scratch/orders" "$scratch/answers"
  nsenter --target "$(cat "$box/leader")" --net node "$root/tests/package/office.mjs" \
    <"$scratch/orders" >"$scratch/answers" 2>"$scratch/office.log" 8>&- 9>&- &
  office=$!
  exec 8>"$scratch/orders" 9<"$scratch/answers"
}

# office.mjs ends at the end of its standard input.
tidy() {
  [[ -n ${office-} ]] || return 0
  exec 8>&-
  timeout 20 tail --pid="$office" -f /dev/null || kill "$office"
  wait "$office" || true
  exec 9<&-
  office=
}

# The example site with the case page at every path, and with the worker settings that it advises, except a shorter
# worker_shutdown_timeout.
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
  echo '<!DOCTYPE html><meta charset="utf-8"><title>Frames</title><link rel="icon" href="data:,">' >"$scratch/frames.html"
  put "$scratch/frames.html" /srv/office/frames.html
  sed 's#return 404;#root /srv/office; try_files $uri /case.html;#' "$root/nginx/example.conf" >"$scratch/site"
  put "$scratch/site" "$available"
  box sh -c "ln -s $available /etc/nginx/sites-enabled/ && rm /etc/nginx/sites-enabled/default &&
    sed -i 's/worker_connections .*/worker_connections 8192;/; 1i worker_rlimit_nofile 16384; worker_shutdown_timeout 2s;' /etc/nginx/nginx.conf &&
    nginx -t && systemctl restart nginx"
}

need_modules
for suite in "${suites[@]}"; do
  open_box "$suite"
  claim the_example_site_reaches_the_daemon
  start_office
  claim two_hundred_users_view_fifty_cases
  claim an_upgrade_makes_nobody_vanish
  claim a_crash_makes_nobody_vanish
  claim a_restart_makes_nobody_vanish
  claim a_restart_with_a_mistake_makes_nobody_vanish_once_it_is_corrected
  claim a_stop_and_a_start_make_nobody_vanish
  claim a_signal_that_ends_it_makes_nobody_vanish
  claim a_reload_cuts_nobody_off
  claim a_reload_of_nginx_that_cuts_websockets_makes_nobody_vanish
  claim who_closes_a_tab_is_gone_at_once
  claim who_reloads_a_page_is_gone_at_once_and_back
  claim who_loads_another_case_is_gone_at_once
  tidy
done
