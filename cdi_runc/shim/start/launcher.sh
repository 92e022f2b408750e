#!/bin/sh
# cdi-runc: the OCI runtime that brings CDI devices to engines without CDI.
#
# Stands in front of every call of the real runtime, so it starts Python only where a container may be asking for a
# device. There are three gears: whatever is no create, run or restore goes straight to the runtime; so does a create
# whose config.json cannot hold a request, which one grep tells; all the rest goes to Python (boot.py), which also
# decides wherever this script is not certain. Every short cut below is one that Python would take as well:
# tests/shim/test_launcher.py drives both with the same cases.
#
# Plain POSIX sh, and no fork but for the grep. All variables are called _cdi_..., so that the runtime finds the
# caller's environment as it was.
# shellcheck disable=SC3013  # [ a -ef b ] is in every sh that this runs on: dash, bash, busybox ash

_cdi_python='' # the interpreter for the hot path, a bare one that starts fast
_cdi_full=''   # the interpreter that has PyYAML and jsonschema, for what may be slow
_cdi_lib=''    # the directory that holds the package cdi_runc

# Hand over to Python, with what it can no longer see for itself: our name, what stat said before it ignored SIGPIPE
# and SIGXFSZ, the caller's LC_ALL, which is C meanwhile: it starts sooner so, and sets no LC_CTYPE (PEP 538). First
# choice is code that was frozen for a version of Python that is here; else boot.py, which any can run and which
# freezes it.
_cdi_ask_python() {
    [ -n "$_cdi_lib" ] || _cdi_find_lib
    _cdi_python=${_cdi_python:-/usr/bin/python3} _cdi_start=$_cdi_lib/cdi_runc/shim/start/boot.py
    for _cdi_frozen in "$_cdi_lib"/cdi_runc/shim/start/__pycache__/frozen-3.*.pyc; do
        _cdi_version=${_cdi_frozen##*-}
        _cdi_try=${_cdi_python%/*}/python${_cdi_version%.pyc}
        if [ -x "$_cdi_try" ] && [ -s "$_cdi_frozen" ]; then
            _cdi_python=$_cdi_try _cdi_start=$_cdi_frozen
        fi
    done
    for _cdi_try in "$_cdi_python" /usr/local/bin/python3 "$_cdi_full"; do
        if [ -x "$_cdi_try" ]; then
            IFS= read -r _cdi_stat 2>/dev/null </proc/self/stat
            set -- "$_cdi_full" "$0" "${LC_ALL+=$LC_ALL}" "${_cdi_stat-}" "$_cdi_runtime" "$_cdi_config" "$@"
            export LC_ALL=C
            # shellcheck disable=SC2093  # the loop goes on only where there was nothing to exec
            exec "$_cdi_try" -I -S -X utf8 "$_cdi_start" "$@"
        fi
    done
    _cdi_go_without_python "$@"
}

# A host whose Python went away must still be able to look at its containers and to stop them.
_cdi_go_without_python() {
    for _cdi_word do
        case $_cdi_word in create | run | restore)
            echo "cdi-runc: no python3 to read the container's CDI devices with: install python3 (3.10 or newer)" >&2
            exit 1
            ;;
        esac
    done
    _cdi_find_runtime && exec "$_cdi_target" "$@"
    echo "cdi-runc: neither python3 nor the runtime '$_cdi_name' was found: install both (python3 3.10 or newer)" >&2
    exit 1
}

# Where pip installed this script, it baked no paths in: the package lies beside the script's bin directory.
_cdi_find_lib() {
    _cdi_self=$0
    [ ! -L "$0" ] || _cdi_self=$(readlink -f "$0")
    _cdi_bin=${_cdi_self%/*}
    for _cdi_lib in "$_cdi_bin"/../lib/python3*/site-packages "$_cdi_bin"/../lib/python3*/dist-packages; do
        [ ! -e "$_cdi_lib/cdi_runc/shim/start/boot.py" ] || break
    done
    _cdi_full=${_cdi_full:-$_cdi_bin/python3}
    [ -x "$_cdi_full" ] || _cdi_full=/usr/bin/python3 # pip for the whole system: /usr/local/bin has no python3
}

# Read what matters here from a config that is written in the simple form of the packaged one: comments, the known
# keys, plain words. Fail on anything else, then Python reads it. Sets _cdi_mapped, the path that the config gives our
# runtime, and adds to _cdi_asks, the pattern of a request. What only Python needs is passed over.
_cdi_read_config() {
    [ -f "$1" ] && [ -r "$1" ] || return 1
    _cdi_section='' _cdi_sections=''
    while IFS= read -r _cdi_line || [ -n "$_cdi_line" ]; do
        case $_cdi_line in
            '' | '#'*) continue ;;
            *[!][A-Za-z0-9' '_:/.,+@-]*) return 1 ;;
        esac
        case $_cdi_section:$_cdi_line in
            *:runtimes: | *:requests: | *:spec-dirs: | *:'spec-dirs: [/'*']' | *:'restore: ignore' | *:'restore: inject')
                _cdi_section=${_cdi_line%%:*}
                case $_cdi_sections in *" $_cdi_section "*) return 1 ;; esac
                _cdi_sections="$_cdi_sections $_cdi_section "
                ;;
            runtimes:'  '[a-z]*': /'*)
                _cdi_value=${_cdi_line#*': '}
                case $_cdi_value in *[' ':,]*) return 1 ;; esac
                if [ "${_cdi_line%%:*}" = "  $_cdi_name" ]; then
                    [ -z "$_cdi_mapped" ] || return 1
                    _cdi_mapped=$_cdi_value
                fi
                ;;
            spec-dirs:'  - /'* | spec-dirs:'- /'* | requests:'  annotations: [cdi.k8s.io/]') ;;
            requests:'  mounts: null' | requests:'  env: null') ;;
            requests:'  mounts: /'*[!/] | requests:'  env: '[A-Za-z_]*)
                _cdi_value=${_cdi_line#*': '}
                case $_cdi_value in *[!A-Za-z0-9_./-]*) return 1 ;; esac
                _cdi_asks="$_cdi_asks|${_cdi_value##*/}"
                ;;
            *) return 1 ;;
        esac
    done <"$1"
}

# Find the command and the bundle in an argv whose every word runc, crun and youki read alike; fail on any other.
_cdi_read_argv() {
    _cdi_command='' _cdi_bundle='' _cdi_id='' _cdi_value_of=''
    for _cdi_word do
        case $_cdi_value_of in
            '') ;;
            bundle) _cdi_bundle=$_cdi_word _cdi_value_of='' && continue ;;
            *) _cdi_value_of='' && continue ;;
        esac
        case $_cdi_command:$_cdi_word in
            :--root | :--log | :--log-format) _cdi_value_of=option ;;
            :--root=?* | :--log=?* | :--log-format=?* | :--rootless=?* | :--systemd-cgroup | :--debug) ;;
            :create | :run) _cdi_command=$_cdi_word ;;
            :start | :state | :kill | :delete | :exec | :list | :ps | :pause | :resume | :update | :events | :spec | \
                :features | :checkpoint | :--version)
                _cdi_command=$_cdi_word
                return
                ;;
            :*) return 1 ;;
            *:--bundle | *:-b)
                [ -z "$_cdi_bundle" ] || return 1
                _cdi_value_of=bundle
                ;;
            *:--bundle=?*)
                [ -z "$_cdi_bundle" ] || return 1
                _cdi_bundle=${_cdi_word#*=}
                ;;
            *:--pid-file | *:--console-socket | *:--preserve-fds) _cdi_value_of=option ;;
            *:--pid-file=?* | *:--console-socket=?* | *:--preserve-fds=?* | *:--no-pivot | *:--no-new-keyring) ;;
            run:--detach | run:-d | run:--keep | run:--no-subreaper) ;;
            *:-* | *:) return 1 ;;
            *)
                [ -z "$_cdi_id" ] || return 1
                _cdi_id=$_cdi_word
                ;;
        esac
    done
    _cdi_bundle=${_cdi_bundle:-.}
    [ -n "$_cdi_id" ] && [ -z "$_cdi_value_of" ]
}

# The runtime to wrap: what --cdi-runtime says, else the config, else the first on PATH; never this script again.
_cdi_find_runtime() {
    _cdi_target=${_cdi_runtime:-$_cdi_mapped}
    _cdi_rest=${PATH-}:
    while [ -z "$_cdi_target" ] && [ -n "$_cdi_rest" ]; do
        _cdi_dir=${_cdi_rest%%:*}
        _cdi_rest=${_cdi_rest#*:}
        case $_cdi_dir in
            /*) [ ! -f "$_cdi_dir/$_cdi_name" ] || [ ! -x "$_cdi_dir/$_cdi_name" ] || _cdi_target=$_cdi_dir/$_cdi_name ;;
            *) return 1 ;;
        esac
    done
    [ -f "$_cdi_target" ] && [ -x "$_cdi_target" ] && [ ! "$_cdi_target" -ef "$0" ]
}

# A runtime that is a wrapper of this script makes a loop of execs: one process whose time on a processor only grows.
# From a tenth of a second on, which has nine digits in nanoseconds, Python finds out what the runtime is; also where
# the kernel keeps no such account.
_cdi_is_young() {
    _cdi_ran='' _cdi_rest=''
    read -r _cdi_ran _cdi_rest 2>/dev/null </proc/self/schedstat
    case $_cdi_ran,$_cdi_rest in , | 0,'0 0' | ?????????*,*) return 1 ;; esac
}

_cdi_name=${0##*/}
_cdi_name=${_cdi_name#cdi-}
_cdi_runtime='' _cdi_config='' _cdi_mapped=''
_cdi_asks='cdi\.k8s\.io'

case ${1-} in --cdi-runtime=/*) _cdi_runtime=${1#*=} && shift ;; esac
case ${1-} in --cdi-config=/*) _cdi_config=${1#*=} && shift ;; esac
case ${1-} in --cdi-*) _cdi_ask_python "$@" ;; esac

if [ -n "$_cdi_config" ]; then
    _cdi_read_config "$_cdi_config" || _cdi_ask_python "$@"
elif [ -e "${XDG_CONFIG_HOME:-${HOME-}/.config}/cdi-runc/config.yaml" ]; then
    _cdi_ask_python "$@" # a user's own, which the host's root does not follow
elif [ -e /etc/cdi-runc/config.yaml ]; then
    _cdi_read_config /etc/cdi-runc/config.yaml || _cdi_ask_python "$@"
fi

if ! _cdi_read_argv "$@" || ! _cdi_find_runtime || ! _cdi_is_young; then
    _cdi_ask_python "$@"
fi

case $_cdi_command in create | run)
    # JSON can hide a letter of a request behind \u00XX alone, and Go's encoder writes \u0026, \u003c and \u003e for
    # & < >, which no request holds.
    [ -f "$_cdi_bundle/config.json" ] || _cdi_ask_python "$@"
    LC_ALL=C grep -aqE -e "$_cdi_asks|\\\\u00(2[d-fD-F]|3[0-9]|[4-7])" -- "$_cdi_bundle/config.json" 2>/dev/null
    [ $? -eq 1 ] || _cdi_ask_python "$@"
    ;;
esac
exec "$_cdi_target" "$@"
