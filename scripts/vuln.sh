#!/usr/bin/env bash
# Runs govulncheck. Its database is a public server: where that can't be reached the script says so
# and succeeds, since nothing was found and nothing was looked at. A finding fails.
set -u
tool=$1
out=$(mktemp); trap 'rm -f "$out"' EXIT
go run "$tool" ./... >"$out" 2>&1
code=$?
if [ $code -eq 0 ]; then cat "$out"; exit 0; fi
if grep -qE 'dial tcp|no such host|fetching vulnerabilities|connection refused|i/o timeout|HTTP GET|Forbidden|proxy' "$out"; then
  echo "govulncheck: NOT RUN, its vulnerability database can't be reached from here:"
  tail -n 2 "$out" | sed 's/^/  /'
  exit 0
fi
cat "$out"; exit $code
