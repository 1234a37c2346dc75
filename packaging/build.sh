#!/bin/sh
# Builds the program that is handed out, target/packaging/vultus: stripped, about 74 MB, of which 44 MB are
# networks.
set -eu
cd "$(dirname "$0")/.."

# The linker that Rust brings for x86-64 folds functions that are alike and packs relocations, which glibc 2.36 and
# later read; functions are copied between crates only where they are small.
flags='-C llvm-args=-import-instr-limit=10'
[ "$(uname -m)" != x86_64 ] || flags="$flags -C link-arg=-Wl,--icf=all -C link-arg=-Wl,-z,pack-relative-relocs"
# shellcheck disable=SC2086
exec cargo rustc --profile packaging --features packed-networks --locked --bin vultus -- $flags
