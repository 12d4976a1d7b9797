# Runs steps in parallel, shows their output, and prints a table of results.
#
# Sourced by tests/run and tests/package/run. The caller defines `run_step NAME`, fills the variables below and calls
# `run_steps NAME...`. After a failed step all others still run, except those that use it.
# shellcheck shell=bash

# Number of steps that run at the same time.
lanes=2
# Folder for the output of the steps: NAME.log.
logs=
# Steps that run while no other step runs.
alone=()
# Steps that wait for the end of others, with any result: after[NAME]='NAME...'.
declare -A after=()
# Steps that can only run when others have passed: uses[NAME]='NAME...'.
declare -A uses=()
# Results: `waiting`, `running`, `passed`, `failed` or `skipped`; seconds; the reason when it is not in the output.
declare -A state=() seconds=() reason=()

declare -A process=() started=()
# The process that shows the output of a step that runs alone.
shower=

run_steps() {
  local step
  mkdir -p "$logs"
  for step; do
    state[$step]=${state[$step]-waiting}
    rm -f "$logs/$step.log"
  done
  trap end_steps INT TERM
  while in_state waiting || in_state running; do
    for step; do
      if [[ ${state[$step]} == waiting ]]; then consider "$step"; fi
    done
    if in_state running; then await_one; fi
  done
  trap - INT TERM
}

# Starts a step if it may run now.
consider() {
  local other
  for other in ${after[$1]-} ${uses[$1]-}; do
    if [[ ${state[$other]-} =~ ^(waiting|running)$ ]]; then return; fi
  done
  for other in ${uses[$1]-}; do
    if [[ ${state[$other]-passed} != passed ]]; then
      give_up "$1" "$other has ${state[$other]}"
      return
    fi
  done
  if has_room "$1"; then start "$1"; fi
}

# Records a step that was not run as failed.
give_up() {
  state[$1]=failed
  reason[$1]="not run, because $2"
  echo "== $1 failed: ${reason[$1]}"
}

has_room() {
  local other running=0
  for other in "${!state[@]}"; do
    [[ ${state[$other]} == running ]] || continue
    if is_alone "$other"; then return 1; fi
    running=$((running + 1))
  done
  if is_alone "$1"; then ((running == 0)); else ((running < lanes)); fi
}

is_alone() { [[ " ${alone[*]-} " == *" $1 "* ]]; }

# Whether a step shows its output at once. Steps that run in parallel show it at their end, so that outputs are not mixed.
is_live() { ((lanes == 1)) || is_alone "$1"; }

start() {
  state[$1]=running
  started[$1]=$SECONDS
  echo "== $1"
  # A process group for each step, so that all of it can be ended. The step writes into a file, not to this program: without a
  # reader, it could not clean up.
  set -m
  (set -e; run_step "$1") >"$logs/$1.log" 2>&1 </dev/null &
  set +m
  process[$1]=$!
  if is_live "$1"; then
    tail -n +1 -s 0.1 -F --pid="$!" "$logs/$1.log" 2>/dev/null &
    shower=$!
  fi
}

# Waits until a step ends.
await_one() {
  local pid status=0 step
  wait -n -p pid "${process[@]}" || status=$?
  for step in "${!process[@]}"; do
    if [[ ${process[$step]} == "$pid" ]]; then record "$step" "$status"; fi
  done
}

record() {
  local step=$1 status=$2
  unset "process[$step]"
  seconds[$step]=$((SECONDS - started[$step]))
  if is_live "$step"; then
    wait "$shower" || true
  else
    echo "== what $step wrote:"
    cat "$logs/$step.log"
  fi
  if ((status == 0)); then
    state[$step]=passed
    echo "== $step passed in ${seconds[$step]} s"
  else
    state[$step]=failed
    reason[$step]="status $status, output in ${logs#"$PWD/"}/$step.log"
    echo "== $step failed in ${seconds[$step]} s: ${reason[$step]}"
  fi
}

# Ends all running steps after SIGINT or SIGTERM, and waits until they have cleaned up.
end_steps() {
  trap '' INT TERM
  # Not from `process`, which does not have a step yet that has just been started.
  local pid steps deadline=$((SECONDS + 60))
  steps=$(jobs -p)
  for pid in $steps; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  wait
  # The shell of a step ends before the programs that it has started.
  for pid in $steps; do
    while ((SECONDS < deadline)) && kill -0 -- "-$pid" 2>/dev/null; do sleep 0.1; done
  done
  exit 130
}

in_state() { [[ " ${state[*]} " == *" $1 "* ]]; }

# Repeats the last lines of each failed step.
show_failures() {
  local step
  for step; do
    [[ ${state[$step]} == failed && -s $logs/$step.log && -n ${seconds[$step]-} ]] || continue
    echo "== the end of what $step wrote:"
    tail -n 60 "$logs/$step.log"
  done
}

# A row for each step: show_table TITLE NAME...
show_table() {
  local step row='%-16s %-8s %7s  %s\n'
  # shellcheck disable=SC2059
  printf "$row" "$1" result seconds ''
  for step in "${@:2}"; do
    # shellcheck disable=SC2059
    printf "$row" "$step" "${state[$step]}" "${seconds[$step]--}" "${reason[$step]-}" | sed 's/ *$//'
  done
}

# Number of steps in a state: count STATE NAME...
count() {
  local step number=0
  for step in "${@:2}"; do
    if [[ ${state[$step]} == "$1" ]]; then number=$((number + 1)); fi
  done
  echo "$number"
}
