#!/usr/bin/env bash
# A real MariaDB for tests and development, on loopback only and without passwords there.
# Durable like a production server (InnoDB flushes at every commit), small in everything else.
set -eu
umask 022

usage() {
  cat <<'END'
usage: scripts/mariadb.sh start|stop|kill|status|wait [--port P] [--dir D] [--timeout S]

  start    find or install MariaDB, make the database, start, wait until it answers;
           nothing to do when it runs
  stop     end it in good order (open connections are cut), SIGKILL after the time-out
  kill     SIGKILL to all of its processes at once, for durability tests; the next start recovers
  status   say how it is: exit 0 answering, 1 running without answering, 3 not running
  wait     wait until it answers

  --port P     port on 127.0.0.1 (13306)
  --dir D      folder of data, log and socket (CACHE/mariadb-P)
  --timeout S  seconds that start, stop and wait may take (60)

CACHE is $YIQIAO_CACHE, or .cache in the repository. For root the server runs as the user mysql, or
nobody; where that user can't reach the folder, a folder in /var/tmp is used instead. On Debian, root
installs mariadb-server-core and mariadb-client-core when they are missing: programs only, no service.
User yiqiao owns the database yiqiao and what begins with yiqiao_; the superuser is root. start ends
with a line that a script can read:

  dsn=yiqiao@tcp(127.0.0.1:13306)/yiqiao
END
}

say() { printf 'mariadb: %s\n' "$*" >&2; }
die() { printf 'mariadb: error: %s\n' "$*" >&2; exit 1; }

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
    *) die "unknown argument $1 (see scripts/mariadb.sh help)" ;;
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

# find_bin sets server and client.
find_bin() {
  local d
  server='' client=''
  for d in "$(command -v mariadbd || true)" /usr/sbin/mariadbd /usr/libexec/mariadbd; do
    if [ -z "$server" ] && [ -n "$d" ] && [ -x "$d" ]; then server=$d; fi
  done
  client=$(command -v mariadb || true)
  [ -n "$server" ] && [ -n "$client" ] && command -v mariadb-install-db >/dev/null
}

install_server() {
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
    die "no MariaDB server in PATH: install it (Debian: apt-get install mariadb-server-core mariadb-client-core)"
  say "installing mariadb-server-core and mariadb-client-core (apt-get)"
  { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends mariadb-server-core mariadb-client-core; } >&2 ||
    die "apt-get could not install mariadb-server-core"
  find_bin || die "the package mariadb-server-core brought no server"
}

# choose_user sets user to who the server runs as; empty is ourselves.
choose_user() {
  local u
  user=''
  [ "$(id -u)" = 0 ] || return 0
  for u in mysql nobody; do
    if id -u "$u" >/dev/null 2>&1; then user=$u; return; fi
  done
  die "no user mysql or nobody to run the server as"
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
  d=${dir:-$cache/mariadb-${port:-13306}}
  local parent=$d
  while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
  if reachable "$parent"; then
    dir=$d
    # One name for a folder: the server's command line is compared with it.
    [ ! -d "$dir" ] || dir=$(cd "$dir" && pwd -P)
    return
  fi
  [ -z "$given" ] || die "user $user, as whom MariaDB runs, can't reach $given: open its parents (chmod a+x) or choose another --dir"
  dir=/var/tmp/yiqiao-$(printf '%s' "$cache" | cksum | cut -d ' ' -f 1)-mariadb-${port:-13306}
}

# make_dir makes the folder for the server's user alone.
make_dir() {
  mkdir -p "$(dirname "$dir")"
  if mkdir "$dir" 2>/dev/null; then
    chmod 700 "$dir"
    [ -z "$user" ] || chown "$user" "$dir"
  fi
  as_user test -O "$dir" || die "$dir does not belong to ${user:-$(id -un)}, as whom MariaDB runs"
  dir=$(cd "$dir" && pwd -P)
  as_user test -w "$dir" || die "${user:-$(id -un)}, as whom MariaDB runs, can't write to $dir"
}

# arguments prints the command line of a process, one argument a line.
arguments() {
  if [ -d "/proc/$$" ]; then
    { tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null
  else
    ps -ww -o args= -p "$1" 2>/dev/null | tr ' ' '\n'
  fi
}

# pid prints the server of this folder, if it lives. The number may have gone to another process since.
pid() {
  local p args
  p=$(cat "$dir/pid" 2>/dev/null) || return 1
  case $p in *[!0-9]* | '') return 1 ;; esac
  args=$(arguments "$p") || return 1
  printf '%s\n' "$args" | grep -qxF -e "--datadir=$dir/data" || return 1
  printf '%s\n' "$p"
}

# The port that the folder is running with, or ran with last.
known_port() { cat "$dir/port" 2>/dev/null || true; }
sql() { as_user "$client" --no-defaults --protocol=tcp -h 127.0.0.1 -P "$port" -u root --connect-timeout=2 -N -B "$@"; }
answers() { sql -e 'select 1' >/dev/null 2>&1; }
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

# init makes the data folder. The mark is set last: what was cut short is begun anew.
init() {
  [ -e "$dir/formatted" ] && return
  as_user rm -rf "$dir/data"
  as_user mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve >"$dir/install.log" 2>&1 ||
    { cat "$dir/install.log" >&2; die "mariadb-install-db failed"; }
  as_user touch "$dir/formatted"
}

make_database() {
  sql -e "create database if not exists yiqiao character set utf8mb4;
    create user if not exists 'yiqiao'@'127.0.0.1';
    grant all on yiqiao.* to 'yiqiao'@'127.0.0.1'; grant all on \`yiqiao\\_%\`.* to 'yiqiao'@'127.0.0.1';"
}

print_places() { printf 'dsn=yiqiao@tcp(127.0.0.1:%s)/yiqiao\n' "$port"; }

# launch starts the server apart from this script; it removes stale files of a dead one by itself.
launch() {
  local socket=$dir/sock
  [ "${#socket}" -le 100 ] || socket=/tmp/yiqiao-mariadb-$port.sock
  as_user "$server" --no-defaults --datadir="$dir/data" --bind-address=127.0.0.1 --port="$port" --socket="$socket" --pid-file="$dir/pid" \
    --skip-name-resolve --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=64M --max-connections=100 \
    --character-set-server=utf8mb4 --log-error="$dir/mariadb.log" </dev/null >"$dir/start.log" 2>&1 9>&- &
  started=$!
}
up() { answers || ! kill -0 "$started" 2>/dev/null; }

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
    port=${now:-${port:-13306}}
    await "$timeout" answers || die "pid $(pid) does not answer on 127.0.0.1:$port; its log is $dir/mariadb.log"
  else
    port=${port:-${now:-13306}}
    ! listening "$port" || die "port $port of 127.0.0.1 is taken by another program"
    init
    printf '%s\n' "$port" | put "$dir/port"
    [ ! -e "$dir/mariadb.log" ] || as_user mv "$dir/mariadb.log" "$dir/mariadb.log.1"
    as_user rm -f "$dir/pid"
    launch
    await "$timeout" up && answers ||
      { cat "$dir/start.log" >&2; tail -n 20 "$dir/mariadb.log" >&2 || true; die "the server did not start; its log is $dir/mariadb.log"; }
  fi
  make_database
  say "$("$server" --version) runs, pid $(pid), log $dir/mariadb.log"
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
  local p
  if gone; then say "not running"; return; fi
  p=$(pid)
  { sql -e shutdown && await "$timeout" dead "$p"; } ||
    { say "it did not end within $timeout s: SIGKILL"; kill_all; }
  say "stopped"
}

# kill_all leaves no time to tidy up, as when the power goes; the next start recovers.
kill_all() {
  local p
  p=$(pid) || return 0
  kill -KILL "$p" 2>/dev/null || true
  await 10 dead "$p" || die "the process of $dir does not end: $p"
}
dead() { # dead PID...: none is there, or only as a zombie that nobody has buried yet
  local p
  for p in "$@"; do
    ! kill -0 "$p" 2>/dev/null || [ -z "$(arguments "$p")" ] || return 1
  done
}

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
    answers || { echo "running without answering, pid $p, log $dir/mariadb.log"; exit 1; }
    echo "answering, pid $p, log $dir/mariadb.log"
    print_places ;;
  help | -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
