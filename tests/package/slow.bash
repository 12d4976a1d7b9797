#!/usr/bin/env bash
# What takes minutes: the package built once more elsewhere, and Debian's own trial of installing and removing it.
source "$(dirname "$0")/lib.bash"

built_in_another_folder_it_is_the_same_byte_for_byte() {
  local elsewhere=$scratch/elsewhere built
  mkdir "$elsewhere"
  git -C "$root" ls-files -z --cached --others --exclude-standard |
    tar -C "$root" --null --files-from - -cf - | tar -C "$elsewhere" -xf -
  # Other times and modes of the sources, as another clone has them.
  find "$elsewhere" -type f -exec touch -d '2001-01-01' {} + -exec chmod g+w {} +
  built=$(env -u CARGO_TARGET_DIR "$elsewhere/packaging/build")
  [[ $built == "$elsewhere"/* ]]
  cmp "$built" "$(package)"
  cmp "$(symbols "$built")" "$(symbols "$(package)")"
}

piuparts_finds_nothing_that_it_leaves_behind() {
  local mirror
  mirror=$("$root/tests/package/sdbox" mirror)
  # The folder is debconf's in Debian 13, which the piuparts of Debian 12 does not know yet.
  piuparts --log-level error --ignore /var/cache/debconf/tmp.ci/ \
    --distribution "$suite" --mirror "$mirror main" "$(package)"
}

symbols() { ls "$(dirname "$1")"/cla-socketserver-dbgsym_*.deb; }

claim built_in_another_folder_it_is_the_same_byte_for_byte
for suite in "${suites[@]}"; do
  claim piuparts_finds_nothing_that_it_leaves_behind
done
