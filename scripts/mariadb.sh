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

name=mariadb title=MariaDB home_port=13306 users='mysql nobody'
# shellcheck source=scripts/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

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

# pid prints the server of this folder, if it lives. The number may have gone to another process since.
pid() {
  local p args
  p=$(cat "$dir/pid" 2>/dev/null) || return 1
  case $p in *[!0-9]* | '') return 1 ;; esac
  args=$(arguments "$p") || return 1
  printf '%s\n' "$args" | grep -qxF -e "--datadir=$dir/data" || return 1
  printf '%s\n' "$p"
}

sql() { as_user "$client" --no-defaults --protocol=tcp -h 127.0.0.1 -P "$port" -u root --connect-timeout=2 -N -B "$@"; }
answers() { sql -e 'select 1' >/dev/null 2>&1; }
version() { "$server" --version; }

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
  as_user rm -f "$dir/pid"
  [ "${#socket}" -le 100 ] || socket=/tmp/yiqiao-mariadb-$port.sock
  as_user "$server" --no-defaults --datadir="$dir/data" --bind-address=127.0.0.1 --port="$port" --socket="$socket" --pid-file="$dir/pid" \
    --skip-name-resolve --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=64M --max-connections=100 \
    --character-set-server=utf8mb4 --log-error="$dir/mariadb.log" </dev/null >"$dir/start.log" 2>&1 9>&- &
  started=$!
  await "$timeout" up && answers ||
    { cat "$dir/start.log" >&2; tail -n 20 "$dir/mariadb.log" >&2 || true; die "the server did not start; its log is $dir/mariadb.log"; }
}
up() { answers || ! kill -0 "$started" 2>/dev/null; }

finish() {
  local p
  p=$(pid)
  sql -e shutdown && await "$timeout" dead "$p"
}

# kill_all leaves no time to tidy up, as when the power goes; the next start recovers.
kill_all() {
  local p
  p=$(pid) || return 0
  kill -KILL "$p" 2>/dev/null || true
  await 10 dead "$p" || die "the process of $dir does not end: $p"
}

main
