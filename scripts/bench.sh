#!/usr/bin/env bash
# The figures of docs/figures.md. Each is measured beside what it is compared with, in one run; wait
# for a quiet machine. BENCHTIME sets the settlements per case.
set -eu
cd "$(dirname "$0")/.."
n=${BENCHTIME:-5000x}
run() { echo "== $1"; shift; go test -run '^$' "$@" | grep -E '^(Benchmark|FAIL|panic)' || true; }
run "a settlement: CPU of the gateway alone, fsyncs counted, with fsync and without" -bench '^BenchmarkSettlement$' -benchtime "$n" -timeout 60m ./cmd/yiqiao
run "protection at rest: CPU of a settlement beside the same build without it (at most 15 % more)" \
  -bench '^BenchmarkAtRest$' -benchtime "$n" -timeout 60m ./cmd/yiqiao
run "restart: 10,000 settlements found as sent, until each is resolved" -bench '^BenchmarkRestart$' -benchtime 1x -timeout 30m ./cmd/yiqiao
run "torture: a town of 50 bills on one core" -bench '^BenchmarkSeeds$' -benchtime 100x ./cmd/yiqiao/internal/world
run "where the CPU goes" -bench '^BenchmarkShares$' -benchtime 1x ./cmd/yiqiao
run "memory: idle, and over 100,000 settlements" -bench '^BenchmarkMemory$' -benchtime 1x -timeout 60m ./cmd/yiqiao
run "validation of 100 rows beside gojsonschema alone" -bench '2204x100|Gojsonschema' -count 3 ./schemas/check
run "HL7: DFT^P03 with 50 FT1, parsed, mapped, checked (at least 3000/s)" -bench '^BenchmarkMapBill$' -count 5 ./cmd/yiqiao
run "one bill over REST and over MLLP, 64 connections (MLLP within 1.5x)" -bench '^BenchmarkLine$' -benchtime "$n" -count 3 -timeout 60m ./cmd/yiqiao
run "journal: settlements and syncs by callers" -bench . -benchtime 2s ./gateway/journal
run "cryptography: both providers, message and primitives" -bench . ./crypto/...
run "JSON beside encoding/json" -bench . ./schemas/strictjson
run "one message over loopback" -bench . ./gateway/centre
run "uploads: accepted and announced beside kafka-go alone on one broker; drain of YIQIAO_DRAIN waiting ones" \
  -bench 'Accepted|Drain' -benchtime 20000x -timeout 60m ./gateway/queue/kafka
