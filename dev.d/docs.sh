# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The site and the manual pages. Read by ../dev.

needs_docs=(python3=python3 sphinx-build=python3-sphinx python3-myst-parser=python3-myst-parser
    python3-breathe=python3-breathe furo=furo doxygen=doxygen mandoc=mandoc)
docs="$root/build/docs"

# sphinx SOURCE OUT: warnings are errors, and so are references that lead nowhere and pages that no list has. Breathe's
# memory of headers that are no more is in the way, so nothing is kept.
sphinx() {
    rm -rf "$2" "$2.doctrees"
    TIDE_DOCS="$docs" PYTHONDONTWRITEBYTECODE=1 sphinx-build -q -W --keep-going -n -c "$root/docs" \
        -d "$2.doctrees" -b html "$1" "$2"
}

build_site() {
    python3 "$root/tools/reference" site "$docs" &&
        sphinx "$docs/source" "$docs/html" &&
        stage_remark="$(find "$docs/html" -name '*.html' | wc -l) pages"
}

build_manual() {
    local -a pages
    python3 "$root/tools/reference" man "$docs/man" &&
        pages=("$docs"/man/man3/*.3) &&
        mandoc -T lint -W warning "${pages[@]}" &&
        stage_remark="${#pages[@]} names"
}

# That each function has a comment, and each word of a comment a place; and that the drawings are of what is there.
check_reference() {
    python3 "$root/tools/reference" check && python3 "$root/tools/reference" self-test &&
        python3 "$root/tools/drawings.py" --check
}

check_links() {
    python3 "$root/tests/links.py" "$root" && python3 "$root/tests/links.py" --self-test "$root"
}

check_samples() {
    python3 "$root/tests/samples.py" "$root" && python3 "$root/tests/samples.py" --self-test "$root"
}

# Alive, too: what mdoc has not, a page that no list has, and a reference that leads nowhere must be refused.
check_docs() {
    local planted="$docs/planted" found what
    build_manual && build_site || return
    rm -rf "$planted"
    mkdir -p "$planted"
    printf '.Dd November 1, 2026\n.Dt X 3\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Zz\n' >"$planted/x.3"
    if mandoc -T lint -W warning "$planted/x.3" >/dev/null; then
        echo 'self-test: mandoc lets pass what is no macro'
        return 1
    fi
    cat >"$planted/index.md" <<'END'
# X

[x](gone.md)

```{eval-rst}
:c:func:`tide_gone`

.. doxygengroup:: gone
```
END
    echo '# Y' >"$planted/y.md"
    if found=$(sphinx "$planted" "$docs/planted-html" 2>&1); then
        echo 'self-test: Sphinx lets pass what is wrong'
        return 1
    fi
    for what in "'myst' reference target not found" 'target not found: tide_gone' \
        'Cannot find group "gone"' "isn't included in any toctree"; do
        if [[ $found != *"$what"* ]]; then
            printf 'self-test: Sphinx does not say "%s", but:\n%s\n' "$what" "$found"
            return 1
        fi
    done
}

# docs: make the site (build/docs/html) and the manual pages (build/docs/man), and check them
command_docs() {
    local check status=0
    need "${needs_build[@]}" "${needs_docs[@]}"
    for check in reference links samples; do
        stage "docs: $check" "check_$check" || status=1
    done
    stage 'docs: manual pages' build_manual || status=1
    stage 'docs: site' build_site || status=1
    note "site: $docs/html/index.html"
    note "manual pages: man -M $docs/man tide_map"
    return "$status"
}
