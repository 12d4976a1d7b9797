#!/usr/bin/env bash
# Browsers reach the daemon through Debian's nginx, with the configuration that the package ships, and nothing else of it.
source "$(dirname "$0")/lib.bash"

gixy_finds_nothing_in_what_is_shipped() {
  same "$(gixy upstream.conf)" ''
  same "$(gixy two-nodes.conf)" ''
}

gixy_would_find_a_mistake() {
  gixy upstream.conf 's/\$host;/$http_host;/' | grep host_spoofing
}

nginx_takes_it_without_a_warning() {
  install_package
  box sh -c "cp $shipped/example.conf $available && ln -s ../sites-available/cla-socketserver.conf /etc/nginx/sites-enabled/ &&
    rm /etc/nginx/sites-enabled/default && systemctl restart nginx"
  same "$(box nginx -t 2>&1 | grep -v -e 'syntax is ok$' -e 'test is successful$')" ''
}

every_client_gets_through_on_every_transport() { browsers; }

two_hundred_browsers_of_one_address_are_all_served() { browsers 200; }

the_last_slash_may_be_left_out() {
  ask '/socket.io?EIO=4&transport=polling' | grep '^0{"sid":'
  # The websocket stays open, so curl gives up by itself.
  same "$(box curl -sS --max-time 1 -o /dev/null -w '%{http_code}' "${websocket[@]}" "$site/socket.io?EIO=4&transport=websocket" || true)" 101
}

nginx_is_more_patient_than_the_daemon() {
  local nginx_s daemon_ms
  nginx_s=$(directive proxy_read_timeout)
  daemon_ms=$(($(setting public.ping_interval_ms) + $(setting public.ping_timeout_ms)))
  echo "nginx waits ${nginx_s}, the daemon $daemon_ms ms"
  ((${nginx_s%s} * 1000 > daemon_ms + 10000))
}

nginx_takes_messages_as_long_as_the_daemon_does() {
  same "$(directive client_max_body_size)" "$(($(setting limits.message_bytes) / 1024))k"
  same "$(directive client_body_buffer_size)" "$(directive client_max_body_size)"
}

pages_of_the_site_get_through_and_those_of_strangers_do_not() {
  configure 'site_hostname = ["chs.example.org"]'
  box systemctl restart cla-socketserver
  same "$(handshake_from https://chs.example.org)" 200
  same "$(handshake_from https://stranger.example.org)" 403
}

without_nginx_the_admin_app_answers() {
  same "$(box curl -sS -o /dev/null -w '%{http_code}' 127.0.0.1:8006/admin/peopleMap/)" 200
}

through_nginx_no_spelling_of_admin_reaches_anything() { same "$(reached)" ''; }

not_even_if_the_site_leads_to_the_admin_app_by_mistake() {
  site_with "$by_mistake"
  same "$(reached)" ''
}

without_admin_closed_every_spelling_would_reach_it() {
  site_with "$by_mistake; /admin-closed/d"
  ask /admin/peopleMap/ -w ' %{http_code}' | grep '^{.* 200$'
  same "$(reached)" "$spellings"
}

a_site_may_have_pages_whose_names_begin_like_admin() {
  site_with "s/return 404/return 204/"
  local path
  for path in / /administration /admin-help; do same "$(ask "$path" -w '%{http_code}')" 204; done
}

nothing_that_a_browser_forges_reaches_the_daemon() {
  box systemd-run --quiet --unit=echo node -e '
    require("node:http").createServer((request, response) => {
      const { rawHeaders } = request;
      response.end(rawHeaders.map((part, at) => part + (at % 2 ? "\n" : ": ")).join(""));
    }).listen(8090, "127.0.0.1")'
  eventually 5 box curl -fsS 127.0.0.1:8090
  site_with 's#include.*/upstream.con.*;#upstream cla_socketserver { server 127.0.0.1:8090; }#'
  same "$(ask /socket.io/ -H 'Host: chs.example.org' -H 'User-Agent: test' -H 'Accept:' \
    -H 'X-Forwarded-For: 192.0.2.66' -H 'x-forwarded-for: 192.0.2.67' -H 'X_Forwarded_For: 192.0.2.68' \
    -H 'X-Real-IP: 192.0.2.66' -H 'X-Forwarded-Proto: https' -H 'Forwarded: for=192.0.2.66' -H 'Cookie: sessionid=secret' \
    -H 'Connection: X-Forwarded-For' | sort)" "\
Connection: close
Host: chs.example.org
User-Agent: test
X-Forwarded-For: 127.0.0.1
X-Forwarded-Proto: http
X-Real-IP: 127.0.0.1"
  box systemctl stop echo
}

beyond_the_limit_of_an_address_others_of_it_wait() {
  box sh -c "sed 's/ 1000;/ 3;/' $shipped/limits.conf >/etc/nginx/limits.conf"
  site_with "s#$shipped/limits.con.f.#/etc/nginx/limits.conf#"
  handshake_is 200
  # They come back, as browsers do, when the worker that nginx has just replaced cuts them off.
  box systemd-run --quiet --unit=office sh -c 'for seat in 1 2 3; do while :; do curl -sN "$@"; done >/dev/null & done; wait' sh \
    "${websocket[@]}" "$site/socket.io/?EIO=4&transport=websocket"
  eventually 5 handshake_is 429
  same "$(ask / -o /dev/null -w '%{http_code}')" 404
  box systemctl stop office
  eventually 5 handshake_is 200
}

a_restart_of_the_daemon_costs_nobody_an_answer() {
  site_with ''
  local old
  old=$(main_pid)
  start_load "$site"
  box systemctl restart cla-socketserver
  end_load
  cat "$scratch/load"
  [[ $(main_pid) != "$old" ]]
  (($(sed -n 's/^requests \([0-9]*\),.*/\1/p' "$scratch/load") >= 200))
  grep -q '^requests [0-9]*, refused 0,' "$scratch/load"
  same "$(grep -c '^browser .*: back after 1 tries$' "$scratch/load")" 6
}

with_two_nodes_a_session_stays_on_the_node_that_it_began_on() {
  second_node
  nodes "$(box cat $shipped/two-nodes.conf)" 's#include.*/socket.io.con.*;#&\nadd_header Set-Cookie $cla_node_cookie always;#'
  local first=0 second=0
  for _ in {1..20}; do
    session=$(sid --cookie-jar /tmp/jar)
    # The way up through nginx must find the session, which one node knows and the other does not.
    same "$(frame_up "$site" --cookie /tmp/jar)" ok
    if [[ $(frame_up 127.0.0.1:8005) == ok ]]; then first=$((first + 1)); else second=$((second + 1)); fi
    box rm /tmp/jar
  done
  echo "$first browsers on the first node, $second on the second"
  ((first > 0 && second > 0))
}

without_the_cookie_sessions_would_get_lost() {
  local lost=0
  for _ in {1..20}; do
    session=$(sid)
    [[ $(frame_up "$site") == ok ]] || lost=$((lost + 1))
  done
  echo "$lost of 20 were lost"
  ((lost > 0))
}

the_cookie_is_for_socket_io_and_given_once() {
  local made='^Set-Cookie: cla_node=[0-9a-f]{32}; Path=/socket.io; HttpOnly; SameSite=Lax$' known=0123456789abcdef0123456789abcdef
  cookie_of '/socket.io/' | grep -E "$made"
  same "$(cookie_of '/socket.io/' -H "Cookie: cla_node=$known")" ''
  # What was not made by nginx is replaced.
  cookie_of '/socket.io/' -H "Cookie: cla_node=${known}0" | grep -E "$made"
  same "$(cookie_of /)" ''
}

a_spare_node_takes_over_when_the_first_is_down() {
  nodes "$(box sed -n '/^# *upstream/,/^# *}/s/^#//p' $shipped/two-nodes.conf)"
  session=$(sid)
  same "$(frame_up 127.0.0.1:8005)" ok
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  session=$(sid)
  same "$(frame_up 127.0.0.1:8015)" ok
  box systemctl start cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
}

without_the_package_the_site_goes_on() {
  site_with 's/return 404/return 204/'
  handshake_is 200
  remove_package
  same "$(grep -v '^nginx:' "$scratch/removal" | grep -i 'nginx' || true)" ''
  box nginx -t
  box systemctl restart nginx
  same "$(ask / -o /dev/null -w '%{http_code}')" 204
  # Nothing of the daemon is left: its paths are the site's own.
  handshake_is 204
  same "$(ask /admin -o /dev/null -w '%{http_code}')" 204
}

a_site_that_names_our_files_is_named_when_they_go() {
  install_package
  site_with 's/con.f.;/conf;/'
  handshake_is 200
  remove_package
  grep -F 'nginx still uses files of this package' "$scratch/removal"
  grep -F "$shipped/upgrade.conf" "$scratch/removal"
  if box nginx -t; then fail 'it does not refuse them'; fi
}

a_copy_that_still_needs_ours_is_named_too() {
  install_package
  box sh -c "cp $shipped/socket.io.conf /etc/nginx/socket.io.conf"
  site_with "s#$shipped/socket.io.con.f.#/etc/nginx/socket.io.conf#"
  remove_package
  grep -F cla_socketserver "$scratch/removal"
}

a_mistake_of_the_site_s_own_is_not_ours_to_name() {
  install_package
  site_with ''
  box sh -c 'echo nonsense >>/etc/nginx/nginx.conf'
  remove_package
  if grep -F nonsense "$scratch/removal"; then fail 'it is named'; fi
}

shipped=/usr/share/cla-socketserver/nginx
available=/etc/nginx/sites-available/cla-socketserver.conf
site=http://127.0.0.1
websocket=(-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==')
by_mistake='s#return 404;#proxy_pass http://127.0.0.1:8006;#'
spellings='/admin
/admin/
/admin?x=/
/ADMIN
/Admin/peopleMap/
/%61dmin
/%61%64%6d%69%6e/
/%41DMIN
/admin/peopleMap/
/admin/peopleMap
/admin/broadcast/
/admin/notifications/
/admin%2fpeopleMap/
//admin
///admin//peopleMap/
/./admin
/x/../admin/
/socket.io/../admin
/socket.io/../admin/peopleMap/
/socket.io/%2e%2e/admin
/socket.io/.%2e/admin/
/socket.io/..%2fadmin
/socket.io//../admin
/socket.io/../socket.io/../ADMIN/
http://127.0.0.1:8006/admin/peopleMap/'

# Requests to the site, with the path as it is written: ask PATH OPTION...
ask() { box curl -sS --max-time 5 --request-target "$1" "${@:2}" "$site"; }

# Spellings that anybody but nginx itself has answered.
reached() {
  local path
  while read -r path; do
    ask "$path" -w ' %{http_code}' >"$scratch/answer"
    if ! grep -q '<center>nginx' "$scratch/answer" || ! grep -q ' 404$' "$scratch/answer"; then echo "$path"; fi
  done <<<"$spellings"
}

browsers() { box node /tmp/clients/browsers.mjs "$site" "$@"; }

handshake_is() { [[ $(ask '/socket.io/?EIO=4&transport=polling' -o /dev/null -w '%{http_code}') == "$1" ]]; }

handshake_from() { ask '/socket.io/?EIO=4&transport=polling' -H "Origin: $1" -o /dev/null -w '%{http_code}'; }

# A value that the daemon works with, or that nginx does.
setting() { box cla-socketserver check --all | sed -n "s/^$1 = \([0-9]*\) .*/\1/p"; }
directive() { box nginx -T 2>/dev/null | sed -n "s/^ *$1 \(.*\);/\1/p"; }

# Has nginx serve the example site, changed by a script for sed.
site_with() {
  box sed "$1" $shipped/example.conf >"$scratch/site"
  put "$scratch/site" $available
  box nginx -t
  # Not a reload, after which processes with the old configuration go on answering for a while. And more often than
  # systemd would let an operator do it.
  box systemctl reset-failed nginx
  box systemctl restart nginx
}

# The same with a text in place of upstream.conf, and with two daemons on this host instead of on the addresses in it.
nodes() {
  sed 's/10.0.1.5:8006/127.0.0.1:8005/; s/10.0.1.6:8006/127.0.0.1:8015/' <<<"$1" >"$scratch/nodes"
  put "$scratch/nodes" /etc/nginx/nodes.conf
  site_with "s#$shipped/upstream.con.f.#/etc/nginx/nodes.conf#; ${2-}"
}

remove_package() {
  box env DEBIAN_FRONTEND=noninteractive apt-get remove -qq --yes cla-socketserver >"$scratch/removal" 2>&1
  cat "$scratch/removal"
}

second_node() {
  box systemd-run --quiet --unit=second --service-type=notify \
    --setenv=CLA_PUBLIC__LISTEN=127.0.0.1:8015 --setenv=CLA_ADMIN__LISTEN=127.0.0.1:8016 cla-socketserver
}

cookie_of() { ask "$@" -o /dev/null -D - | tr -d '\r' | grep -i '^set-cookie' || true; }

# Opens a session through nginx and prints its id.
sid() { ask '/socket.io/?EIO=4&transport=polling' "$@" | sed -n 's/^0{"sid":"\([^"]*\)".*/\1/p'; }

# Sends a frame of $session to a site or node, and prints the answer.
frame_up() { box curl -sS --max-time 5 "${@:2}" --data '40/socket.io,' "$1/socket.io/?EIO=4&transport=polling&sid=$session"; }

# What gixy says about the example site with that file in the place of upstream.conf, changed by a script for sed.
gixy() {
  local tree=$scratch/gixy
  rm -rf "$tree"
  cp -r "$root/nginx" "$tree"
  # Without the patterns, so that a file that gixy does not find is an error.
  sed -i "s#con\[f\];#conf;#; s#$shipped/upstream.conf#$shipped/$1#; s#$shipped#$tree#" "$tree/example.conf"
  sed -i "${2-}" "$tree"/*.conf
  echo "events {} http { include $tree/example.conf; }" >"$tree/nginx"
  "$venv/bin/gixy" -l --format json "$tree/nginx" >"$scratch/findings" || [[ -s $scratch/findings ]]
  python3 - "$scratch/findings" <<-'SAY'
	import json, sys
	for found in json.load(open(sys.argv[1])):
	    print(found["plugin"], found["severity"], found["reason"])
	SAY
}

venv=$root/target/gixy
if ! cmp --quiet "$root/tests/package/requirements.txt" "$venv/requirements.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$root/tests/package/requirements.txt"
  cp "$root/tests/package/requirements.txt" "$venv"
fi
claim gixy_finds_nothing_in_what_is_shipped
claim gixy_would_find_a_mistake

for suite in "${suites[@]}"; do
  open_box "$suite"
  put_clients
  put "$root/tests/package/browsers.mjs" /tmp/clients/browsers.mjs
  claim nginx_takes_it_without_a_warning
  claim every_client_gets_through_on_every_transport
  claim two_hundred_browsers_of_one_address_are_all_served
  claim the_last_slash_may_be_left_out
  claim nginx_is_more_patient_than_the_daemon
  claim nginx_takes_messages_as_long_as_the_daemon_does
  claim pages_of_the_site_get_through_and_those_of_strangers_do_not
  claim without_nginx_the_admin_app_answers
  claim through_nginx_no_spelling_of_admin_reaches_anything
  claim not_even_if_the_site_leads_to_the_admin_app_by_mistake
  claim without_admin_closed_every_spelling_would_reach_it
  claim a_site_may_have_pages_whose_names_begin_like_admin
  claim nothing_that_a_browser_forges_reaches_the_daemon
  claim beyond_the_limit_of_an_address_others_of_it_wait
  claim a_restart_of_the_daemon_costs_nobody_an_answer
  claim with_two_nodes_a_session_stays_on_the_node_that_it_began_on
  claim without_the_cookie_sessions_would_get_lost
  claim the_cookie_is_for_socket_io_and_given_once
  claim a_spare_node_takes_over_when_the_first_is_down
  claim without_the_package_the_site_goes_on
  claim a_site_that_names_our_files_is_named_when_they_go
  claim a_copy_that_still_needs_ours_is_named_too
  claim a_mistake_of_the_site_s_own_is_not_ours_to_name
done
