#!/usr/bin/env bash
# The Tab key offers the options and commands of the command line, in each shell that the package has completions for.
# Needs no box: the tests use the shells of this machine and the unpacked package.
source "$(dirname "$0")/lib.bash"

after_the_program_every_option_is_offered() { each_offers 'cla-socketserver --' "$(options --help)"; }

after_a_command_its_options_are_offered() { each_offers 'cla-socketserver check --' "$(options check --help)"; }

the_beginning_of_an_option_is_completed() { each_offers 'cla-socketserver check --publ' --public-listen; }

the_beginning_of_a_command_is_completed() { each_shows 'cla-socketserver ch' check; }

a_file_is_offered_as_an_argument() { each_shows 'cla-socketserver check --config /etc/hostn' /etc/hostname; }

# Checks the options that each shell offers for a line: each_offers LINE OPTIONS
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

# The options in the help of the program: options ARGUMENT...
options() { "$scratch/usr/bin/cla-socketserver" "$@" | grep -oE -e '--[a-z-]+\b' | sort -u | paste -sd ' '; }

dpkg-deb --extract "$(package)" "$scratch"
claim after_the_program_every_option_is_offered
claim after_a_command_its_options_are_offered
claim the_beginning_of_an_option_is_completed
claim the_beginning_of_a_command_is_completed
claim a_file_is_offered_as_an_argument
