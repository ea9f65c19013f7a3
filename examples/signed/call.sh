#!/bin/sh
# 以签名方式调用网关 / one signed call, with nothing but OpenSSL 3 and curl.
#
#   YIQIAO_KEY=密钥 ./call.sh https://gateway.example his-main POST /api/v1/settlements bill.json
#   YIQIAO_KEY=密钥 ./call.sh https://gateway.example his-main GET '/api/v1/settlements/B...'
#
# The key stands in the arguments of openssl while it runs: on a machine that others use, sign in your
# program as call.py or main.go do. More options of curl: CURL_OPTIONS="--cacert ca.pem".
set -eu
[ $# -ge 4 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
base=$1 system=$2 method=$3 target=$4 file=${5:-/dev/null}
sm3() { openssl dgst -sm3 "$@" | sed 's/.*= *//'; }

path=${target%%\?*} query=
case $target in *\?*) query=${target#*\?} ;; esac
digest=$(sm3 <"$file")
time=$(date +%s)
nonce=$(openssl rand -hex 16)
text="yiqiao-call-1
$system
$method
$path
$query
$time
$nonce

$digest"
signature=$(printf '%s' "$text" | sm3 -hmac "$YIQIAO_KEY")
set -- -H "Yiqiao-System: $system" -H "Yiqiao-Timestamp: $time" -H "Yiqiao-Nonce: $nonce" \
	-H "Yiqiao-Digest: sm3=$digest" -H "Yiqiao-Signature: hmac-sm3=$signature"
[ "$method" = GET ] || set -- "$@" -H 'Content-Type: application/json' --data-binary "@$file"
# shellcheck disable=SC2086
exec curl -sS ${CURL_OPTIONS:-} -X "$method" "$@" "$base$target"
