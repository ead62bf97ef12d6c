#!/bin/bash
# Stops this notebook instance when it is idle: autostop, run by cron (by a systemd timer where no
# cron runs). README.md beside this file tells how to attach it, how to see that it works, and how to
# remove it. What takes longer than some seconds goes on in the background, and nothing here fails the
# start of the instance. The log: /var/log/jupyter-idle-culler.log

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
# Seconds without work and without a person after which the instance stops.
IDLE_TIME='3600'
# When autostop looks, as cron writes it: each minute, or '*/5 * * * *'.
CRON_SCHEDULE='* * * * *'
# yes: an open notebook tab does not hold the instance. no: its kernel is kept.
IGNORE_CONNECTIONS='yes'
# yes: keep the tag idle-culler:sign-of-life, for scheduled stops; the role needs sagemaker:AddTags.
SIGN_OF_LIFE='no'
# End of parameters

set -Eeuo pipefail
umask 022
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/bin
NAME=jupyter-idle-culler
LIB=/usr/local/lib/$NAME
STATE=/run/$NAME
LOG=/var/log/$NAME.log

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
  for p in /usr/bin/python3 /home/ec2-user/anaconda3/{envs/JupyterSystemEnv/,}bin/python; do
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

# Have $RUN run again and again. A timer of systemd lasts until the next start; another one ends.
schedule() {
  local n=${CRON_SCHEDULE%% *}
  n=${n#*/}
  # At minute 0 is each hour.
  n=${n/#0/60}
  # shellcheck disable=SC2086 # $RUN is words
  if [ -d /etc/cron.d ] && grep -qsxE 'crond?' /proc/[0-9]*/comm; then
    put /etc/cron.d/$NAME "MAILTO=\"\"
$CRON_SCHEDULE root $RUN >/dev/null 2>$STATE/stderr"
    say 'set up: cron'
  elif
    systemctl stop $NAME.timer 2>/dev/null
    systemd-run --unit $NAME --on-active 60 --on-unit-active "${n/\*/1}min" $RUN
  then
    say 'set up: systemd timer'
  else
    setsid $RUN --every 60 </dev/null >/dev/null 2>$STATE/stderr &
    say 'set up: background'
  fi
}

work() {
  trap 'say "failed at line $LINENO"' ERR
  [[ $CRON_SCHEDULE =~ ^[0-9*]([^\ %]*\ +[^\ %]+){4}$ ]] || die "CRON_SCHEDULE is $CRON_SCHEDULE"
  [ "$IGNORE_CONNECTIONS" != yes ] || IDLE_TIME+=' -c'
  [ "$SIGN_OF_LIFE" != yes ] || IDLE_TIME+=' --sign-of-life'
  autostop --time "$IDLE_TIME"
  schedule
}

main() {
  trap 'exit 0' EXIT
  [ $EUID = 0 ] || exec sudo -n /bin/bash "$0"
  mkdir -p $LIB $STATE || die "no $LIB"
  exec 9>$LIB/lock
  flock -n 9 || { say 'at it already' && exit; }
  set -m
  work </dev/null >>$LOG 2>&1 &
  timeout 6 tail -s.1 --pid=$! -f /dev/null || :
  tail -n 1 $LOG
}

main "$@"
