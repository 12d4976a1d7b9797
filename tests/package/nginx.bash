#!/usr/bin/env bash
# Browsers reach the Socket.IO listener, and nothing else of the daemon, through Debian's nginx with the shipped configuration.
source "$(dirname "$0")/lib.bash"

gixy_finds_nothing_in_the_shipped_files() {
  same "$(gixy upstream.conf)" ''
  same "$(gixy two-nodes.conf)" ''
}

gixy_would_find_a_mistake() {
  gixy upstream.conf 's/\$host;/$http_host;/' | grep host_spoofing
}

nginx_accepts_the_files_without_a_warning() {
  install_package
  box sh -c "cp $shipped/example.conf $available && ln -s ../sites-available/cla-socketserver.conf /etc/nginx/sites-enabled/ &&
    rm /etc/nginx/sites-enabled/default && systemctl restart nginx"
  same "$(box nginx -t 2>&1 | grep -v -e 'syntax is ok$' -e 'test is successful$')" ''
}

every_client_connects_over_every_transport() { browsers; }

two_hundred_browsers_of_one_address_can_connect() { browsers 200; }

the_last_slash_of_the_path_is_optional() {
  ask '/socket.io?EIO=4&transport=polling' | grep '^0{"sid":'
  # The websocket stays open, so curl ends by its time-out.
  same "$(box curl -sS --max-time 1 -o /dev/null -w '%{http_code}' "${websocket[@]}" "$site/socket.io?EIO=4&transport=websocket" || true)" 101
}

nginx_times_out_later_than_the_daemon() {
  local nginx_s daemon_ms
  nginx_s=$(directive proxy_read_timeout)
  daemon_ms=$(($(setting public.ping_interval_ms) + $(setting public.ping_timeout_ms)))
  echo "nginx waits ${nginx_s}, the daemon $daemon_ms ms"
  ((${nginx_s%s} * 1000 > daemon_ms + 10000))
}

nginx_and_the_daemon_limit_messages_to_the_same_length() {
  same "$(directive client_max_body_size)" "$(($(setting limits.message_bytes) / 1024))k"
  same "$(directive client_body_buffer_size)" "$(directive client_max_body_size)"
}

pages_of_the_site_can_connect_and_pages_of_other_sites_cannot() {
  configure 'site_hostname = ["chs.example.org"]'
  box systemctl restart cla-socketserver
  same "$(handshake_from https://chs.example.org)" 200
  same "$(handshake_from https://other-site.example.org)" 403
}

without_nginx_the_admin_app_answers() {
  same "$(box curl -sS -o /dev/null -w '%{http_code}' 127.0.0.1:8006/admin/peopleMap/)" 200
}

nginx_answers_404_to_every_spelling_of_admin() { same "$(reached)" ''; }

also_when_the_site_proxies_to_the_admin_app_by_mistake() {
  site_with "$by_mistake"
  same "$(reached)" ''
}

without_admin_closed_every_spelling_would_reach_the_admin_app() {
  site_with "$by_mistake; /admin-closed/d"
  ask /admin/peopleMap/ -w ' %{http_code}' | grep '^{.* 200$'
  same "$(reached)" "$spellings"
}

other_paths_of_the_site_may_begin_with_admin() {
  site_with "s/return 404/return 204/"
  local path
  for path in / /administration /admin-help; do same "$(ask "$path" -w '%{http_code}')" 204; done
}

forged_headers_of_a_browser_do_not_reach_the_daemon() {
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

further_sessions_of_an_address_at_its_limit_are_refused() {
  box sh -c "sed 's/ 1000;/ 3;/' $shipped/limits.conf >/etc/nginx/limits.conf"
  site_with "s#$shipped/limits.con.f.#/etc/nginx/limits.conf#"
  handshake_is 200
  # The clients reconnect, as browsers do, after the old nginx worker has closed their connections.
  box systemd-run --quiet --unit=office sh -c 'for seat in 1 2 3; do while :; do curl -sN "$@"; done >/dev/null & done; wait' sh \
    "${websocket[@]}" "$site/socket.io/?EIO=4&transport=websocket"
  eventually 5 handshake_is 429
  same "$(ask / -o /dev/null -w '%{http_code}')" 404
  box systemctl stop office
  eventually 5 handshake_is 200
}

during_a_restart_of_the_daemon_every_request_is_answered() {
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

with_two_nodes_a_session_stays_on_its_node() {
  second_node
  nodes "$(box cat $shipped/two-nodes.conf)" 's#include.*/socket.io.con.*;#&\nadd_header Set-Cookie $cla_node_cookie always;#'
  local first=0 second=0
  for _ in {1..20}; do
    session=$(sid --cookie-jar /tmp/jar)
    # Only one node has the session, so nginx must choose that node.
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

the_cookie_is_for_socket_io_only_and_set_once() {
  local made='^Set-Cookie: cla_node=[0-9a-f]{32}; Path=/socket.io; HttpOnly; SameSite=Lax$' known=0123456789abcdef0123456789abcdef
  cookie_of '/socket.io/' | grep -E "$made"
  same "$(cookie_of '/socket.io/' -H "Cookie: cla_node=$known")" ''
  # nginx replaces a cookie that it did not set.
  cookie_of '/socket.io/' -H "Cookie: cla_node=${known}0" | grep -E "$made"
  same "$(cookie_of /)" ''
}

the_backup_node_takes_over_when_the_first_is_down() {
  nodes "$(box sed -n '/^# *upstream/,/^# *}/s/^#//p' $shipped/two-nodes.conf)"
  session=$(sid)
  same "$(frame_up 127.0.0.1:8005)" ok
  box systemctl stop cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
  session=$(sid)
  same "$(frame_up 127.0.0.1:8015)" ok
  box systemctl start cla-socketserver.socket cla-socketserver-admin.socket cla-socketserver.service
}

the_site_works_after_the_removal_of_the_package() {
  site_with 's/return 404/return 204/'
  handshake_is 200
  remove_package
  same "$(grep -v '^nginx:' "$scratch/removal" | grep -i 'nginx' || true)" ''
  box nginx -t
  box systemctl restart nginx
  same "$(ask / -o /dev/null -w '%{http_code}')" 204
  # The site itself answers on the paths of the daemon.
  handshake_is 204
  same "$(ask /admin -o /dev/null -w '%{http_code}')" 204
}

the_removal_names_a_site_that_includes_our_files() {
  install_package
  site_with 's/con.f.;/conf;/'
  handshake_is 200
  remove_package
  grep -F 'nginx still uses files of this package' "$scratch/removal"
  grep -F "$shipped/upgrade.conf" "$scratch/removal"
  if box nginx -t; then fail 'nginx accepts missing files'; fi
}

the_removal_names_a_copy_that_needs_our_files_too() {
  install_package
  box sh -c "cp $shipped/socket.io.conf /etc/nginx/socket.io.conf"
  site_with "s#$shipped/socket.io.con.f.#/etc/nginx/socket.io.conf#"
  remove_package
  grep -F cla_socketserver "$scratch/removal"
}

the_removal_does_not_report_mistakes_of_the_site_itself() {
  install_package
  site_with ''
  box sh -c 'echo nonsense >>/etc/nginx/nginx.conf'
  remove_package
  if grep -F nonsense "$scratch/removal"; then fail 'the removal reports it'; fi
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

# Sends a request to the site without normalising the path: ask PATH OPTION...
ask() { box curl -sS --max-time 5 --request-target "$1" "${@:2}" "$site"; }

# Prints the spellings that were not answered by nginx with 404.
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

# A value of the daemon, and a value of nginx.
setting() { box cla-socketserver check --all | sed -n "s/^$1 = \([0-9]*\) .*/\1/p"; }
directive() { box nginx -T 2>/dev/null | sed -n "s/^ *$1 \(.*\);/\1/p"; }

# Makes nginx serve the example site, changed by a sed script: site_with SCRIPT
site_with() {
  box sed "$1" $shipped/example.conf >"$scratch/site"
  put "$scratch/site" $available
  box nginx -t
  # A restart, because after a reload the old workers still answer for a while. reset-failed, because these tests restart nginx
  # more often than its start limit allows.
  box systemctl reset-failed nginx
  box systemctl restart nginx
}

# The same with another text for upstream.conf, whose addresses become two daemons in the box: nodes TEXT [SCRIPT]
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

# Prints the findings of gixy in the example site, with another upstream file and changed by a sed script: gixy FILE [SCRIPT]
gixy() {
  local tree=$scratch/gixy
  rm -rf "$tree"
  cp -r "$root/nginx" "$tree"
  # Replaces the patterns in include directives by names, so that a missing file is an error.
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
claim gixy_finds_nothing_in_the_shipped_files
claim gixy_would_find_a_mistake

for suite in "${suites[@]}"; do
  open_box "$suite"
  put_clients
  put "$root/tests/package/browsers.mjs" /tmp/clients/browsers.mjs
  claim nginx_accepts_the_files_without_a_warning
  claim every_client_connects_over_every_transport
  claim two_hundred_browsers_of_one_address_can_connect
  claim the_last_slash_of_the_path_is_optional
  claim nginx_times_out_later_than_the_daemon
  claim nginx_and_the_daemon_limit_messages_to_the_same_length
  claim pages_of_the_site_can_connect_and_pages_of_other_sites_cannot
  claim without_nginx_the_admin_app_answers
  claim nginx_answers_404_to_every_spelling_of_admin
  claim also_when_the_site_proxies_to_the_admin_app_by_mistake
  claim without_admin_closed_every_spelling_would_reach_the_admin_app
  claim other_paths_of_the_site_may_begin_with_admin
  claim forged_headers_of_a_browser_do_not_reach_the_daemon
  claim further_sessions_of_an_address_at_its_limit_are_refused
  claim during_a_restart_of_the_daemon_every_request_is_answered
  claim with_two_nodes_a_session_stays_on_its_node
  claim without_the_cookie_sessions_would_get_lost
  claim the_cookie_is_for_socket_io_only_and_set_once
  claim the_backup_node_takes_over_when_the_first_is_down
  claim the_site_works_after_the_removal_of_the_package
  claim the_removal_names_a_site_that_includes_our_files
  claim the_removal_names_a_copy_that_needs_our_files_too
  claim the_removal_does_not_report_mistakes_of_the_site_itself
done
