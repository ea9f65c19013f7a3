# shellcheck shell=bash
# What mariadb.sh and postgres.sh have in common; not to be run by itself. Who sources it has set
#   name       of messages, folders and the log
#   title      of the program
#   home_port  where nothing else is asked for
#   users      whom to run as when we are root, the first there is
# and defines usage, find_bin, install_server, pid, answers, init, launch (start it and wait until it answers),
# make_database, print_places, version, finish (end it in good order) and kill_all, and calls main.

say() { printf '%s: %s\n' "$name" "$*" >&2; }
die() { printf '%s: error: %s\n' "$name" "$*" >&2; exit 1; }

[ $# -gt 0 ] || { usage >&2; exit 2; }
command=$1
shift
port='' dir='' timeout=60
while [ $# -gt 0 ]; do
  case $1 in
    --port | --dir | --timeout)
      [ $# -gt 1 ] || die "$1 needs a value"
      case $1 in --port) port=$2 ;; --dir) dir=$2 ;; --timeout) timeout=$2 ;; esac
      shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $1 (see scripts/$name.sh help)" ;;
  esac
done
case $timeout in *[!0-9]* | '') die "--timeout: \"$timeout\" is not a number of seconds" ;; esac
case $port in *[!0-9]*) die "--port: \"$port\" is not a port" ;; esac
if [ -n "$port" ] && { [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; }; then die "--port: $port is not between 1 and 65535"; fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac; }
cache=$(absolute "${YIQIAO_CACHE:-$root/.cache}")
given=$dir
[ -z "$dir" ] || dir=$(absolute "$dir")
cd / # the server's user may have no business where we are

# choose_user sets user to who the server runs as; empty is ourselves.
choose_user() {
  local u
  user=''
  [ "$(id -u)" = 0 ] || return 0
  for u in $users; do
    if id -u "$u" >/dev/null 2>&1; then user=$u; return; fi
  done
  die "no user of $users to run the server as"
}

as_user() {
  if [ -z "$user" ]; then "$@"
  elif command -v setpriv >/dev/null; then
    setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups -- "$@"
  else
    runuser -u "$user" -- "$@"
  fi
}

# reachable says whether the server's user gets to an existing folder.
reachable() { as_user test -x "$1"; }

# choose_dir sets dir; it makes nothing. The nearest parent that exists tells whether the server's
# user could work there.
choose_dir() {
  local d
  d=${dir:-$cache/$name-${port:-$home_port}}
  local parent=$d
  while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
  if reachable "$parent"; then
    dir=$d
    # One name for a folder: the server's command line is compared with it.
    [ ! -d "$dir" ] || dir=$(cd "$dir" && pwd -P)
    return
  fi
  [ -z "$given" ] || die "user $user, as whom $title runs, can't reach $given: open its parents (chmod a+x) or choose another --dir"
  dir=/var/tmp/yiqiao-$(printf '%s' "$cache" | cksum | cut -d ' ' -f 1)-$name-${port:-$home_port}
}

# make_dir makes the folder for the server's user alone.
make_dir() {
  mkdir -p "$(dirname "$dir")"
  if mkdir "$dir" 2>/dev/null; then
    chmod 700 "$dir"
    [ -z "$user" ] || chown "$user" "$dir"
  fi
  as_user test -O "$dir" || die "$dir does not belong to ${user:-$(id -un)}, as whom $title runs"
  dir=$(cd "$dir" && pwd -P)
  as_user test -w "$dir" || die "${user:-$(id -un)}, as whom $title runs, can't write to $dir"
}

# arguments prints the command line of a process, one argument a line.
arguments() {
  if [ -d "/proc/$$" ]; then
    { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null
  else
    ps -ww -o args= -p "$1" 2>/dev/null | tr ' ' '\n'
  fi
}

# The port that the folder is running with, or ran with last.
known_port() { cat "$dir/port" 2>/dev/null || true; }
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

await() { # await SECONDS COMMAND...: polls until the command succeeds
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
}

# put FILE: standard input becomes the file, as the server's user.
put() { as_user dd of="$1" status=none; }

start() {
  local now
  find_bin || install_server
  choose_user
  choose_dir
  make_dir
  # One start at a time, where the system can say so.
  if command -v flock >/dev/null; then
    exec 9>"$dir/lock"
    flock -w "$timeout" 9 || die "another start is at work in $dir"
  fi
  now=$(known_port)
  if pid >/dev/null; then
    [ -z "$port" ] || [ -z "$now" ] || [ "$port" = "$now" ] || die "the server of $dir already runs on port $now"
    port=${now:-${port:-$home_port}}
    await "$timeout" answers || die "pid $(pid) does not answer on 127.0.0.1:$port; its log is $dir/$name.log"
  else
    port=${port:-${now:-$home_port}}
    ! listening "$port" || die "port $port of 127.0.0.1 is taken by another program"
    init
    printf '%s\n' "$port" | put "$dir/port"
    [ ! -e "$dir/$name.log" ] || as_user mv "$dir/$name.log" "$dir/$name.log.1"
    launch
  fi
  make_database
  say "$(version) runs, pid $(pid), log $dir/$name.log"
  print_places
}

# locate is for the commands that change nothing: 1 when there can be no server.
locate() {
  find_bin || return 1
  choose_user
  choose_dir
  port=$(known_port)
  [ -n "$port" ]
}

gone() { ! locate || ! pid >/dev/null; }

stop() {
  if gone; then say "not running"; return; fi
  finish || { say "it did not end within $timeout s: SIGKILL"; kill_all; }
  say "stopped"
}

dead() { # dead PID...: none is there, or only as a zombie that nobody has buried yet
  local p
  for p in "$@"; do
    ! kill -0 "$p" 2>/dev/null || [ -z "$(arguments "$p")" ] || return 1
  done
}

main() {
  case $command in
    start) start ;;
    stop) stop ;;
    kill)
      if gone; then say "not running"; exit 0; fi
      kill_all
      say "stopped" ;;
    wait)
      deadline=$((SECONDS + timeout))
      until locate && answers; do
        [ "$SECONDS" -lt "$deadline" ] || die "no answer within $timeout s"
        sleep 0.1
      done
      print_places ;;
    status)
      if gone; then echo "not running"; exit 3; fi
      p=$(pid)
      answers || { echo "running without answering, pid $p, log $dir/$name.log"; exit 1; }
      echo "answering, pid $p, log $dir/$name.log"
      print_places ;;
    help | -h | --help) usage ;;
    *) usage >&2; exit 2 ;;
  esac
}
