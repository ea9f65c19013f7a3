#!/usr/bin/env bash
# A real Apache Kafka for tests and development: one node, broker and controller in one process,
# on loopback only. Not a production set-up: see deploy/compose.yaml for three brokers.
set -eu
umask 022

usage() {
  cat <<'END'
usage: scripts/kafka.sh start|stop|kill|status|wait [--port P] [--dir D] [--sasl] [--timeout S]

  start    fetch Kafka on first use, start it, wait until it answers; nothing to do when it runs
  stop     let it shut down in good order, SIGKILL after the time-out
  kill     SIGKILL at once, for durability tests; the next start recovers
  status   say how it is: exit 0 answering, 1 running without answering, 3 not running
  wait     wait until it answers

  --port P     port of the broker on 127.0.0.1 (19092); P+1 is the controller's, P+2 is --sasl's
  --dir D      folder of data, log and pid file (CACHE/kafka-run-P)
  --sasl       also listen on P+2 with TLS and SCRAM-SHA-256/512; chosen at the first start of a
               folder and remembered there. User yiqiao, password $YIQIAO_KAFKA_PASSWORD or
               "yiqiao-test"
  --timeout S  seconds that start, stop and wait may take (60)

CACHE is $YIQIAO_CACHE, or .cache in the repository. $YIQIAO_KAFKA_VERSION asks for another
release (4.x, or 3.9.x);
$YIQIAO_KAFKA_JVM replaces the JVM's options, for benchmarks. Needs Java 17 or newer, and Maven for the download; as root on Debian
both are installed when missing. start ends with lines that a script can read:

  bootstrap=127.0.0.1:19092
END
}

say() { printf 'kafka: %s\n' "$*" >&2; }
die() { printf 'kafka: error: %s\n' "$*" >&2; exit 1; }

version=${YIQIAO_KAFKA_VERSION:-4.4.0}
case $version in *[!0-9.]* | '') die "YIQIAO_KAFKA_VERSION: \"$version\" is not a version" ;; esac

# Little heap and the quick compiler: tests start it often and ask little of it.
jvm=${YIQIAO_KAFKA_JVM:--Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}

[ $# -gt 0 ] || { usage >&2; exit 2; }
command=$1
shift
port='' dir='' sasl='' timeout=60
while [ $# -gt 0 ]; do
  case $1 in
    --port | --dir | --timeout)
      [ $# -gt 1 ] || die "$1 needs a value"
      case $1 in --port) port=$2 ;; --dir) dir=$2 ;; --timeout) timeout=$2 ;; esac
      shift 2 ;;
    --sasl) sasl=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $1 (see scripts/kafka.sh help)" ;;
  esac
done
case $timeout in *[!0-9]* | '') die "--timeout: \"$timeout\" is not a number of seconds" ;; esac
case $port in *[!0-9]*) die "--port: \"$port\" is not a port" ;; esac
if [ -n "$port" ] && { [ "$port" -lt 1 ] || [ "$port" -gt 65533 ]; }; then die "--port: $port is not between 1 and 65533"; fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac; }
cache=$(absolute "${YIQIAO_CACHE:-$root/.cache}")
home=$cache/kafka-$version
dir=$(absolute "${dir:-$cache/kafka-run-${port:-19092}}")
# One name for a folder: the server's command line is compared with it.
[ ! -d "$dir" ] || dir=$(cd "$dir" && pwd -P)
# The port that the folder is running with, or ran with last.
known=$(cat "$dir/port" 2>/dev/null || true)

# pid prints the process of this folder, if it lives. A pid file alone proves nothing: the
# number may have gone to another process since.
pid() {
  local p args
  p=$(cat "$dir/pid" 2>/dev/null) || return 1
  case $p in *[!0-9]* | '') return 1 ;; esac
  if [ -r "/proc/$p/cmdline" ]; then
    args=$({ tr '\0' '\n' <"/proc/$p/cmdline"; } 2>/dev/null) || return 1
  else
    args=$(ps -ww -o args= -p "$p" 2>/dev/null | tr ' ' '\n') || return 1
  fi
  printf '%s\n' "$args" | grep -qxF -e "-Dyiqiao.kafka.dir=$dir" || return 1
  printf '%s\n' "$p"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# answers asks for metadata (version 1, no topics) and wants at least one broker in the answer. An
# open port is not enough: it opens before the controller lets the broker work.
answers() (
  # The shell itself complains when it can't connect.
  { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || exit 1
  printf '\0\0\0\016\0\003\0\001\0\0\0\007\377\377\0\0\0\0' >&3 2>/dev/null || exit 1
  got=''
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do # size, correlation id, number of brokers: 4 bytes each
    LC_ALL=C IFS='' read -r -d '' -n 1 -t 2 byte <&3 || exit 1
    got="$got$(printf '%d' "'$byte") "
  done
  # shellcheck disable=SC2086 # twelve words
  set -- $got
  [ "$8" = 7 ] && [ "${12}" != 0 ]
)

root_can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install_packages() {
  say "installing $* (apt-get)"
  { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"; } >&2 ||
    die "apt-get could not install $*"
}

need_java() {
  if ! command -v java >/dev/null; then
    root_can_install || die "no java: install Java 17 or newer (Debian: apt-get install default-jre-headless)"
    install_packages default-jre-headless
  fi
  local v
  release=$(java -version 2>&1) || die "java -version failed: $release"
  v=$(printf '%s\n' "$release" | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${v:-0}" -ge 17 ] || die "java is version ${v:-unknown}, Kafka needs 17 or newer: $(command -v java)"
  # The classes of one JVM as it likes to map them: saves two thirds of the processor time of a
  # start. Written by the first server that is stopped in good order, see keep_archive.
  archive=$home/classes-$(printf '%s' "$release$home" | cksum | tr -d ' ').jsa
}

fetch() {
  [ -e "$home/complete" ] && return
  if ! command -v mvn >/dev/null; then
    root_can_install || die "no mvn: install Maven for the download (Debian: apt-get install maven)"
    install_packages maven
  fi
  say "fetching Apache Kafka $version from Maven Central (about 45 MB, kept in $home)"
  local part
  part=$(mktemp -d "$cache/kafka-part.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$part'" EXIT
  # Kafka brings slf4j without anything behind it: slf4j-simple writes the log.
  cat >"$part/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>yiqiao</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
END
  set -- mvn -Dstyle.color=never --strict-checksums -f "$part/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$part/lib"
  if [ -t 2 ]; then # somebody watches: Maven shows its progress
    "$@" >&2 || die "Maven could not fetch org.apache.kafka:kafka_2.13:$version, see above"
  else
    "$@" -B -ntp >"$part/log" 2>&1 ||
      { grep -F '[ERROR]' "$part/log" >&2 || tail -n 20 "$part/log" >&2; die "Maven could not fetch org.apache.kafka:kafka_2.13:$version"; }
    rm "$part/log"
  fi
  touch "$part/complete"
  chmod 755 "$part"
  rm -rf "$home"
  mv "$part" "$home"
  trap - EXIT
}

write_config() {
  local listeners="PLAINTEXT://127.0.0.1:$port" secure=''
  if [ -e "$dir/sasl" ]; then
    secure=",SASL_SSL://127.0.0.1:$((port + 2))"
  fi
  cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=$listeners,CONTROLLER://127.0.0.1:$((port + 1))$secure
advertised.listeners=$listeners$secure
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs=$dir/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=4194304
# After a SIGKILL the broker is let in again when its old session is over.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
END
  [ -n "$secure" ] || return 0
  cat >>"$dir/server.properties" <<END
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PKCS12
ssl.keystore.location=$dir/server.p12
ssl.keystore.password=yiqiao-test
END
}

# make_certificate makes a self-signed server certificate; clients trust it through ca.pem.
make_certificate() {
  [ -e "$dir/ca.pem" ] && return
  rm -f "$dir/server.p12"
  { keytool -genkeypair -alias kafka -keyalg EC -groupname secp256r1 -validity 3650 -dname CN=localhost \
    -ext SAN=IP:127.0.0.1,DNS:localhost -ext BC:c=ca:true \
    -storetype PKCS12 -keystore "$dir/server.p12" -storepass yiqiao-test &&
    keytool -exportcert -rfc -alias kafka -keystore "$dir/server.p12" -storepass yiqiao-test -file "$dir/ca.pem.new"
  } >"$dir/keytool.log" 2>&1 || { cat "$dir/keytool.log" >&2; die "keytool could not make the certificate"; }
  mv "$dir/ca.pem.new" "$dir/ca.pem"
}

# format prepares an empty data folder. The mark is set last: what was cut short is begun anew.
format() {
  [ -e "$dir/formatted" ] && return
  local user='' password=${YIQIAO_KAFKA_PASSWORD:-yiqiao-test} m id
  rm -rf "$dir/data" "$dir/sasl"
  set --
  if [ -n "$sasl" ]; then
    case $password in *[],=[]*) die "YIQIAO_KAFKA_PASSWORD: none of , = [ ] can be handed to Kafka's formatter" ;; esac
    user=yiqiao
    for m in SCRAM-SHA-256 SCRAM-SHA-512; do
      set -- "$@" --add-scram "$m=[name=$user,password=$password]"
    done
    touch "$dir/sasl"
    make_certificate
  fi
  write_config
  # 16 random bytes in Kafka's spelling; no leading dash, which would look like an option.
  id=A$(head -c 24 /dev/urandom | base64 | tr -d '+/=\n' | cut -c 1-20)A
  set -- kafka.tools.StorageTool format --cluster-id "$id" --config "$dir/server.properties" "$@"
  set -- -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$home/lib/*" "$@"
  [ ! -e "$archive" ] || set -- "-XX:SharedArchiveFile=$archive" "$@"
  java "$@" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; die "Kafka's formatter failed"; }
  printf '%s\n' "$version" >"$dir/formatted"
}

await() { # await SECONDS COMMAND...: polls until the command succeeds
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
}

answers_or_gone() { ! pid >/dev/null || answers; }
gone() { ! pid >/dev/null; }

print_places() {
  printf 'bootstrap=127.0.0.1:%s\n' "$port"
  if [ -e "$dir/sasl" ]; then
    printf 'sasl_bootstrap=127.0.0.1:%s\nsasl_user=yiqiao\nsasl_ca=%s\n' "$((port + 2))" "$dir/ca.pem"
  fi
}

start() {
  local p offset ports='0 1' now no_sasl
  mkdir -p "$cache" "$dir"
  dir=$(cd "$dir" && pwd -P)
  no_sasl="$dir was first started without --sasl: stop it and take another --dir, or remove the folder"
  # One start at a time, where the system can say so.
  if command -v flock >/dev/null; then
    exec 9>"$dir/lock"
    flock -w "$timeout" 9 || die "another start is at work in $dir"
  fi
  if pid >/dev/null; then
    [ -z "$sasl" ] || [ -e "$dir/sasl" ] || die "$no_sasl"
    now=$(cat "$dir/port" 2>/dev/null || true)
    [ -z "$port" ] || [ -z "$now" ] || [ "$port" = "$now" ] || die "the server of $dir already runs on port $now"
    port=${now:-${port:-19092}}
  else
    port=${port:-${known:-19092}}
    [ -z "$sasl" ] || [ -e "$dir/sasl" ] || [ ! -e "$dir/formatted" ] || die "$no_sasl"
    [ -z "$sasl" ] && [ ! -e "$dir/sasl" ] || ports='0 1 2'
    for offset in $ports; do
      # A broker that was just killed may hold its port for a moment longer.
     for _ in $(seq 50); do listening "$((port + offset))" || break; sleep 0.2; done
     ! listening "$((port + offset))" || die "port $((port + offset)) of 127.0.0.1 is taken by another program"
    done
    need_java
    fetch
    format
    write_config
    printf '%s\n' "$port" >"$dir/port"
    printf '%s\n' "$version" >"$dir/version"
    [ ! -e "$dir/server.log" ] || mv "$dir/server.log" "$dir/server.log.1"
    rm -f "$dir/classes.jsa"
    if [ -e "$archive" ]; then
      set -- "-XX:SharedArchiveFile=$archive"
    else
      set -- "-XX:ArchiveClassesAtExit=$dir/classes.jsa"
      printf '%s\n' "$archive" >"$dir/classes.for"
    fi
    # shellcheck disable=SC2086 # several options
    set -- java $jvm "$@" "-Dyiqiao.kafka.dir=$dir" -Djava.awt.headless=true \
      -Dorg.slf4j.simpleLogger.logFile=System.out -Dorg.slf4j.simpleLogger.showDateTime=true \
      '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS' \
      -cp "$home/lib/*" kafka.Kafka "$dir/server.properties"
    # A session of its own: Ctrl-C in the terminal is not for the server.
    if command -v setsid >/dev/null; then set -- setsid "$@"; else set -- nohup "$@"; fi
    "$@" </dev/null >"$dir/server.log" 2>&1 9>&- &
    p=$!
    printf '%s\n' "$p" >"$dir/pid"
    # Until setsid has become java the command line says something else.
    await 5 pid >/dev/null || kill -0 "$p" 2>/dev/null || { tail -n 20 "$dir/server.log" >&2; die "the server did not start"; }
  fi
  ready
  say "Apache Kafka $(cat "$dir/version") runs, pid $(pid), log $dir/server.log"
  print_places
}

ready() {
  local p
  await "$timeout" answers_or_gone || true
  answers && return
  tail -n 20 "$dir/server.log" >&2 || true
  p=$(pid) || die "the server ended while starting; its log is $dir/server.log"
  die "no answer on 127.0.0.1:$port within $timeout s (pid $p, still running); its log is $dir/server.log"
}

keep_archive() {
  local archive
  [ -e "$dir/classes.jsa" ] && archive=$(cat "$dir/classes.for" 2>/dev/null) || return 0
  { mv "$dir/classes.jsa" "$archive.$$" && mv "$archive.$$" "$archive"; } 2>/dev/null || rm -f "$dir/classes.jsa"
}

finish() { # finish SIGNAL
  local p
  p=$(pid) || { rm -f "$dir/pid"; say "not running"; return; }
  kill "-$1" "$p" 2>/dev/null || true
  if ! await "$timeout" gone; then
    say "pid $p did not end within $timeout s: SIGKILL"
    kill -KILL "$p" 2>/dev/null || true
    await 10 gone || die "pid $p does not end"
  fi
  rm -f "$dir/pid"
  [ "$1" = KILL ] || keep_archive
  say "stopped"
}

case $command in
  start) start ;;
  stop) finish TERM ;;
  kill) finish KILL ;;
  wait)
    port=${known:-${port:-19092}}
    await "$timeout" answers || die "no answer on 127.0.0.1:$port within $timeout s; running in $dir: $(pid || echo nothing)"
    print_places ;;
  status)
    port=${known:-${port:-19092}}
    p=$(pid) || { echo "not running"; exit 3; }
    answers || { echo "running without answering, pid $p, log $dir/server.log"; exit 1; }
    echo "answering, pid $p, log $dir/server.log"
    print_places ;;
  help | -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
