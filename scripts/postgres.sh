#!/usr/bin/env bash
# A real PostgreSQL for tests and development, on loopback only and without passwords there.
# Durable like a production server (fsync, synchronous_commit), small in everything else.
set -eu
umask 022

usage() {
  cat <<'END'
usage: scripts/postgres.sh start|stop|kill|status|wait [--port P] [--dir D] [--timeout S]

  start    find or install PostgreSQL, make the database, start, wait until it answers;
           nothing to do when it runs
  stop     end it in good order (open connections are cut), SIGKILL after the time-out
  kill     SIGKILL to all of its processes at once, for durability tests; the next start recovers
  status   say how it is: exit 0 answering, 1 running without answering, 3 not running
  wait     wait until it answers

  --port P     port on 127.0.0.1 (15432)
  --dir D      folder of data, log and socket (CACHE/postgres-P)
  --timeout S  seconds that start, stop and wait may take (60)

CACHE is $YIQIAO_CACHE, or .cache in the repository. PostgreSQL refuses to run as root: for root
it runs as the user postgres, or nobody; where that user can't reach the folder, a folder in
/var/tmp is used instead. On Debian, root installs the package postgresql when it is missing.
Role yiqiao may make databases but is no superuser; the superuser is postgres. start ends with a
line that a script can read:

  dsn=postgres://yiqiao@127.0.0.1:15432/yiqiao?sslmode=disable
END
}

name=postgres title=PostgreSQL home_port=15432 users='postgres nobody'
# shellcheck source=scripts/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

# find_bin sets bin to the folder of the newest server.
find_bin() {
  local d
  bin=''
  while read -r d; do
    if [ -x "$d/initdb" ] && [ -x "$d/pg_ctl" ] && [ -x "$d/postgres" ]; then bin=$d; fi
  done <<END
$(dirname "$(command -v postgres || echo /none/postgres)")
$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V)
END
  [ -n "$bin" ]
}

install_server() {
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
    die "no PostgreSQL server under /usr/lib/postgresql or in PATH: install it (Debian: apt-get install postgresql)"
  say "installing postgresql (apt-get)"
  # Debian would make and start a server of its own on port 5432: not where it was not asked for.
  local conf=/etc/postgresql-common/createcluster.conf
  { apt-get -q update && export DEBIAN_FRONTEND=noninteractive &&
    apt-get -qy install --no-install-recommends postgresql-common &&
    cp -p "$conf" "$conf.yiqiao" && printf 'create_main_cluster = false\n' >>"$conf" &&
    apt-get -qy install --no-install-recommends postgresql; } >&2 || { restore "$conf"; die "apt-get could not install postgresql"; }
  restore "$conf"
  find_bin || die "the package postgresql brought no server under /usr/lib/postgresql"
}
restore() { [ ! -e "$1.yiqiao" ] || mv "$1.yiqiao" "$1"; }

# locked prints the process that the folder's lock file names, dead or alive.
locked() {
  local p
  p=$(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null) || return 1
  case $p in *[!0-9]* | '') return 1 ;; esac
  printf '%s\n' "$p"
}

# pid prints the server of this folder, if it lives. A lock file alone proves nothing: the number
# may have gone to another process since.
pid() {
  local p args
  p=$(locked) && args=$(arguments "$p") || return 1
  printf '%s\n' "$args" | grep -qxF -e "$dir/data" || return 1
  printf '%s\n' "$p"
}

# drop_stale_locks removes the lock files of a process that is a zombie or no PostgreSQL at all:
# PostgreSQL itself would believe them. Other stale ones it removes by itself.
drop_stale_locks() {
  local p
  p=$(locked) || return 0
  kill -0 "$p" 2>/dev/null || return 0
  arguments "$p" | grep -q postgres || as_user rm -f "$dir/data/postmaster.pid" "$dir"/.s.PGSQL.*.lock
}

answers() { as_user "$bin/pg_isready" -q -t 2 -h 127.0.0.1 -p "$port" -d yiqiao >/dev/null 2>&1; }
version() { "$bin/postgres" --version; }

# init makes the cluster. The mark is set last: what was cut short is begun anew.
init() {
  [ -e "$dir/formatted" ] && return
  as_user rm -rf "$dir/data"
  as_user "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; die "initdb failed"; }
  put "$dir/data/pg_hba.conf" <<'END'
# Nobody but this machine gets here: listen_addresses is 127.0.0.1.
local all all trust
host all all 127.0.0.1/32 trust
END
  { cat "$dir/data/postgresql.conf"; echo "include 'yiqiao.conf'"; } | put "$dir/data/postgresql.new"
  as_user mv "$dir/data/postgresql.new" "$dir/data/postgresql.conf"
  as_user touch "$dir/formatted"
}

configure() {
  local socket=$dir
  # A socket's path may have 107 bytes on Linux.
  [ "$((${#dir} + ${#port} + 12))" -le 100 ] || { socket=''; say "the path $dir is too long for a unix socket: TCP only"; }
  put "$dir/data/yiqiao.conf" <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$(printf '%s' "$socket" | sed "s/'/''/g")'
max_connections = 100
shared_buffers = 64MB
fsync = on
synchronous_commit = on
full_page_writes = on
log_line_prefix = '%m [%p] %q%u@%d '
END
}

sql() { as_user "$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -d postgres "$@"; }

make_database() {
  [ "$(sql -c "select count(*) from pg_roles where rolname = 'yiqiao'")" = 1 ] || sql -c 'create role yiqiao login createdb'
  [ "$(sql -c "select count(*) from pg_database where datname = 'yiqiao'")" = 1 ] || sql -c 'create database yiqiao owner yiqiao'
}

print_places() { printf 'dsn=postgres://yiqiao@127.0.0.1:%s/yiqiao?sslmode=disable\n' "$port"; }

launch() {
  configure
  drop_stale_locks
  as_user "$bin/pg_ctl" -D "$dir/data" -l "$dir/postgres.log" -t "$timeout" -w -s start </dev/null >"$dir/start.log" 2>&1 9>&- ||
    { cat "$dir/start.log" >&2; tail -n 20 "$dir/postgres.log" >&2; die "the server did not start; its log is $dir/postgres.log"; }
}

finish() { as_user "$bin/pg_ctl" -D "$dir/data" -m fast -t "$timeout" -w -s stop; }

# kill_all leaves no process to tidy up, as when the power goes. The next start would also refuse
# while one of them held the shared memory.
kill_all() {
  local p children
  p=$(pid) || return 0
  if [ -r /proc/self/status ]; then
    children=$(grep -ls "^PPid:[[:space:]]*$p\$" /proc/[0-9]*/status | cut -d / -f 3) || true
  else
    children=$(ps -A -o pid= -o ppid= | awk -v p="$p" '$2 == p {print $1}')
  fi
  # shellcheck disable=SC2086 # several numbers
  kill -KILL "$p" $children 2>/dev/null || true
  # shellcheck disable=SC2086
  await 10 dead "$p" $children || die "processes of $dir do not end: $p" $children
}

main
