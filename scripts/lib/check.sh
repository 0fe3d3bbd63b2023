# shellcheck shell=bash
# Tests that are commands: each is counted, and what it says is shown where it fails.

passed=0 failed=0
# A file that takes what every command says; none where it is empty.
CHECK_LOG=''

# check NAME COMMAND...: counts whether the command ends well. What it says is shown when it does not, and behind its name when
# it is one line.
check() {
    local name=$1 seen said
    shift
    seen=$(mktemp "$CACHE/check.XXXXXX")
    # In a shell of its own: one that dies fails alone.
    if ("$@") >"$seen" 2>&1; then
        passed=$((passed + 1))
        said=''
        if [[ $(wc -l <"$seen") -le 1 && $(head -c 4 "$seen") != '==> ' ]]; then
            said=$(<"$seen")
        fi
        say "ok      $name${said:+ ($said)}"
    else
        failed=$((failed + 1))
        say "FAILED  $name"
        tail -n 40 "$seen" >&2
    fi
    [[ -z $CHECK_LOG ]] || { printf '== %s\n' "$name" && cat "$seen"; } >>"$CHECK_LOG"
    rm -f "$seen"
}

# checks_end WHAT: prints the count, as cargo words it, so that scripts/test.sh counts it, and fails if one has failed.
checks_end() {
    printf 'test result: %s. %d passed; %d failed; 0 ignored\n' "$1" "$passed" "$failed"
    ((failed == 0))
}
