#!/usr/bin/env bash
# Tests kafka.sh, postgres.sh and mariadb.sh: on free ports, in a folder that is removed afterwards. Needs what
# they need; the downloads stay in the usual cache.
#   scripts/servers_test.sh [kafka] [postgres] [mariadb]
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
chmod 755 "$dir"
failed=0

# shellcheck disable=SC2329 # the trap calls it
cleanup() {
  "$here/kafka.sh" kill --dir "$dir/kafka" >/dev/null 2>&1 || true
  "$here/postgres.sh" kill --dir "$dir/postgres" >/dev/null 2>&1 || true
  "$here/mariadb.sh" kill --dir "$dir/mariadb" >/dev/null 2>&1 || true
  rm -rf "$dir"
}
trap cleanup EXIT

fail() { printf 'FAIL: %s\n' "$*"; failed=1; }

# run CODE COMMAND...: the command must end with that code; its output is in $dir/out and $dir/err.
run() {
  local want=$1 got=0 from=$SECONDS
  shift
  "$@" >"$dir/out" 2>"$dir/err" </dev/null || got=$?
  printf '%3ss  %s\n' "$((SECONDS - from))" "${*#"$here/"}"
  [ "$got" = "$want" ] || { fail "exit $got, want $want"; sed 's/^/      /' "$dir/out" "$dir/err"; }
}
prints() { grep -qE "$1" "$dir/out" || { fail "output lacks $1"; sed 's/^/      /' "$dir/out"; }; }
says() { grep -qE "$1" "$dir/err" || { fail "messages lack $1"; sed 's/^/      /' "$dir/err"; }; }

free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() { # four in a row: the last is for a start that must be refused
  local p
  while :; do
    p=$((20000 + RANDOM % 10000))
    if free $p && free $((p + 1)) && free $((p + 2)) && free $((p + 3)); then echo $p; return; fi
  done
}

# both SCRIPT DIR PORT LINE: what the two scripts promise alike.
both() {
  local script=$here/$1 d=$2 port=$3 line=$4
  run 3 "$script" status --dir "$d"
  run 0 "$script" stop --dir "$d"
  says 'not running'
  run 0 "$script" start --dir "$d" --port "$port"
  prints "$line"
  run 0 "$script" start --dir "$d" --port "$port"
  prints "$line"
  run 0 "$script" status --dir "$d"
  prints '^answering, pid [0-9]+'
  run 0 "$script" wait --dir "$d" --timeout 5
  prints "$line"
  run 1 "$script" start --dir "$d" --port $((port + 3))
  says "already runs on port $port"
  run 1 "$script" start --dir "$d-other" --port "$port"
  says "port $port of 127.0.0.1 is taken"
  run 0 "$script" kill --dir "$d"
  run 3 "$script" status --dir "$d"
  run 1 "$script" wait --dir "$d" --timeout 0
  run 0 "$script" start --dir "$d"
  prints "$line"
  run 0 "$script" stop --dir "$d"
  run 3 "$script" status --dir "$d"
}

run 2 "$here/kafka.sh"
run 1 "$here/kafka.sh" start --port 70000
run 1 "$here/postgres.sh" start --port x
run 0 "$here/kafka.sh" help
run 0 "$here/postgres.sh" help
run 1 "$here/mariadb.sh" start --port x
run 0 "$here/mariadb.sh" help

wanted=" ${*:-kafka postgres mariadb} "

case $wanted in *' postgres '*)
  port=$(free_port)
  both postgres.sh "$dir/postgres" "$port" "^dsn=postgres://yiqiao@127\.0\.0\.1:$port/yiqiao\?sslmode=disable\$"
  psql=$(command -v psql || ls /usr/lib/postgresql/*/bin/psql)
  run 0 "$here/postgres.sh" start --dir "$dir/postgres"
  dsn=$(sed -n 's/^dsn=//p' "$dir/out")
  run 0 "$psql" -X "$dsn" -c 'create table kept (n int)' -c 'insert into kept values (42)'
  run 0 "$here/postgres.sh" kill --dir "$dir/postgres"
  run 0 "$here/postgres.sh" start --dir "$dir/postgres"
  run 0 "$psql" -X -At "$dsn" -c 'select n from kept'
  prints '^42$'
  run 0 "$psql" -X -At "$dsn" -c "select string_agg(setting, ' ' order by name) from pg_settings where name in ('fsync', 'synchronous_commit', 'listen_addresses', 'max_connections')"
  prints '^on 127.0.0.1 100 on$'
  run 0 "$psql" -X -At "$dsn" -c "select rolsuper, rolcreatedb from pg_roles where rolname = current_user"
  prints '^f\|t$'
  run 0 "$here/postgres.sh" stop --dir "$dir/postgres"
  # The number of a dead server went to another process.
  sleep 60 &
  echo $! >"$dir/postgres/data/postmaster.pid"
  run 3 "$here/postgres.sh" status --dir "$dir/postgres"
  run 0 "$here/postgres.sh" start --dir "$dir/postgres"
  kill $!
  run 0 "$here/postgres.sh" stop --dir "$dir/postgres" ;;
esac

case $wanted in *' mariadb '*)
  port=$(free_port)
  both mariadb.sh "$dir/mariadb" "$port" "^dsn=yiqiao@tcp\(127\.0\.0\.1:$port\)/yiqiao\$"
  sql() { mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$port" -u yiqiao -N -B yiqiao -e "$1"; }
  run 0 "$here/mariadb.sh" start --dir "$dir/mariadb"
  run 0 sql 'create table kept (n int); insert into kept values (42); create database yiqiao_x'
  run 0 "$here/mariadb.sh" kill --dir "$dir/mariadb"
  run 0 "$here/mariadb.sh" start --dir "$dir/mariadb"
  run 0 sql 'select n from kept'
  prints '^42$'
  run 0 sql "select @@bind_address, @@innodb_flush_log_at_trx_commit"
  prints '^127.0.0.1.1$'
  run 1 sql 'create database other'
  run 0 "$here/mariadb.sh" stop --dir "$dir/mariadb"
  # The number of a dead server went to another process.
  sleep 60 &
  echo $! >"$dir/mariadb/pid"
  run 3 "$here/mariadb.sh" status --dir "$dir/mariadb"
  run 0 "$here/mariadb.sh" start --dir "$dir/mariadb"
  kill $!
  run 0 "$here/mariadb.sh" stop --dir "$dir/mariadb" ;;
esac

case $wanted in *' kafka '*)
  port=$(free_port)
  both kafka.sh "$dir/kafka" "$port" "^bootstrap=127\.0\.0\.1:$port\$"
  run 1 "$here/kafka.sh" start --dir "$dir/kafka" --sasl
  says 'first started without --sasl'
  # The number of a dead server went to another process.
  sleep 60 &
  echo $! >"$dir/kafka/pid"
  run 3 "$here/kafka.sh" status --dir "$dir/kafka"
  kill $!
  rm -rf "$dir/kafka"
  run 0 "$here/kafka.sh" start --dir "$dir/kafka" --port "$port" --sasl
  prints "^sasl_bootstrap=127\.0\.0\.1:$((port + 2))\$"
  prints "^sasl_ca=$dir/kafka/ca.pem\$"
  if command -v openssl >/dev/null; then
    run 0 openssl s_client -connect "127.0.0.1:$((port + 2))" -CAfile "$dir/kafka/ca.pem" -verify_ip 127.0.0.1 -verify_return_error
  fi
  run 0 "$here/kafka.sh" stop --dir "$dir/kafka" ;;
esac

if [ $failed = 0 ]; then echo "ok (${SECONDS}s)"; else echo "FAILED"; fi
exit $failed
