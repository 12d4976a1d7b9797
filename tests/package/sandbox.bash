#!/usr/bin/env bash
# The sandbox of the units: its exposure, the effect of each directive, and that the daemon works in it.
#
# Each forbidden act (see forbidden.c) is tried three times: without a sandbox, where it must succeed; with only the directives
# against it, as in the shipped file; and under the whole shipped unit. So a directive that systemd ignores is found.
source "$(dirname "$0")/lib.bash"

unit=cla-socketserver.service
probe=/usr/lib/forbidden/forbidden
# Acts that the box itself forbids, so that the directives against them cannot be tested.
undoable=("use the clock's controls" "read the kernel log" "use a keyring")
# Acts that the systemd of a suite cannot forbid.
declare -A unforbidden=([bookworm]='open a port')
# Limits that have no effect in a box.
not_imposed=(LimitNOFILE TasksMax MemoryMax MemorySwapMax)

every_directive_has_a_comment_above_it() {
  awk '/^[A-Z]/ && before !~ /^#+ / { print FILENAME ": " $0; bad = 1 } { before = $0 } END { exit bad }' \
    <(grep -hv '^\(Description\|Documentation\)=' "$root"/systemd/*)
}

systemd_analyze_verifies_the_units() {
  install_package
  # --man=no, because a box has no man.
  local faults
  faults=$(box sh -c 'systemd-analyze verify --man=no /usr/lib/systemd/system/cla-socketserver* 2>&1') || fail "$faults"
  same "$faults" ''
}

exposure_is_at_most_1_0() { box systemd-analyze security --no-pager --threshold=10 $unit; }

every_directive_is_tested_or_has_no_effect_in_a_box() {
  # Every directive from the heading "Limits" on. Other groups test the directives for start and stop.
  same "$(sed '1,/^#### Limits/d' "$root/systemd/$unit" | grep -o '^[A-Z][A-Za-z]*' | sort -u)" \
    "$({ grep "$unit" "$rows" | cut -d '|' -f 3 | tr ' ' '\n'; printf '%s\n' "${not_imposed[@]}"; } | grep -v DynamicUser | sort -u)"
}

without_a_sandbox_every_act_succeeds() {
  local number directives base what tried=0
  while IFS='|' read -r number _ directives base what; do
    if undoable "$what"; then continue; fi
    attempt "$number" "$base" || fail "$what ($directives): fails without a sandbox, so its failure in the sandbox shows nothing"
    tried=$((tried + 1))
  done <"$rows"
  same "$tried" $(($(acts) - ${#undoable[@]}))
}

each_directive_alone_forbids_its_act() {
  local number file directives base what name line tried=0 forbidden
  while IFS='|' read -r number file directives base what; do
    if undoable "$what" || [[ $what == "${unforbidden[$suite]-}" ]]; then continue; fi
    local properties=("$base")
    for name in $directives; do
      # systemd-run does not accept the name localhost.
      while read -r line; do properties+=("${line//localhost/127.0.0.0/8 ::1}"); done < <(grep "^$name=" "$root/systemd/$file")
    done
    if attempt "$number" "${properties[@]}"; then fail "$what: succeeds in spite of $directives"; fi
    tried=$((tried + 1))
  done <"$rows"
  forbidden=$(($(acts) - ${#undoable[@]}))
  [[ -z ${unforbidden[$suite]-} ]] || forbidden=$((forbidden - 1))
  same "$tried" "$forbidden"
}

the_whole_unit_forbids_every_act() {
  whole_unit forbidden
  same "$(grep "$unit" "$scratch/acts" | done_acts)" "${unforbidden[$suite]-}"
  # With SystemCallErrorNumber= a forbidden call only fails, except a call of another architecture.
  same "$(sed -n 's/^killed.*|//p' "$scratch/acts")" 'call as a 32-bit program'
}

the_sealed_unit_forbids_more_acts() {
  # Without [Unit], which requires a socket for the daemon.
  sed '/^\[Unit\]/,/^$/d' "$root/systemd/sealed.conf" >"$scratch/sealed"
  put "$scratch/sealed" /run/systemd/system/forbidden-sealed.service.d/sealed.conf
  whole_unit forbidden-sealed
  same "$(done_acts <"$scratch/acts")" ''
}

the_daemon_works_under_the_whole_unit() {
  configure 'statsd.host = "metrics.internal"'
  daemon_works
}

the_daemon_makes_no_forbidden_call() {
  # With SystemCallErrorNumber=kill, because in the shipped unit a forbidden call only fails, perhaps unnoticed.
  echo $'[Service]\nSystemCallErrorNumber=kill' >"$scratch/kill"
  put "$scratch/kill" /run/systemd/system/$unit.d/kill.conf
  # Restores the shipped unit for the next claims.
  trap without_kill EXIT
  box systemctl daemon-reload
  daemon_works
  # Nor at the end, when it sends zeros to StatsD.
  statsd
  box systemd-run --quiet --collect --unit browsers sh -c 'sleep infinity | node /tmp/clients/load.mjs'
  eventually 20 statsd_knows_of 6
  # The browsers are stopped, because a new connection would start the daemon again.
  box systemctl kill --signal STOP browsers
  box systemctl stop $unit cla-socketserver.socket cla-socketserver-admin.socket
  same "$(box systemctl show --property Result --value $unit)" success
  eventually 5 statsd_knows_of 0
}

without_kill() {
  box systemctl stop browsers statsd 2>/dev/null || true
  box rm /run/systemd/system/$unit.d/kill.conf
  box systemctl daemon-reload
}

# Whether the last gauge in the file of StatsD has this value. The file has no line ends between datagrams.
statsd_knows_of() { [[ $(box grep -o 'people_connected:[0-9]*|g' /run/statsd | tail -n 1) == "people_connected:$1|g" ]]; }

sealed_exposure_is_at_most_0_2() {
  box install -D -t /etc/systemd/system/$unit.d /usr/share/cla-socketserver/sealed.conf
  box systemctl daemon-reload
  box systemctl restart $unit
  box systemd-analyze security --no-pager --threshold=2 $unit
}

the_sealed_daemon_works_too() {
  # The sealed daemon cannot reach a name server.
  configure ''
  daemon_works
  box test "$(box readlink "/proc/$(main_pid)/ns/net")" != "$(box readlink /proc/1/ns/net)"
}

# Checks clients, the admin app, StatsD, the watchdog, and a journal without warnings.
daemon_works() {
  statsd
  box systemctl restart $unit
  box node /tmp/clients/load.mjs </dev/null >"$scratch/load"
  grep -E '^requests [0-9]+, refused 0,' "$scratch/load" || fail "$(cat "$scratch/load")"
  same "$(grep -c '^browser ' "$scratch/load")" 6
  box curl -fsS --max-time 5 -H 'Accept: text/html' 127.0.0.1:8006/admin/ -L | grep '<html'
  eventually 5 box grep -q 'people_connected:' /run/statsd
  eventually 10 watchdog_was_told
  box systemctl stop statsd
  local logged warned
  logged=$(box journalctl --quiet --no-pager "_SYSTEMD_INVOCATION_ID=$(invocation)")
  [[ -n $logged ]] || fail 'no journal'
  warned=$(box journalctl --quiet --no-pager --output cat --priority warning "_SYSTEMD_INVOCATION_ID=$(invocation)")
  # site_hostname is not set in these tests.
  same "$(grep -v '^site_hostname is not set' <<<"$warned" || true)" ''
}

# Starts a StatsD that writes all datagrams to /run/statsd.
statsd() {
  # It may still run after a claim that failed.
  box systemctl stop statsd 2>/dev/null || true
  box systemd-run --quiet --collect --unit statsd --property StandardOutput=truncate:/run/statsd socat -u UDP-RECV:8125 STDOUT
  eventually 5 box sh -c 'ss -Hlun sport = :8125 | grep -q .'
}

invocation() { box systemctl show --property InvocationID --value $unit; }

watchdog_was_told() {
  local started told
  started=$(box systemctl show --property ActiveEnterTimestampMonotonic --value $unit)
  told=$(box systemctl show --property WatchdogTimestampMonotonic --value $unit)
  ((told > started))
}

acts() { wc -l <"$rows"; }

done_acts() { sed -n 's/^done.*|//p'; }

undoable() { printf '%s\n' "${undoable[@]}" | grep -qxF "$1"; }

# Tries an act with properties of a unit, and returns whether it succeeds. Fails the claim if it was not tried:
# attempt NUMBER PROPERTY...
attempt() {
  local number=$1 property said status=0 options=()
  shift
  for property; do [[ -z $property ]] || options+=(--property "$property"); done
  said=$(box systemd-run --quiet --wait --pipe "${options[@]}" "$probe" "$number" 2>&1) || status=$?
  [[ $said == *trying* ]] || fail "act $number with ${options[*]} was not tried: $said"
  return "$status"
}

# Runs all acts in place of the daemon, under a unit of this name: whole_unit NAME
whole_unit() {
  sed -e '/^ExecStartPre=/d' -e "s,^ExecStart=.*,ExecStart=$probe all," -e 's/^Type=.*/Type=oneshot/' \
    -e "s,^StandardError=.*,StandardOutput=truncate:/run/acts\n&," -e '/^\(Restart.*\|WatchdogSec\)=/d' \
    "$root/systemd/$unit" >"$scratch/unit"
  put "$scratch/unit" "/run/systemd/system/$1.service"
  box systemctl daemon-reload
  box systemctl start "$1"
  box cat /run/acts >"$scratch/acts"
  cat "$scratch/acts"
  same "$(wc -l <"$scratch/acts")" "$(acts)"
}

# Creates the files, namespaces and addresses that the acts use.
prepare_acts() {
  put "$scratch/forbidden" $probe
  box sh -ec "
    chmod 755 $probe
    cd /usr/lib/forbidden
    install -m 4755 $probe set-user-id
    install -o 1 /dev/null of-user-1
    for kind in mnt ipc net; do ln -s \"\$(readlink /proc/1/ns/\$kind)\" \$kind; done
    mkdir -p /usr/lib/modules
    touch /home/secret /tmp/secret /dev/secret /usr/lib/modules/secret /var/tmp/mine
    ip address add 203.0.113.1/32 dev lo
    ip address add 169.254.169.254/32 dev lo"
  put_clients
  put "$root/tests/package/load.mjs" /tmp/clients/load.mjs
  # StatsD has a host name, because resolving it takes more system calls than an address.
  put "$root/tests/package/resolver.mjs" /tmp/clients/resolver.mjs
  box systemd-run --quiet --unit resolver node /tmp/clients/resolver.mjs
  box sh -c 'echo nameserver 127.0.0.1 >/etc/resolv.conf'
}

cc -static -O1 -Wall -Wextra -o "$scratch/forbidden" "$root/tests/package/forbidden.c"
# One line for each act. The group fails here if the probe does not run.
rows=$scratch/rows
"$scratch/forbidden" >"$rows"
[[ -s $rows ]]
claim every_directive_has_a_comment_above_it
claim every_directive_is_tested_or_has_no_effect_in_a_box
for suite in "${suites[@]}"; do
  open_box "$suite"
  prepare_acts
  claim systemd_analyze_verifies_the_units
  claim exposure_is_at_most_1_0
  claim without_a_sandbox_every_act_succeeds
  claim each_directive_alone_forbids_its_act
  claim the_whole_unit_forbids_every_act
  claim the_daemon_works_under_the_whole_unit
  claim the_daemon_makes_no_forbidden_call
  claim the_sealed_unit_forbids_more_acts
  claim sealed_exposure_is_at_most_0_2
  claim the_sealed_daemon_works_too
done
printf 'not tested, because the box itself forbids it: %s\n' "${undoable[@]}"
printf 'not tested, because it has no effect in a box: %s\n' "${not_imposed[@]}"
for suite in "${!unforbidden[@]}"; do echo "not forbidden by $suite: ${unforbidden[$suite]}"; done
