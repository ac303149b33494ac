#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# ./dev release, in a repository of its own: what must not be released is refused, each for its reason; what may be
# gives the same archives twice. Of the sources only what it looks at is taken, as it lies here.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemark release.XXXXXX")
trap 'rm -rf "$work"' EXIT
command -v git >/dev/null || {
    echo 'left out: git is not here'
    exit 77
}
# Nothing of whoever runs this: names, hooks, signatures.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=tests GIT_AUTHOR_EMAIL=tests GIT_COMMITTER_NAME=tests GIT_COMMITTER_EMAIL=tests
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
version=3.1.4
refused=0

git_here() {
    git -C "$work/repo" "$@"
}

# A repository where everything is as it has to be.
make() {
    git init --quiet --initial-branch=main "$work/repo"
    (cd "$root" && tar -cf - --exclude=target dev dev.d lib include tools/amalgamate.py abi LICENSE CMakeLists.txt meson.build CHANGELOG.md \
        bindings/rust/Cargo.toml bindings/rust/Cargo.lock) | tar -C "$work/repo" -xf -
    (
        cd "$work/repo"
        sed -i "s/^project(tidemark VERSION [0-9.]*/project(tidemark VERSION $version/" CMakeLists.txt
        sed -i "s/version: '[0-9.]*', license/version: '$version', license/" meson.build
        sed -i 's/^\(#define TIDE_VERSION_MAJOR\) .*/\1 3/; s/^\(#define TIDE_VERSION_MINOR\) .*/\1 1/
            s/^\(#define TIDE_VERSION_PATCH\) .*/\1 4/' include/tidemark/tidemark.h
        sed -i "s/^version = \"[0-9.]*\"/version = \"$version\"/" bindings/rust/Cargo.toml bindings/rust/Cargo.lock
        sed -i "s/^## \[[0-9.]*\] - .*/## [$version] - 2000-01-02/" CHANGELOG.md
        echo build/ >.gitignore
    )
    saved
    base=$(git_here rev-parse HEAD)
}

# The same once more.
again() {
    git_here checkout --quiet --force main
    git_here reset --quiet --hard "$base"
    git_here clean --quiet --force -d
    git_here tag --list | while read -r tag; do git_here tag --delete "$tag" >/dev/null; done
    tested
}

# Committed and tested.
saved() {
    git_here add --all
    GIT_COMMITTER_DATE='2000-01-02T03:04:05Z' GIT_AUTHOR_DATE='2000-01-02T03:04:05Z' \
        git_here commit --quiet --allow-empty --message=state
    tested
}

tested() {
    mkdir -p "$work/repo/build"
    git_here rev-parse HEAD >"$work/repo/build/tested"
}

release() {
    (cd "$work/repo" && ./dev release --sources "$@") >"$work/said" 2>&1
}

# refuses WORDS [VERSION]: it does, and says why.
refuses() {
    if release "${2:-$version}"; then
        echo "released, which should say: $1"
        exit 1
    fi
    grep -q -- "$1" "$work/said" || {
        echo "refused, but not for this: $1"
        cat "$work/said"
        exit 1
    }
    [ ! -e "$work/repo/build/release-$version" ] || {
        echo "refused, and something was written: $1"
        exit 1
    }
    refused=$((refused + 1))
    again
}

edit() {
    sed -i "$1" "$work/repo/$2"
}

make
refuses 'no version' 3.1
refuses 'the sources are not of version 3.1.5' 3.1.5
echo >>"$work/repo/dev"
refuses 'not committed'
echo >"$work/repo/new"
refuses 'not committed'
git_here checkout --quiet -b other
refuses 'this is other'
rm "$work/repo/build/tested"
refuses 'not tested'
git_here commit --quiet --allow-empty --message=later
refuses 'not tested'
edit 's/^\(#define TIDE_VERSION_PATCH\) .*/\1 5/' include/tidemark/tidemark.h && saved
refuses 'the sources are not of version'
edit "s/version: '3.1.4'/version: '3.1.5'/" meson.build && saved
refuses 'the sources are not of version'
edit 's/^version = .*/version = "3.1.5"/' bindings/rust/Cargo.toml && saved
refuses 'the sources are not of version'
edit "/^## \[$version\]/d" CHANGELOG.md && saved
refuses 'no section'
edit "s/^\(## \[$version\]\) .*/\1 - unreleased/" CHANGELOG.md && saved
refuses 'no section'
edit '/^- /d' CHANGELOG.md && saved
refuses 'says nothing'
git_here tag "v$version"
refuses 'there is a tag'
git_here tag v3.1.3 && echo '<!-- changed -->' >>"$work/repo/abi/tidemark.abi" && saved
refuses 'binary interface'

# What ./dev test notes: nothing where something is not committed.
# shellcheck disable=SC2016 # it is for the other shell
note=(env root="$work/repo" bash -c '. "$root/dev.d/release.sh" && note_tested')
rm "$work/repo/build/tested"
echo >"$work/repo/new"
"${note[@]}"
[ ! -e "$work/repo/build/tested" ] || {
    echo 'tested is said of what is not committed'
    exit 1
}
rm "$work/repo/new"
"${note[@]}"
[ "$(cat "$work/repo/build/tested")" = "$(git_here rev-parse HEAD)" ]

# After another minor version it may change.
git_here tag v3.0.9 && echo '<!-- changed -->' >>"$work/repo/abi/tidemark.abi" && saved
for copy in one two; do
    release "$version" || {
        cat "$work/said"
        exit 1
    }
    mv "$work/repo/build/release-$version" "$work/$copy"
    # The second time elsewhere, later, and with other rights for new files.
    mv "$work/repo" "$work/elsewhere"
    git clone --quiet "$work/elsewhere" "$work/repo"
    rm -rf "$work/elsewhere"
    tested
    umask 077
done
diff -r "$work/one" "$work/two"
(cd "$work/one" && sha256sum --quiet --check SHA256SUMS && [ "$(wc -l <SHA256SUMS)" -eq 2 ])
tar -xzf "$work/one/tidemark-$version.tar.gz" -C "$work"
diff -r --exclude=.git --exclude=build "$work/tidemark-$version" "$work/repo"
tar -tzf "$work/one/tidemark-amalgamation-$version.tar.gz" >"$work/said"
grep -q '/tidemark\.c$' "$work/said"
[ -z "$(git -C "$work/repo" tag --list "v$version")" ] || {
    echo 'a dry run has made a tag'
    exit 1
}
echo "$refused refused, and the archives are the same twice"
