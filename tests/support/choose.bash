# From the names on the command line to the table at the end: choosing layers, their missing needs, their preparations.
#
# Sourced by tests/run beside lanes.bash and needs.bash. The caller defines the layers, see tests/layers.bash.
# shellcheck shell=bash

# Debian packages that are missing and can be installed.
to_install=()

main() {
  local chosen=() steps=()
  logs=$PWD/target/run
  choose "$@"
  judge
  add_preparations
  announce
  run_steps "${steps[@]}"
  conclude
}

# Sets `chosen` from the arguments.
choose() {
  local name
  case ${1-} in
    -h | --help) usage; exit ;;
    quick) chosen=("${quick[@]}") ;;
    '') chosen=("${layers[@]}") ;;
    *) chosen=("$@") ;;
  esac
  for name in "${chosen[@]}"; do
    is_one_of "$name" "${layers[@]}" "${on_demand[@]}" || {
      echo "no layer $name; there are: ${layers[*]}, and on demand: ${on_demand[*]}" >&2
      exit 64
    }
  done
}

is_one_of() { [[ " ${*:2} " == *" $1 "* ]]; }

usage() {
  sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
  echo
  echo "Layers: ${layers[*]}"
  echo "On demand: ${on_demand[*]}"
  echo "quick means: ${quick[*]}"
  echo "tests/README.md says what each layer shows and needs."
}

# Prints everything that is missing, with the layers that need it, and marks the layers that cannot run.
judge() {
  local layer lacks lack told=()
  declare -A found=() for_layers=()
  for layer in "${chosen[@]}"; do
    lacks=()
    look_for "$layer"
    ((${#lacks[@]} > 0)) || continue
    for lack in "${lacks[@]}"; do
      [[ -n ${for_layers[$lack]-} ]] || told+=("$lack")
      for_layers[$lack]+=" $layer"
    done
    mark "$layer" "$(IFS=';'; echo "${lacks[*]%%: *}")"
  done
  for lack in "${told[@]}"; do
    echo "missing for${for_layers[$lack]}: ${lack/ LAYERS/${for_layers[$lack]}}"
  done
}

# Adds the missing needs of a layer to `lacks`. Each need is checked once.
look_for() {
  local need
  for need in ${conditions[$1]-}; do
    found[$need]=${found[$need]-$("lacks_$need")}
    [[ -z ${found[$need]} ]] || lacks+=("${found[$need]}")
  done
  for need in ${packages[$1]-}; do
    found[$need]=${found[$need]-$(lacks_package "$need")}
    [[ -z ${found[$need]} ]] || lacks+=("${found[$need]}")
  done
}

# Marks a layer that cannot run as skipped, in CI as failed, because nobody would notice a skipped one there.
mark() {
  state[$1]=skipped
  [[ -z ${CI-} ]] || state[$1]=failed
  reason[$1]="missing: $2"
}

# Sets the steps: the layers, and before each of them the preparations that it uses.
add_preparations() {
  local name wanted=' '
  for name in "${chosen[@]}"; do
    [[ -n ${state[$name]-} ]] || wanted+="${uses[$name]-} "
  done
  for name in "${order[@]}"; do
    if is_one_of "$name" "${chosen[@]}" || [[ $wanted == *" $name "* ]]; then steps+=("$name"); fi
  done
  for name in "${steps[@]}"; do
    [[ -n ${state[$name]-} ]] || collect_packages "$name"
  done
  if ((${#to_install[@]} > 0)); then
    echo "to be installed: ${to_install[*]}"
    steps=(install "${steps[@]}")
  fi
  # One layer alone shows its output at once.
  if ((${#chosen[@]} == 1)); then lanes=1; fi
}

announce() {
  local step names=()
  for step in "${steps[@]}"; do
    [[ -n ${state[$step]-} ]] || names+=("$step")
  done
  echo "to be run: ${names[*]:-nothing}"
}

# Adds the missing packages of a step to the installation, and makes the step wait for it.
collect_packages() {
  local package wanted=${packages[$1]-}
  # Node.js is no Debian package here, because that of Debian 12 is too old.
  if is_one_of node ${conditions[$1]-} && ! is_here node; then wanted+=' python3 python3-venv node'; fi
  for package in $wanted; do
    is_here "$package" || {
      is_one_of install ${uses[$1]-} || uses[$1]+=' install'
      is_one_of "$package" "${to_install[@]-}" || to_install+=("$package")
    }
  done
}

# Whether the machine has a package, checked once.
declare -A here=()
is_here() {
  if [[ -z ${here[$1]-} ]]; then
    here[$1]=no
    ! has "$1" || here[$1]=yes
  fi
  [[ ${here[$1]} == yes ]]
}

run_install() { bring "${to_install[@]}"; }

run_step() {
  use_what_was_brought
  "run_$1"
}

# Prints the results; CI reads the last line. A run without a passed layer is a failure.
conclude() {
  local passed failed
  passed=$(count passed "${chosen[@]}")
  failed=$(count failed "${chosen[@]}")
  show_failures "${steps[@]}"
  echo
  show_table layer "${steps[@]}"
  echo
  echo "$passed passed, $failed failed"
  ((failed == 0 && passed > 0))
}
