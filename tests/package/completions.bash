#!/usr/bin/env bash
# Whoever presses Tab is offered what the command line takes, in each shell that the package has completions for.
# Needs no box: the shells are those of this machine, and the package is unpacked for them.
source "$(dirname "$0")/lib.bash"

after_the_program_every_option_is_offered() { each_offers 'cla-socketserver --' "$(options --help)"; }

after_a_command_its_options_are_offered() { each_offers 'cla-socketserver check --' "$(options check --help)"; }

the_start_of_an_option_is_enough() { each_offers 'cla-socketserver check --publ' --public-listen; }

the_start_of_a_command_is_enough() { each_shows 'cla-socketserver ch' check; }

a_file_is_offered_where_one_is_wanted() { each_shows 'cla-socketserver check --config /etc/hostn' /etc/hostname; }

# The options in what a shell shows for that line: each_offers LINE OPTIONS
each_offers() {
  local shell
  for shell in bash zsh fish; do
    echo "$shell"
    shown "$shell" "$1"
    same "$(grep -oE -e '--[a-z-]+\b' "$scratch/shown" | sort -u | paste -sd ' ')" "$2"
  done
}

each_shows() {
  local shell
  for shell in bash zsh fish; do
    echo "$shell"
    shown "$shell" "$1"
    grep -F -e "$2" "$scratch/shown"
  done
}

shown() {
  python3 "$root/tests/package/completions.py" "$1" "$scratch/usr" "$2" >"$scratch/shown"
  cat "$scratch/shown"
}

# As the program itself tells them.
options() { "$scratch/usr/bin/cla-socketserver" "$@" | grep -oE -e '--[a-z-]+\b' | sort -u | paste -sd ' '; }

dpkg-deb --extract "$(package)" "$scratch"
claim after_the_program_every_option_is_offered
claim after_a_command_its_options_are_offered
claim the_start_of_an_option_is_enough
claim the_start_of_a_command_is_enough
claim a_file_is_offered_where_one_is_wanted
