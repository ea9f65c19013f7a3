#!/usr/bin/env bash
# A Chromium for the tests that look at pages: prints the path of one that is installed, and as root on Debian installs it
# with a Chinese font when there is none.
set -eu
find() { for b in "${YIQIAO_CHROMIUM:-}" chromium chromium-browser google-chrome; do
  if [ -n "$b" ] && command -v "$b" 2>/dev/null; then return 0; fi; done; return 1; }
find && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk >&2
  find && exit 0
fi
echo "chromium: error: there is none, and it can not be installed here: install it and set YIQIAO_CHROMIUM" >&2
exit 1
