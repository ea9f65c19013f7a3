#!/usr/bin/env bash
# Fetches the implementations that crypto/interop compares ours with, in fixed versions, into a folder
# that is not part of the repository. Each comes from its registry by that registry's own client.
# Says what could not be had, and fails then.
set -u
cd "$(dirname "$0")/.."
dir=${YIQIAO_INTEROP:-$PWD/.cache/interop}
bc=org.bouncycastle:bcprov-jdk18on:1.79
jar=bcprov-jdk18on-1.79.jar
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
sm_crypto=0.3.13
gmssl=3.2.2
cryptodome=3.23.0
mkdir -p "$dir" || exit 1
failed=0

need() { command -v "$1" >/dev/null || { echo "interop: $1 is not installed"; failed=1; return 1; }; }
# fetch NAME MARK COMMAND...: run COMMAND unless MARK is there; two tries, registries have bad moments.
fetch() {
  local name=$1 mark=$2 try log; shift 2
  [ -e "$dir/$mark" ] && return 0
  log=$dir/fetch.log
  for try in 1 2; do
    if timeout 100 "$@" >"$log" 2>&1 && [ -e "$dir/$mark" ]; then echo "interop: $name fetched"; return 0; fi
    sleep "$try"
  done
  tail -n 5 "$log"
  echo "interop: $name can not be fetched from its registry"
  failed=1
}

need openssl && case $(openssl version) in "OpenSSL 3."*) ;; *) echo "interop: OpenSSL 3 is needed, this is $(openssl version)"; failed=1 ;; esac
need java; need javac
need mvn && fetch "BouncyCastle ($bc)" "$jar" mvn -q -B "$plugin:copy" "-Dartifact=$bc" "-DoutputDirectory=$dir" -Dmdep.useBaseVersion=true
need node
need npm && fetch "sm-crypto $sm_crypto" node_modules/sm-crypto/package.json npm install --no-audit --no-fund --no-save --ignore-scripts --fetch-retries=1 --fetch-timeout=60000 --prefix "$dir" "sm-crypto@$sm_crypto"
need python3 && fetch "gmssl $gmssl" python/gmssl/sm2.py python3 -m pip install -q --no-deps --target "$dir/python" "gmssl==$gmssl" "pycryptodomex==$cryptodome"
[ $failed = 0 ] && [ -e "$dir/$jar" ] && [ ! -e "$dir/classes/Peer.class" -o crypto/interop/peers/Peer.java -nt "$dir/classes/Peer.class" ] &&
  { javac -d "$dir/classes" -cp "$dir/$jar" crypto/interop/peers/Peer.java || failed=1; }
exit $failed
