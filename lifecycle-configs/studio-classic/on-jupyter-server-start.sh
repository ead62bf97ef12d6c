#!/bin/bash
# Ends what is idle in Studio Classic: kernels, then image terminals, then each app on which nothing is
# left. autostop in the background of the JupyterServer app, which itself costs nothing and stays.
# README.md beside this file tells how to attach it, how to see that it works, and how to remove it.
# The log: ~/.local/share/jupyter-idle-culler/autostop.log

# A copy whose lines end in CRLF (saved on Windows) runs itself again without the CRs.
[ "${_LF-}" ] || ! grep -qs $'\r' "$0" || _LF=1 exec /bin/bash -c "$(tr -d '\r' <"$0")" "$0" "$@" #

# Parameters
# The version of jupyter_idle_culler that is fetched.
VERSION='0.1.0'
# Where its wheel lies: a path, s3://bucket/key, or nothing: the package index.
WHEEL=''
# The wheel's sha256; one with another is not used. Empty: not checked.
WHEEL_SHA256=''
# A package index of your own. Empty: the one that pip is configured for.
INDEX_URL=''
# autostop itself, packed: then nothing is fetched for it, and it needs no network.
AUTOSTOP=''
# Minutes without work and without a person after which all that is idle ends.
TIMEOUT_IN_MINS='120'
# yes: terminals stay, and with an image terminal the app that it runs on.
KEEP_TERMINALS='no'
# End of parameters

set -Eeuo pipefail
umask 022
export PATH=/opt/conda/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
NAME=jupyter-idle-culler

say() {
  echo "$(date -u +%FT%TZ) $NAME: $*"
}

# Say what is wrong, and set nothing up.
die() {
  say "$*: nothing will be stopped"
  exit
}

# Print the first Python that runs $1 without an error.
python() {
  for p in /opt/conda/bin/python /usr/bin/python3; do
    "$p" -c "$1" 2>/dev/null && echo "$p" && return
  done
  false
}

# Make the file $1 hold the text $2: whole or not at all, and untouched where it does already.
put() {
  local new=${1%/*}/.${1##*/}.new
  [ "$(cat "$1" 2>/dev/null)" = "$2" ] && return
  printf '%s\n' "$2" >"$new"
  mv -f "$new" "$1"
}

# Online only
# Get the wheel into the folder $1.
fetch() {
  case $WHEEL in
    s3://*)
      timeout 300 aws s3 cp --only-show-errors "$WHEEL" "$1/" || "$(python 'import boto3')" -c 'import sys, boto3
address, folder = sys.argv[1:]
bucket, key = address[5:].split("/", 1)
boto3.client("s3").download_file(bucket, key, folder + "/" + key.split("/")[-1])' "$WHEEL" "$1"
      ;;
    ?*) cp "$WHEEL" "$1" ;;
    *)
      timeout 300 "$(python 'import pip')" -m pip download -q --no-deps --no-cache-dir \
        --disable-pip-version-check --only-binary :all: --ignore-requires-python \
        -d "$1" "jupyter_idle_culler==$VERSION"
      ;;
  esac
}

# Tell whether the wheel $1 is the one that was asked for.
good() {
  [ -z "$WHEEL_SHA256" ] || echo "$WHEEL_SHA256  $1" | sha256sum -c --status
}

# Get the wheel, checked, to $WHL. Where that fails try again, ever more slowly, for three quarters
# of an hour, for a network may come late; where autostop is in here for a minute only.
wheel() {
  local n=0 new=$LIB/.new region tries=10
  WHL=$LIB/jupyter_idle_culler-$VERSION-py3-none-any.whl
  [ -z "$WHEEL" ] || WHL=$LIB/${WHEEL##*/}
  rm -rf "$new" # of a run that was interrupted
  if [ -e "$WHL" ] && good "$WHL" && { [ -z "$WHEEL" ] || [ "$WHEEL_SHA256" ]; }; then return; fi
  [ -z "$AUTOSTOP" ] || tries=2
  [ -z "$INDEX_URL" ] || export PIP_INDEX_URL="$INDEX_URL"
  # An S3 endpoint within a VPC answers for its own region only.
  region=$(sed -n 's/.*"arn:[^:]*:sagemaker:\([^:]*\):.*/\1/p' /opt/ml/metadata/resource-metadata.json 2>/dev/null) || true
  [ -z "$region" ] || export AWS_DEFAULT_REGION="$region"
  until
    rm -rf "$new"
    mkdir "$new"
    fetch "$new"
  do
    if [ -e "$WHL" ] && good "$WHL"; then return; fi
    n=$((n + 1))
    [ $n -lt "$tries" ] || return 1
    say "no wheel yet: again in $n min"
    sleep $((n * 60))
  done
  if ! good "$new"/*.whl; then
    say "the wheel has another sha256 than $WHEEL_SHA256: it is not used"
    rm -rf "$new"
    return 1
  fi
  cmp -s "$new"/*.whl "$WHL" || mv -f "$new"/*.whl "$WHL"
  rm -rf "$new"
}

# Make $RUN the command of the autostop in the wheel.
from_wheel() {
  wheel || die 'no autostop'
  RUN="/usr/bin/env PYTHONPATH=$WHL $PY -m jupyter_idle_culler.autostop"
}
# End of online only

# Make $RUN the command of autostop with the options $*.
autostop() {
  PY=$(python 'import sys; assert sys.version_info >= (3, 8)') || die 'no Python 3.8 or newer'
  RUN="$PY $LIB/autostop.py"
  [ -z "$AUTOSTOP" ] || put "$LIB/autostop.py" "$("$PY" -c 'import lzma, sys
n=0
for c in sys.argv[1]: n=n*93+ord(c)-33-(c>"&")
print(lzma.decompress(n.to_bytes(9999,"big").lstrip(b"\0")).decode())' "$AUTOSTOP")"
  # Online only
  [ "$AUTOSTOP" ] || from_wheel
  # End of online only
  RUN+=" $* --state-file $STATE/autostop.json --log-file $LOG"
  $RUN -h >/dev/null || die 'autostop fails'
}

# Leave $RUN in the background; it looks each $1 seconds.
loop() {
  # shellcheck disable=SC2086 # $RUN is words
  setsid $RUN --every "$1" </dev/null >/dev/null 2>$STATE/stderr &
  say 'set up: background'
}

# Choose where things lie: the home, and for what need not outlive the app, or where the home cannot
# be written, a folder in /tmp. (A home that is full must not keep autostop from looking.)
places() {
  STATE=/tmp/$NAME-$EUID
  mkdir -m 700 "$STATE" 2>/dev/null || [ -O "$STATE" ] || die "$STATE is not this user's"
  LIB=${HOME:-/home/$(id -un)}/.local/share/$NAME
  if ! mkdir -p "$LIB" 2>/dev/null || [ ! -w "$LIB" ]; then LIB=$STATE; fi
  LOG=$LIB/autostop.log
}

# Make the minutes of TIMEOUT_IN_MINS a number, and $IDLE_TIME the same in seconds.
timeout_in_seconds() {
  if [[ ! $TIMEOUT_IN_MINS =~ ^[0-9]{1,6}$ ]]; then
    say "TIMEOUT_IN_MINS is $TIMEOUT_IN_MINS, which is no whole number of minutes: 120 it is"
    TIMEOUT_IN_MINS=120
  fi
  TIMEOUT_IN_MINS=$((10#$TIMEOUT_IN_MINS))
  IDLE_TIME=$((TIMEOUT_IN_MINS * 60))
}

work() {
  trap 'say "failed at line $LINENO"' ERR
  # Python would take a json.py in the home for its own.
  cd /
  local keep=()
  [ "$KEEP_TERMINALS" != yes ] || keep=(--keep-terminals)
  timeout_in_seconds
  autostop --environment studio-classic --time "$IDLE_TIME" -c ${keep[@]+"${keep[@]}"}
  loop 60
}

main() {
  trap 'exit 0' EXIT
  places
  exec 9>"$LIB/lock"
  flock -n 9 || { say 'at it already' && exit; }
  set -m
  work </dev/null >>"$LOG" 2>&1 &
  timeout 6 tail -s.1 --pid=$! -f /dev/null || :
  tail -n 1 "$LOG"
}

main "$@"
