#!/usr/bin/env bash
# Tests that take minutes: a second build of the package in another folder, and piuparts.
source "$(dirname "$0")/lib.bash"

a_build_in_another_folder_is_identical() {
  local elsewhere=$scratch/elsewhere built
  mkdir "$elsewhere"
  git -C "$root" ls-files -z --cached --others --exclude-standard |
    tar -C "$root" --null --files-from - -cf - | tar -C "$elsewhere" -xf -
  # Other times and modes of the sources, as in another clone.
  find "$elsewhere" -type f -exec touch -d '2001-01-01' {} + -exec chmod g+w {} +
  built=$(env -u CARGO_TARGET_DIR "$elsewhere/packaging/build")
  [[ $built == "$elsewhere"/* ]]
  cmp "$built" "$(package)"
  cmp "$(symbols "$built")" "$(symbols "$(package)")"
}

piuparts_finds_no_leftovers() {
  local mirror
  mirror=$("$root/tests/package/sdbox" mirror)
  # The folder belongs to debconf in Debian 13; the piuparts of Debian 12 does not know it.
  piuparts --log-level error --ignore /var/cache/debconf/tmp.ci/ \
    --distribution "$suite" --mirror "$mirror main" "$(package)"
}

symbols() { ls "$(dirname "$1")"/cla-socketserver-dbgsym_*.deb; }

claim a_build_in_another_folder_is_identical
for suite in "${suites[@]}"; do
  claim piuparts_finds_no_leftovers
done
