# shellcheck shell=bash
# The arguments of a script.

# usage FILE: prints the comment block at the top of a script as its help text.
usage() {
    awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"
    printf '\nWhere Rust is missing or too old, every script says so and stops; with --install-rust it installs or updates Rust (rustup).\n'
}

# options SPEC... -- ARGUMENT...: reads the arguments of a script. SPEC is one of
#
#   name=   --name VALUE sets the variable name
#   name?   --name sets it to yes, --name /PATH to that path
#   name    --name sets it to yes
#   ...     other arguments are allowed; they go to the array ARGUMENTS
#
# A dash in the name is an underscore in the variable. --help prints the usage and ends the script.
options() {
    local specs=() spec option value
    ARGUMENTS=()
    while [[ $1 != -- ]]; do
        specs+=("$1")
        shift
    done
    shift
    while (($#)); do
        case $1 in
        -h | --help)
            usage "$0"
            exit
            ;;
        --install-rust)
            export INSTALL_RUST=yes
            shift
            continue
            ;;
        -?*) ;;
        *)
            [[ " ${specs[*]} " == *' ... '* ]] || die "unknown argument '$1'; see --help"
            ARGUMENTS+=("$1")
            shift
            continue
            ;;
        esac
        option=${1#--} value=yes spec=''
        for spec in "${specs[@]}" ''; do
            [[ $1 == --* && ${spec%[=?]} == "$option" && $spec != ... ]] && break
        done
        case $spec in
        '') die "unknown argument '$1'; see --help" ;;
        *=)
            (($# > 1)) || die "$1 needs a value; see --help"
            value=$2
            shift
            ;;
        *\?)
            if [[ ${2:-} == /* ]]; then
                value=$2
                shift
            fi
            ;;
        esac
        printf -v "${option//-/_}" '%s' "$value"
        shift
    done
}

# no_arguments ARGUMENT...: for a script that takes none.
no_arguments() { options -- "$@"; }

# argument DEFAULT: the only argument that the script may have been given.
argument() {
    ((${#ARGUMENTS[@]} <= 1)) || die "unknown argument '${ARGUMENTS[1]}'; see --help"
    printf '%s\n' "${ARGUMENTS[0]:-$1}"
}

# whole_numbers VALUE...: ends the script unless each is a whole number above 0.
whole_numbers() {
    local number
    for number in "$@"; do
        [[ $number =~ ^[1-9][0-9]*$ ]] || die "'$number' is not a whole number above 0"
    done
}
