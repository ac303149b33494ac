# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Releases: what is checked before, what is written, and the tag. Nothing leaves the machine. Read by ../dev.

needs_release=(git=git python3=python3 dpkg-deb=dpkg abidw=abigail-tools)

# changes VERSION [FILE]: the section of that version, without its heading and the links at the end.
changes() {
    awk -v heading="## [$1]" '
        index($0, "## [") == 1 { on = index($0, heading) == 1; next }
        /^\[[^]]*\]: / { next }
        on' "${2:-$root/CHANGELOG.md}"
}

# note_tested: after all tests have passed, note for what. What is not committed is not noted for.
note_tested() {
    [ -z "$(git -C "$root" status --porcelain 2>/dev/null || echo none)" ] || return 0
    git -C "$root" rev-parse HEAD >"$root/build/tested"
}

# may_release VERSION: says what forbids it.
may_release() {
    local version=$1 last branch
    [[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]] || {
        echo "no version: $version"
        return 1
    }
    branch=$(git -C "$root" rev-parse --abbrev-ref HEAD) || return
    [ "$branch" = main ] || {
        echo "this is $branch, not main"
        return 1
    }
    [ -z "$(git -C "$root" status --porcelain)" ] || {
        echo 'not committed:'
        git -C "$root" status --porcelain
        return 1
    }
    [ "$(cat "$root/build/tested" 2>/dev/null)" = "$(git -C "$root" rev-parse HEAD)" ] || {
        echo "not tested as it is: ./dev test"
        return 1
    }
    if [ "$(sed -n 's/^project(tidemark VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")" != "$version" ] ||
        ! check_version; then
        echo "the sources are not of version $version"
        return 1
    fi
    grep -Eqx "## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}" "$root/CHANGELOG.md" || {
        echo "CHANGELOG.md has no section of $version with a date"
        return 1
    }
    [[ $(changes "$version") == *$'\n- '* ]] || {
        echo "CHANGELOG.md says nothing of $version"
        return 1
    }
    ! git -C "$root" rev-parse --quiet --verify "refs/tags/v$version" >/dev/null || {
        echo "there is a tag v$version"
        return 1
    }
    # The files are compared with the library by the tests, and here with those of the last release.
    last=$(git -C "$root" describe --tags --abbrev=0 --match "v${version%.*}.*" 2>/dev/null) || return 0
    git -C "$root" diff --exit-code --stat "$last" HEAD -- abi || {
        echo "the binary interface is not that of $last, of the same minor version"
        return 1
    }
}

# pack NAME DIRECTORY: the directory NAME in it as NAME.tar.gz, the same bytes for the same files.
pack() {
    tar --create --directory="$2" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
        --mode='u=rwX,go=rX' --mtime="@$(git -C "$root" log -1 --format=%ct)" "$1" |
        gzip -9 --no-name >"$2/$1.tar.gz"
}

# release_sources VERSION DIRECTORY: what was committed, and it as one file.
release_sources() {
    local amalgamation="tidemark-amalgamation-$1" out=$2
    git -C "$root" archive --format=tar --prefix="tidemark-$1/" HEAD | tar --extract --directory="$out" &&
        pack "tidemark-$1" "$out" &&
        python3 "$out/tidemark-$1/tools/amalgamate.py" "$out/$amalgamation" --version "$1" &&
        cp "$out/tidemark-$1/LICENSE" "$out/$amalgamation" &&
        pack "$amalgamation" "$out"
}

# release_package VERSION DIRECTORY: built from the sources as they were packed.
release_package() {
    local build="$2/build"
    cmake -S "$2/tidemark-$1" -B "$build" -G Ninja -DTIDE_BUILD_TESTS=OFF -DTIDE_BUILD_BENCH=OFF \
        -DTIDE_BUILD_REPLAY=OFF &&
        cmake --build "$build" --parallel "$jobs" &&
        (cd "$2" && cpack --config build/CPackConfig.cmake -G DEB) &&
        rm -rf "$2/_CPack_Packages"
}

release_sums() {
    (cd "$1" && sha256sum -- *.tar.gz *.deb 2>/dev/null >SHA256SUMS; [ -s SHA256SUMS ] && cat SHA256SUMS)
}

# release [--dry-run] [--sources] VERSION: check, write archives and a package to build, tag (--sources: a dry run of archives alone)
command_release() {
    local version='' dry=false archives=false out
    while [ $# -gt 0 ]; do
        case $1 in
        --dry-run) dry=true ;;
        --sources) dry=true archives=true ;;
        -*) die "release: no such option: $1" ;;
        *) version=$1 ;;
        esac
        shift
    done
    [ -n "$version" ] || die 'release: of which version?'
    $archives || need "${needs_build[@]}" "${needs_release[@]}"
    stage 'release: may it be' may_release "$version" || exit 1
    $archives || stage 'release: abi' check_abi || exit 1
    out="$root/build/release-$version"
    rm -rf "$out"
    mkdir -p "$out"
    stage 'release: sources' release_sources "$version" "$out" || exit 1
    $archives || stage 'release: package' release_package "$version" "$out" || exit 1
    rm -rf "$out/build" "$out/tidemark-$version" "$out/tidemark-amalgamation-$version"
    stage 'release: checksums' release_sums "$out" || exit 1
    sed 's/^/  /' "$out/SHA256SUMS"
    if $dry; then
        note "not tagged; in $out"
        return
    fi
    { printf 'Tidemark %s\n\n' "$version" && changes "$version"; } |
        git -C "$root" tag --annotate --cleanup=verbatim --file=- "v$version" || die 'release: the tag was refused'
    note "tagged v$version, not pushed; in $out"
}
