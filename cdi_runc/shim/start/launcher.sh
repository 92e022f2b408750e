#!/bin/sh
# cdi-runc: an OCI runtime that gives containers their CDI devices, on engines without CDI.
#
# The reasons are at the end of the file: a shell parses what it reads, and this runs at every call.
# shellcheck disable=SC3013
# shellcheck disable=SC2030,SC2031

_cdi_python='' # the interpreter for the hot path, a bare one that starts fast
_cdi_full=''   # the interpreter that has PyYAML and jsonschema, for what may be slow
_cdi_lib=''    # the directory that holds the package cdi_runc

case ${POSIXLY_CORRECT=y} in *) ;; esac
unset -f [ read readlink echo
set +efu

_cdi_name=${0##*/}
_cdi_name=${_cdi_name#cdi-}
_cdi_runtime='' _cdi_config='' _cdi_mapped='' _cdi_settings=''
_cdi_grep=/usr/bin/grep
_cdi_newline='
'
_cdi_asks='cdi.k8s.io
\u002d
\u002e
\u002f
\u002D
\u002E
\u002F
\u0030
\u0031
\u0032
\u0033
\u0034
\u0035
\u0036
\u0037
\u0038
\u0039
\u004
\u005
\u006
\u007'

# Set _cdi_target.
_cdi_find_runtime() {
    case :${PATH-}: in *:[!/]*) return 1 ;; esac
    _cdi_target=${_cdi_runtime:-$_cdi_mapped}
    _cdi_rest=$PATH:
    while [ -z "$_cdi_target" ] && [ -n "$_cdi_rest" ]; do
        _cdi_dir=${_cdi_rest%%:*}
        _cdi_rest=${_cdi_rest#*:}
        [ ! -f "$_cdi_dir/$_cdi_name" ] || [ ! -x "$_cdi_dir/$_cdi_name" ] || _cdi_target=$_cdi_dir/$_cdi_name
    done
    [ -f "$_cdi_target" ] && [ -x "$_cdi_target" ] && [ ! "$_cdi_target" -ef "$0" ]
}

# Set _cdi_command and _cdi_file.
_cdi_read_argv() {
    _cdi_command='' _cdi_bundle='' _cdi_file='' _cdi_id='' _cdi_value_of=''
    _cdi_dialect=${_cdi_target##*/}
    _cdi_dialect=${_cdi_dialect%%-*}
    case $_cdi_dialect in runc | crun | krun | youki) ;; *) _cdi_dialect=${_cdi_name%%-*} ;; esac
    case $_cdi_dialect in crun | youki) ;; krun) _cdi_dialect=crun ;; *) _cdi_dialect=runc ;; esac
    for _cdi_word do
        case $_cdi_value_of in
            '') ;;
            bundle) _cdi_bundle=$_cdi_word _cdi_value_of='' && continue ;;
            file) _cdi_file=$_cdi_word _cdi_value_of='' && continue ;;
            *) _cdi_value_of='' && continue ;;
        esac
        if [ -z "$_cdi_command" ]; then
            case $_cdi_word in
                create | run) _cdi_command=$_cdi_word ;;
                state | start | kill | delete | exec | features | --version | list | ps | pause | resume | update | \
                    events | spec | checkpoint | info | mounts | --help | -v)
                    _cdi_command=$_cdi_word
                    return
                    ;;
                --root | --log | --log-format) _cdi_value_of=option ;;
                --root=?* | --log=?* | --log-format=?* | --rootless=?* | --systemd-cgroup | --debug) ;;
                *) case $_cdi_dialect,$_cdi_word in
                    crun,--cgroup-manager | crun,--log-level | youki,--log-level | youki,-[lr]) _cdi_value_of=option ;;
                    crun,--cgroup-manager=?* | crun,--log-level=?* | youki,--log-level=?*) ;;
                    youki,-s | youki,--systemd-log) ;;
                    *) return 1 ;;
                esac ;;
            esac
            continue
        fi
        case $_cdi_word in
            --bundle | -b)
                [ -z "$_cdi_bundle" ] || return 1
                _cdi_value_of=bundle
                ;;
            --bundle=?*)
                [ -z "$_cdi_bundle" ] || return 1
                _cdi_bundle=${_cdi_word#*=}
                ;;
            --pid-file | --console-socket | --preserve-fds) _cdi_value_of=option ;;
            --pid-file=?* | --console-socket=?* | --preserve-fds=?* | --no-pivot | --no-new-keyring) ;;
            -*) case $_cdi_command,$_cdi_word in
                run,--detach | run,-d | run,--keep | run,--no-subreaper) ;;
                *) case $_cdi_dialect,$_cdi_word in
                    runc,--pidfd-socket | youki,-[cp]) _cdi_value_of=option ;;
                    runc,--pidfd-socket=?* | crun,--no-subreaper) ;;
                    crun,--config | crun,-f)
                        [ -z "$_cdi_file" ] || return 1
                        _cdi_value_of='file'
                        ;;
                    crun,--config=?*)
                        [ -z "$_cdi_file" ] || return 1
                        _cdi_file=${_cdi_word#*=}
                        ;;
                    *) return 1 ;;
                esac ;;
            esac ;;
            *)
                [ -n "$_cdi_word" ] && [ -z "$_cdi_id" ] || return 1
                _cdi_id=$_cdi_word
                ;;
        esac
    done
    case $_cdi_file in '' | config.json) _cdi_file=${_cdi_bundle:-.}/config.json ;; esac
    [ -n "$_cdi_id" ] && [ -z "$_cdi_value_of" ]
}

_cdi_is_young() {
    [ -r /proc/self/schedstat ] && read -r _cdi_ran _cdi_rest </proc/self/schedstat || return
    case $_cdi_ran,$_cdi_rest in , | 0,'0 0' | ?????????*,*) return 1 ;; esac
}

_cdi_asks_for_nothing() {
    [ -f "$_cdi_file" ] && [ ! -L "$_cdi_file" ] || return 1
    _cdi_base=${_cdi_file##*/}
    [ ! -e "${_cdi_file%"$_cdi_base"}.$_cdi_base.after-cdi-runc" ] || return 1
    [ -x "$_cdi_grep" ] || _cdi_grep='grep'
    (
        unset GREP_OPTIONS
        export LC_ALL=C
        exec "$_cdi_grep" -asqF -e "$_cdi_asks" -- "$_cdi_file"
    )
    [ $? -eq 1 ]
}

_cdi_is_certain() {
    _cdi_find_runtime && _cdi_read_argv "$@" && _cdi_is_young || return
    case $_cdi_command in create | run) _cdi_asks_for_nothing ;; esac
}

# Set _cdi_settings.
_cdi_take_settings() {
    [ -f "$1" ] && [ -r "$1" ] || return 1
    while IFS= read -r _cdi_line || [ -n "$_cdi_line" ]; do
        case $_cdi_line in '' | '#'*) ;; *) _cdi_settings=$_cdi_settings$_cdi_line$_cdi_newline ;; esac
    done <"$1"
    _cdi_config_is='read'
    # A directory in one plain line is the commonest setting, and nothing that this script needs to know.
    case $_cdi_settings in "spec-dirs: [/"*"]$_cdi_newline")
        _cdi_line=${_cdi_settings#'spec-dirs: ['} && _cdi_line=${_cdi_line%"]$_cdi_newline"}
        case $_cdi_line in *[!A-Za-z0-9_./-]*) ;; *) _cdi_settings='' ;; esac
        ;;
    esac
}

case ${1-} in --cdi-runtime=/*) _cdi_runtime=${1#*=} && shift ;; esac
case ${1-} in --cdi-config=/*) _cdi_config=${1#*=} && shift ;; esac
_cdi_config_is=''
case ${1-} in
    --cdi-*) ;;
    *)
        if [ -n "$_cdi_config" ]; then
            _cdi_take_settings "$_cdi_config"
        elif [ -e "${XDG_CONFIG_HOME:-${HOME-}/.config}/cdi-runc/config.yaml" ]; then
            :
        elif [ -e /etc/cdi-runc/config.yaml ]; then
            _cdi_take_settings /etc/cdi-runc/config.yaml
        else
            _cdi_config_is='read'
        fi
        ;;
esac
if [ "$_cdi_config_is$_cdi_settings" = read ] && _cdi_is_certain "$@"; then
    exec "$_cdi_target" "$@"
fi

# ---- a config that sets something

# Read what matters here: _cdi_mapped is the path that the config gives our runtime, and _cdi_asks gets the words of
# more kinds of requests. What only Python needs is passed over. Fail on what is not written in a simple form, or is
# wrong: then Python reads it.
_cdi_read_settings() {
    _cdi_section='' _cdi_indent='' _cdi_seen=' '
    while [ -n "$_cdi_settings" ]; do
        _cdi_line=${_cdi_settings%%"$_cdi_newline"*}
        _cdi_settings=${_cdi_settings#*"$_cdi_newline"}
        case $_cdi_line in *[[:cntrl:]]*) return 1 ;; esac
        _cdi_line=${_cdi_line%%' #'*}
        _cdi_trim "$_cdi_line"
        case $_cdi_trimmed in
            '' | '#'*) ;;
            *[!][A-Za-z0-9' '\"\'_:/.,+@{}~-]*) return 1 ;;
            ---)
                [ "$_cdi_seen$_cdi_line" = ' ---' ] || return 1
                _cdi_seen=' --- '
                ;;
            *) _cdi_read_line "${_cdi_line%%[! ]*}" "$_cdi_trimmed" || return 1 ;;
        esac
    done
}

# _cdi_read_line INDENTATION TEXT
_cdi_read_line() {
    case $_cdi_section,$1,$2 in
        spec-dirs,*,'- '*)
            [ "${_cdi_indent:-$1.}" = "$1." ] || return 1
            _cdi_indent=$1.
            _cdi_is_path "${2#- }"
            ;;
        *,,*)
            _cdi_section='' _cdi_indent=''
            _cdi_split "$2" && _cdi_set_top "$_cdi_key" "$_cdi_value"
            ;;
        runtimes,* | requests,*)
            [ "${_cdi_indent:-$1.}" = "$1." ] || return 1
            _cdi_indent=$1.
            _cdi_split "$2" && _cdi_set "$_cdi_section" "$_cdi_key" "$_cdi_value"
            ;;
        *) return 1 ;;
    esac
}

# _cdi_set_top KEY VALUE: a key of the first level.
_cdi_set_top() {
    _cdi_is_new "$1" || return 1
    case $1,$2 in
        runtimes, | requests, | spec-dirs,) _cdi_section=$1 ;;
        restore, | trust, | audit,) ;;
        runtimes,'{'*'}' | requests,'{'*'}')
            _cdi_rest=${2#?}
            _cdi_read_object "$1" "${_cdi_rest%?}"
            ;;
        spec-dirs,'['*/*']')
            _cdi_rest=${2#?}
            _cdi_for_each _cdi_is_path "${_cdi_rest%?}"
            ;;
        *)
            _cdi_unquote "$2" || return 1
            case $1,$_cdi_plain in
                restore,ignore | restore,inject | trust,warn | trust,strict) ;;
                audit,none | audit,journal | audit,syslog) ;;
                audit,file:/*) _cdi_is_path "${_cdi_plain#file:}" ;;
                *) return 1 ;;
            esac
            ;;
    esac
}

# _cdi_set SECTION KEY VALUE: a key of the second level.
_cdi_set() {
    _cdi_is_new "$1.$2" || return 1
    case $1.$2,$3 in
        requests.mounts, | requests.env, | requests.mounts,null | requests.env,null | requests.mounts,~ | requests.env,~) ;;
        requests.kubelet,false) ;;
        requests.kubelet,true) _cdi_asks=$_cdi_asks${_cdi_newline}io.kubernetes.cri${_cdi_newline}pods ;;
        requests.kubelet-deadline,[1-9] | requests.kubelet-deadline,[1-5][0-9] | requests.kubelet-deadline,60) ;;
        requests.kubelet-dir,*) _cdi_is_path "$3" ;;
        requests.annotations,'['*']')
            _cdi_rest=${3#?}
            _cdi_for_each _cdi_ask_by_prefix "${_cdi_rest%?}"
            ;;
        requests.mounts,*)
            _cdi_is_path "$3" || return 1
            case $_cdi_plain in *//* | */ | *[+@]*) return 1 ;; esac
            _cdi_asks=$_cdi_asks$_cdi_newline${_cdi_plain##*/}
            ;;
        requests.env,*)
            _cdi_unquote "$3" || return 1
            case $_cdi_plain in '' | [0-9]* | *[!A-Za-z0-9_]*) return 1 ;; esac
            [ "$_cdi_plain" != "$3" ] || _cdi_is_string "$3" || return 1
            _cdi_asks=$_cdi_asks$_cdi_newline$_cdi_plain
            ;;
        runtimes.[a-z]*,*)
            case $2 in *[!a-z0-9_.-]*) return 1 ;; esac
            _cdi_is_string "$2" && _cdi_is_path "$3" || return 1
            [ "$2" != "$_cdi_name" ] || _cdi_mapped=$_cdi_plain
            ;;
        *) return 1 ;;
    esac
}

# _cdi_read_object SECTION TEXT: `KEY: VALUE, KEY: [ITEM, ITEM]`.
_cdi_read_object() {
    _cdi_trim "$2"
    _cdi_text=$_cdi_trimmed
    while [ -n "$_cdi_text" ]; do
        _cdi_item=${_cdi_text%%,*}
        case $_cdi_item in *': ['*) _cdi_item=${_cdi_text%%]*}] ;; esac
        _cdi_text=${_cdi_text#"$_cdi_item"}
        _cdi_trim "$_cdi_item"
        _cdi_split "$_cdi_trimmed" && [ -n "$_cdi_value" ] && _cdi_set "$1" "$_cdi_key" "$_cdi_value" || return 1
        _cdi_trim "$_cdi_text"
        case $_cdi_trimmed in
            '') return ;;
            ,?*) _cdi_trim "${_cdi_trimmed#,}" && _cdi_text=$_cdi_trimmed ;;
            *) return 1 ;;
        esac
    done
}

# _cdi_for_each FUNCTION TEXT: call it with each item of `ITEM, ITEM`.
_cdi_for_each() {
    _cdi_items=$2,
    case $2 in *[!' ']*) ;; *) return ;; esac
    while [ -n "$_cdi_items" ]; do
        _cdi_trim "${_cdi_items%%,*}"
        _cdi_items=${_cdi_items#*,}
        "$1" "$_cdi_trimmed" || return
    done
}

_cdi_ask_by_prefix() {
    _cdi_unquote "$1" || return
    case $_cdi_plain in '' | *[!A-Za-z0-9._/-]* | /* | *[!/]) return 1 ;; esac
    _cdi_asks=$_cdi_asks$_cdi_newline${_cdi_plain%%/*}
}

# _cdi_split TEXT: `KEY:` or `KEY: VALUE`, into _cdi_key and _cdi_value.
_cdi_split() {
    case $1 in
        *': '*) _cdi_key=${1%%': '*} && _cdi_trim "${1#*': '}" ;;
        *:) _cdi_key=${1%:} _cdi_trimmed='' ;;
        *) return 1 ;;
    esac
    _cdi_value=$_cdi_trimmed
}

_cdi_is_new() {
    case $_cdi_seen in *" $1 "*) return 1 ;; esac
    _cdi_seen="$_cdi_seen$1 "
}

# _cdi_is_path TEXT: an absolute path, without or in quotes, that is then in _cdi_plain.
_cdi_is_path() {
    _cdi_unquote "$1" || return
    case $_cdi_plain in *[!A-Za-z0-9_/.+@-]*) return 1 ;; /*) ;; *) return 1 ;; esac
}

# Words that YAML takes for true, false or nothing.
_cdi_is_string() {
    case $1 in
        [Tt]rue | TRUE | [Ff]alse | FALSE | [Nn]ull | NULL | [Yy]es | YES | [Nn]o | NO | [Oo]n | ON | [Oo]ff | OFF) return 1 ;;
    esac
}

_cdi_unquote() {
    _cdi_plain=$1
    case $1 in \"*\" | \'*\') _cdi_plain=${1#?} && _cdi_plain=${_cdi_plain%?} ;; esac
    case $_cdi_plain in *[\"\'{}]*) return 1 ;; esac
}

_cdi_trim() {
    _cdi_trimmed=${1#"${1%%[! ]*}"}
    _cdi_trimmed=${_cdi_trimmed%"${_cdi_trimmed##*[! ]}"}
}

if [ -n "$_cdi_settings" ] && _cdi_read_settings && _cdi_is_certain "$@"; then
    exec "$_cdi_target" "$@"
fi

# ---- Python

# Where pip installed this script, it wrote no paths into it: the package is beside the script's bin directory.
_cdi_find_lib() {
    _cdi_self=$0
    [ ! -L "$0" ] || _cdi_self=$(
        case :${PATH-}: in *:[!/]*) PATH=/usr/bin:/bin ;; esac
        exec readlink -f -- "$0"
    )
    _cdi_bin=${_cdi_self%/*}
    for _cdi_lib in "$_cdi_bin"/../lib/python3*/site-packages "$_cdi_bin"/../lib/python3*/dist-packages; do
        [ ! -e "$_cdi_lib/cdi_runc/shim/start/boot.py" ] || break
    done
    _cdi_full=${_cdi_full:-$_cdi_bin/python3}
    [ -x "$_cdi_full" ] || _cdi_full=/usr/bin/python3 # pip for the whole system: /usr/local/bin has no python3
}

# Fail for the reason $1. But a host without our Python must still be able to look at its containers and to stop them.
_cdi_go_without_python() {
    _cdi_reason=$1 && shift
    for _cdi_word do
        case $_cdi_word in create | run | restore | --cdi-*)
            echo "cdi-runc: $_cdi_reason" >&2
            exit 1
            ;;
        esac
    done
    _cdi_find_runtime && exec "$_cdi_target" "$@"
    echo "cdi-runc: $_cdi_reason; and the runtime '$_cdi_name' was not found" >&2
    exit 1
}

# Starts code that was frozen for this Python (freeze.py), and boot.py instead where that is damaged (it begins with its
# own hash), gone, or of another build of Python (_frozen_importlib_external tells its mark). boot.py freezes it again.
_cdi_thaw='import sys, marshal
__file__ = sys.argv.pop(1)
try:
    code = open(__file__, "rb", 0).read()
    if code[:4] != sys.modules["_frozen_importlib_external"].MAGIC_NUMBER: raise EOFError
    if code[8:16] != sys.modules["_imp"].source_hash(0, memoryview(code)[16:]): raise EOFError
    code = marshal.loads(memoryview(code)[16:])
except Exception:
    __file__ = __file__.rpartition("/__pycache__/")[0] + "/boot.py"
    code = compile(open(__file__).read(), __file__, "exec")
exec(code)'

[ -n "$_cdi_lib" ] || _cdi_find_lib
_cdi_start=$_cdi_lib/cdi_runc/shim/start
[ -f "$_cdi_start/boot.py" ] ||
    _cdi_go_without_python "its library is not in $_cdi_lib: install cdi-runc again" "$@"
_cdi_python=${_cdi_python:-/usr/bin/python3} _cdi_frozen=''
for _cdi_bin in "${_cdi_full%/*}" "${_cdi_python%/*}"; do
    for _cdi_file in "$_cdi_start"/__pycache__/frozen-3.*.pyc; do
        _cdi_version=${_cdi_file##*-}
        _cdi_try=$_cdi_bin/python${_cdi_version%.pyc}
        [ ! -x "$_cdi_try" ] || [ ! -f "$_cdi_file" ] || _cdi_python=$_cdi_try _cdi_frozen=$_cdi_file
    done
done
for _cdi_try in "$_cdi_python" /usr/local/bin/python3 "$_cdi_full"; do
    [ ! -x "$_cdi_try" ] || break
done
[ -x "$_cdi_try" ] ||
    _cdi_go_without_python "no python3 to read the container's CDI devices with: install python3 (3.10 or newer)" "$@"

# Python gets what it can no longer see for itself: our name, the caller's LC_ALL, PATH as the shell has it (its own
# default where the caller has none), and what stat said before Python ignored SIGPIPE and SIGXFSZ. LC_ALL is C
# meanwhile: Python starts sooner so, and sets no LC_CTYPE (PEP 538).
IFS= read -r _cdi_stat 2>/dev/null </proc/self/stat
set -- "$_cdi_full" "$0" "${LC_ALL+=$LC_ALL}" "${PATH-}" "${_cdi_stat-}" "$_cdi_runtime" "$_cdi_config" "$@"
export LC_ALL=C
[ -z "$_cdi_frozen" ] || exec "$_cdi_try" -I -S -X utf8 -c "$_cdi_thaw" "$_cdi_frozen" "$@"
exec "$_cdi_try" -I -S -X utf8 "$_cdi_start/boot.py" "$@"

# ---- Why it is so. From the top of the file on:
#
# This script runs at every call of the runtime, so it starts Python only where a container may ask for a device. Calls
# that are no create, run or restore go straight to the runtime. So does a create whose config.json cannot hold a
# request: one grep finds that out. Python (boot.py) gets all other calls, and those that this script is not certain
# about. It would take every short cut too: tests/shim/start/test_launcher.py drives both with the same cases.
#
# It is plain POSIX sh, for dash, bash and busybox ash, which all have [ A -ef B ]; and there is no fork but the grep.
# All variables are called _cdi_..., so that the runtime gets the caller's environment. A shell parses a script as it
# runs it. So what is rarely needed is at the end: the reader of a config that sets something, the start of Python, and
# these lines, which would cost every call 0.04 ms.
#
# POSIXLY_CORRECT: bash takes functions and options from the environment. In POSIX mode no function hides a special
#   builtin (exec, unset, set ...), and the other words that we use lose theirs. The line turns that mode on without
#   running any word, and exports nothing.
# _cdi_asks: JSON can hide the letters of a request only behind \u00XX. Go's encoder writes \u0026, \u003c and \u003e
#   for & < >, which no request holds.
# _cdi_find_runtime: what --cdi-runtime says, else the config, else the first on PATH. It is never this script, and never
#   a file of the working directory. Python decides where PATH leads there, or grep would be such a file.
# _cdi_read_argv: fails on any word that is not plain.
# _cdi_is_young: a runtime that is a wrapper of this script makes a loop of execs in one process. Python looks at the
#   runtime once this process has used a tenth of a second of processor time (nine digits in ns), or where the kernel
#   does not tell.
# _cdi_asks_for_nothing: the subshell is for dash. For a plain command it would use vfork, and then it unblocks all
#   signals, for the runtime too. /usr/bin/grep is found sooner than on PATH. Old greps obey GREP_OPTIONS.
#   A bundle that was run before has the edits of that run, also where it asks for nothing any more (earlier.py).
# _cdi_take_settings: the lines of a config that set something; fails where it can't be read. A user's own config, which
#   the host's root does not follow, is for Python to weigh.
