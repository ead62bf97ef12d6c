#!/bin/bash
# Installs the idle culler into the Jupyter of this notebook instance, and restarts the server when
# that changed something. Where Python, Jupyter Server or JupyterLab is too old for it, or it cannot be
# installed, autostop is set up in its place. README.md beside this file tells more.
# The log: /var/log/jupyter-idle-culler.log

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
# autostop itself, packed, for where the extension cannot be installed. Empty: the one in the wheel.
AUTOSTOP=''
# Minutes without work and without a person after which all that is idle ends.
TIMEOUT_IN_MINS='120'
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
ENV=/home/ec2-user/anaconda3/envs/JupyterSystemEnv
CRON_SCHEDULE='* * * * *'

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

# Make the minutes of TIMEOUT_IN_MINS a number, and $IDLE_TIME the same in seconds.
timeout_in_seconds() {
  if [[ ! $TIMEOUT_IN_MINS =~ ^[0-9]{1,6}$ ]]; then
    say "TIMEOUT_IN_MINS is $TIMEOUT_IN_MINS, which is no whole number of minutes: 120 it is"
    TIMEOUT_IN_MINS=120
  fi
  TIMEOUT_IN_MINS=$((10#$TIMEOUT_IN_MINS))
  IDLE_TIME=$((TIMEOUT_IN_MINS * 60))
}

# Say why the extension cannot be installed into $ENV; nothing where it can.
too_old() {
  "$ENV/bin/python" -c 'import re, sys
if sys.version_info < (3, 10):
    sys.exit("Python %d.%d is older than 3.10" % sys.version_info[:2])
from importlib import metadata
for name, least in ("jupyter_server", "2.14"), ("jupyterlab", "4.0"):
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        if name == "jupyter_server":
            sys.exit("there is no jupyter_server")
        continue
    if [int(n) for n in re.findall("[0-9]+", found)[:2]] < [int(n) for n in least.split(".")]:
        sys.exit("%s %s is older than %s" % (name, found, least))' 2>&1
}

# Run a command as the user who owns $ENV.
as_owner() {
  local owner
  owner=$(stat -c %U "$ENV/bin")
  if [ "$(id -un)" = "$owner" ]; then
    "$@"
  elif [ $EUID = 0 ]; then
    runuser -u "$owner" -- "$@"
  else
    sudo -n --preserve-env=PIP_INDEX_URL -u "$owner" -- "$@"
  fi
}

# Print the version of the extension that is in $ENV, if one is.
installed() {
  "$ENV/bin/python" -c 'from importlib import metadata
print(metadata.version("jupyter_idle_culler"))' 2>/dev/null || true
}

pip_install() {
  (cd / && as_owner "$ENV/bin/python" -m pip install -q --no-cache-dir --disable-pip-version-check \
    --no-warn-script-location "$@")
}

# Install the extension and its timeout into $ENV, and restart the server if that changed anything.
# $DUE is there from before the first change to after the restart: what was interrupted is done anew.
# It grows with each restart, and the second is the last.
extension() {
  local version=$VERSION config=$ENV/etc/jupyter/jupyter_jupyter_idle_culler_config.json text sign=
  [ "$SIGN_OF_LIFE" != yes ] || sign=', "sign_of_life": true'
  text="{\"IdleCuller\": {\"timeout_minutes\": $TIMEOUT_IN_MINS$sign}}"
  DUE=$ENV/etc/jupyter/.idle-culler-restart-due
  if [ "$WHEEL" ]; then
    version=${WHEEL##*/jupyter_idle_culler-}
    version=${version%%-*}
  fi
  if [ ! -e "$DUE" ] && [ "$(installed)" = "$version" ] && [ "$(cat "$config" 2>/dev/null)" = "$text" ]; then
    say "the extension $version is installed already"
    return
  fi
  if [ -e "$DUE" ] || [ "$(installed)" != "$version" ]; then
    wheel || return 1
    as_owner mkdir -p "${DUE%/*}" || return 1
    if [ -e "$DUE" ]; then pip_install --no-deps --ignore-installed "$WHL" || return 1; fi
    as_owner touch "$DUE" || return 1
    if ! pip_install "$WHL"; then
      rm_due
      return 1
    fi
  fi
  as_owner touch "$DUE" || return 1
  as_owner /bin/bash -c "umask 022; $(declare -f put); put \"\$@\"" put "$config" "$text" || return 1
  if [ "$(wc -c <"$DUE")" -lt 2 ]; then
    # shellcheck disable=SC2016 # it is the inner shell's $1
    as_owner /bin/bash -c 'printf x >>"$1"' mark "$DUE"
    if restart; then
      say "the extension $version is installed; the server restarts"
    else
      say "the extension $version is installed; it works once the server was restarted"
    fi
  fi
  rm_due
}

rm_due() {
  as_owner rm -f "$DUE"
}

restart() {
  systemctl --no-block restart jupyter-server.service
}

work() {
  trap 'say "failed at line $LINENO"' ERR
  local why
  timeout_in_seconds
  if ! why=$(too_old); then
    say "no extension here ($why): autostop in its place"
  elif extension; then
    return
  else
    say 'the extension could not be installed: autostop in its place'
  fi
  [ "$SIGN_OF_LIFE" != yes ] || IDLE_TIME+=' --sign-of-life'
  autostop --environment notebook-instance --time "$IDLE_TIME" -c
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
  timeout 1.5 tail -s.1 --pid=$! -f /dev/null || :
  tail -n 1 $LOG
}

main "$@"
