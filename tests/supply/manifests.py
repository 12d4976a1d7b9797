"""Checks the manifests given as arguments, the daemon's first.

Each must forbid unsafe code in its package. The daemon's manifest states the minimum Rust version; no crate that the daemon is
built or tested with may need a newer one.
"""

import json
import subprocess
import sys
import tomllib


def main(paths):
    faults = [fault for path in paths for fault in unsafe_code(path)] + crates_that_need_a_newer_rust(paths[0])
    if faults:
        sys.exit("\n".join(faults))
    print("unsafe code is forbidden in", *paths)
    print(proof_of_rust_version(stated_rust_version(paths[0])))


def unsafe_code(path):
    level = lints(path).get("rust", {}).get("unsafe_code")
    return [] if level == "forbid" else [f'{path}: the lints of rust should have unsafe_code = "forbid", but have {level}']


def lints(path):
    """The lints of a package, or those of the daemon's workspace if the package inherits them."""
    own = read(path).get("lints", {})
    return read(sys.argv[1])["workspace"]["lints"] if own.get("workspace") else own


def crates_that_need_a_newer_rust(path):
    stated = stated_rust_version(path)
    return [
        f"{crate['name']} {crate['version']} needs Rust {crate['rust_version']}, but {path} says that {stated} is enough"
        for crate in metadata(path)["packages"]
        if crate["rust_version"] and number(crate["rust_version"]) > number(stated)
    ]


def proof_of_rust_version(stated):
    version = output("rustc", "--version").split()[1]
    if number(version)[:2] == number(stated)[:2]:
        return f"Rust {stated} is enough: this machine builds with {version}"
    return f"Rust {stated} is enough by what crates and clippy say; NOT BUILT with it, for this machine has {version}"


def stated_rust_version(path):
    return read(path)["package"]["rust-version"]


def metadata(path):
    return json.loads(output("cargo", "metadata", "--locked", "--all-features", "--format-version", "1", "--manifest-path", path))


def number(version):
    """A version as a list of numbers, so that 1.95 equals 1.95.0."""
    parts = [int(part) for part in version.split("-")[0].split(".")]
    return parts + [0] * (3 - len(parts))


def read(path):
    with open(path, "rb") as file:
        return tomllib.load(file)


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


main(sys.argv[1:])
