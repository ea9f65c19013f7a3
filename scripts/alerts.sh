#!/usr/bin/env bash
# Tries deploy/alerts.yaml in a real Prometheus: promtool checks the rules and runs their tests
# (deploy/alerts_test.yaml), reads what a gateway really shows, and a server that watches that gateway
# evaluates every rule. Needs bin/yiqiao (make build) and curl. Prometheus is the one in PATH, else on
# Debian the package is fetched with apt-get and unpacked into $YIQIAO_CACHE or .cache; nothing is installed.
# Where it can not be had the script fails.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cache=${YIQIAO_CACHE:-$PWD/.cache}
work=$(mktemp -d)
pids=()

cleanup() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap cleanup EXIT
say() { printf 'alerts: %s\n' "$*" >&2; }
die() { printf 'alerts: error: %s\n' "$*" >&2; exit 1; }

# find_bin sets promtool and prometheus.
find_bin() {
  promtool=$(command -v promtool || true) prometheus=$(command -v prometheus || true)
  [ -n "$promtool" ] || promtool=$cache/prometheus/usr/bin/promtool
  [ -n "$prometheus" ] || prometheus=$cache/prometheus/usr/bin/prometheus
  [ -x "$promtool" ] && [ -x "$prometheus" ]
}

fetch() {
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || die "no promtool and prometheus in PATH: install them (Debian: apt-get install prometheus)"
  say "fetching the package prometheus (apt-get download)"
  mkdir -p "$cache"
  local lists try
  lists=$(mktemp -d "$cache/prometheus.XXXXXX")
  for try in 1 2; do
    if (cd "$lists" && timeout 100 apt-get -q download prometheus >log 2>&1); then break; fi
    # Lists that are too old name a package that is not there any more.
    [ "$(id -u)" != 0 ] || timeout 100 apt-get -q update >>"$lists/log" 2>&1 || true
    sleep "$try"
  done
  if ! dpkg -x "$lists"/prometheus_*.deb "$lists/root" 2>>"$lists/log"; then
    tail -n 5 "$lists/log" >&2
    rm -rf "$lists"
    die "the package prometheus can not be fetched"
  fi
  rm -rf "$cache/prometheus"
  mv "$lists/root" "$cache/prometheus"
  rm -rf "$lists"
  find_bin || die "the package prometheus brought no promtool"
}

# await SECONDS COMMAND...
await() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.2
  done
}

port() { # a free one
  local p
  while p=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; do :; done
  echo "$p"
}

find_bin || fetch
say "$("$promtool" --version 2>&1 | head -1)"
"$promtool" check rules deploy/alerts.yaml
(cd deploy && "$promtool" test rules alerts_test.yaml)

# A gateway with a settled bill, as people begin with it.
bin=$PWD/bin/yiqiao
[ -x "$bin" ] || die "bin/yiqiao is not there: make build"
site=$work/site
api=127.0.0.1:$(port) shown=127.0.0.1:$(port) server=127.0.0.1:$(port)
"$bin" init "$site" --listen "$api" --simulator "127.0.0.1:$(port)" --control "127.0.0.1:$(port)" --einvoice "127.0.0.1:$(port)" >"$work/init.log"
printf 'manage:\n  listen: %s\n' "$shown" >>"$site/yiqiao.yaml"
"$bin" simulate --config "$site" >"$work/simulate.log" 2>&1 &
pids+=($!)
"$bin" serve --config "$site" >"$work/serve.log" 2>&1 &
pids+=($!)
await 60 curl -sf "http://$api/healthz" || { tail -n 5 "$work"/*.log >&2; die "the gateway does not start"; }
post() {
  curl -sf -H "Authorization: Bearer $(cat "$site/secrets/his-main.key")" -H 'Content-Type: application/json' -d "@$2" "http://$api/api/v1/settlements$1"
}
# The simulator may need a moment longer: the same request goes on where it stopped.
await 60 post "" examples/outpatient-bill.json || { tail -n 5 "$work"/*.log >&2; die "no bill could be opened"; }
id=$(post "" examples/outpatient-bill.json | grep -o 'BH[0-9A-Z]*' | head -1)
post "/$id/confirm" examples/confirm.json >/dev/null || die "the bill could not be settled"
curl -s "http://$api/api/v1/settlements/X" >/dev/null # a refusal is counted
curl -sf "http://$shown/metrics" >"$work/metrics"
grep -q 'yiqiao_transactions_total{.*infno="2207",outcome="done"} 1' "$work/metrics" || die "the settlement is not counted"
"$promtool" check metrics <"$work/metrics"
say "$(grep -c '^yiqiao_' "$work/metrics") figures of a gateway are well-formed"

# A server that watches it.
cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$PWD/deploy/alerts.yaml]
scrape_configs:
  - job_name: yiqiao
    static_configs: [{targets: ["$shown"]}]
YAML
"$promtool" check config "$work/prometheus.yml" >/dev/null
"$prometheus" --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address="$server" >"$work/prometheus.log" 2>&1 &
pids+=($!)
query() { curl -sf "http://$server/api/v1/query" --data-urlencode "query=$1"; }
seen() { query 'up{job="yiqiao"} == 1 and on (instance) yiqiao_journal_healthy == 1' | grep -q '"instance"'; }
rules=$(grep -c '^ *- alert:' deploy/alerts.yaml)
judged() {
  curl -sf "http://$server/api/v1/rules" >"$work/rules" &&
    [ "$(grep -o '"health":"ok"' "$work/rules" | wc -l)" = "$rules" ]
}
await 60 seen || { tail -n 5 "$work/prometheus.log" >&2; die "the server does not see the gateway"; }
await 60 judged || { tail -n 5 "$work/prometheus.log" >&2; die "not every rule can be evaluated: $(cat "$work/rules")"; }
if grep -q '"state":"firing"' "$work/rules"; then die "an alert fires on a healthy gateway: $(cat "$work/rules")"; fi
say "$rules rules evaluated by a server that watches a gateway, none fires"
