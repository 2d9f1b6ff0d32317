#!/usr/bin/env bash
# Runs three real nodes on this machine: one embedded Postgres, the ports 8081 to 8083, and port 8080 in front where haproxy is installed.
#
#   cluster.sh up          start the nodes that do not run; may be repeated
#   cluster.sh kill <n>    kill -9 node n; `up` starts it again
#   cluster.sh roll        stop and start one node after the other, as a deploy does
#   cluster.sh down        stop everything in order
#
# Process ids and logs are in .forge/cluster, which only their owner may read. Variables of the environment:
#   FORGE_BINARY               binary of the nodes               [target/release/forge-node]
#   FORGE_CLUSTER_FOLDER       folder that holds .forge          [the root of the source tree]
#   FORGE_CLUSTER_PORT         port in front; node n listens on this port + n    [8080]
#   FORGE_CLUSTER_MESH_PORT    the mesh of node n listens on this port + n       [24000]
set -euo pipefail
# haproxy is in /usr/sbin, which is not in the PATH of every user.
PATH=$PATH:/usr/sbin
root=$(cd "$(dirname "$0")/../.." && pwd)
binary=${FORGE_BINARY:-target/release/forge-node}
if [[ $binary != /* ]]; then binary=$root/$binary; fi
cd "${FORGE_CLUSTER_FOLDER:-$root}"

NODES=(1 2 3)
FRONT_PORT=${FORGE_CLUSTER_PORT:-8080}
MESH_PORT=${FORGE_CLUSTER_MESH_PORT:-24000}
# Includes the creation of the database at a first start.
START_SECONDS_MAX=120
# Of one question whether a node is ready; then it is asked again.
ANSWER_SECONDS_MAX=5
STOP_SECONDS_MAX=70
# How long a node that stops serves on: haproxy notices within two checks, one every 500 ms.
DRAIN_DELAY=3s
state=.forge/cluster

http_port() { echo $((FRONT_PORT + $1)); }
mesh_port() { echo $((MESH_PORT + $1)); }
pid_of() { cat "$state/$1.pid" 2>/dev/null || true; }

# A process that was just forked does not have its command line yet, so a start asks only whether it lives.
lives() { kill -0 "$(pid_of "$1")" 2>/dev/null; }

# Compares the command line as well, because the process id may belong to another program by now.
runs() {
  local pid
  pid=$(pid_of "$1")
  [[ -n $pid && -r /proc/$pid/cmdline ]] && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$2"
}
node_runs() { runs "node-$1" "--name node-$1 "; }
front_runs() { runs haproxy "$state/haproxy.cfg"; }

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# In a shell of its own, because a node that ends while it starts resets the connection: SIGPIPE then ends only the probe.
is_ready() (
  exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
  printf 'GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  read -r -t "$ANSWER_SECONDS_MAX" status <&3 && [[ $status == *" 200 "* ]]
)

await_ready() {
  local port deadline=$((SECONDS + START_SECONDS_MAX))
  port=$(http_port "$1")
  while ((SECONDS < deadline)); do
    if is_ready "$port"; then return; fi
    if ! lives "node-$1"; then
      echo "node-$1 ended while it was starting; the end of $state/node-$1.log:" >&2
      tail -n 15 "$state/node-$1.log" >&2
      exit 1
    fi
    sleep 0.2
  done
  echo "node-$1 is not ready after $START_SECONDS_MAX s; see $state/node-$1.log" >&2
  exit 1
}

start_node() {
  if node_runs "$1"; then
    echo "node-$1  is running already"
    return
  fi
  local settings=(FORGE_GATEWAY__DRAIN_DELAY="$DRAIN_DELAY")
  # A binary of the version before refuses a key that it does not have.
  if grep -aq trusted_proxies "$binary"; then settings+=(FORGE_GATEWAY__TRUSTED_PROXIES=127.0.0.1); fi
  env "${settings[@]}" setsid nohup "$binary" start --dev --name "node-$1" --port "$(http_port "$1")" --mesh-port "$(mesh_port "$1")" \
    >"$state/node-$1.log" 2>&1 </dev/null &
  echo $! >"$state/node-$1.pid"
}

start_front() {
  if ! command -v haproxy >/dev/null; then
    echo "front    none: haproxy is not installed (apt-get install haproxy); use the nodes' own ports"
    return
  fi
  if front_runs; then
    echo "front    is running already"
    return
  fi
  sed "s/@FRONT_PORT@/$FRONT_PORT/" "$root/deploy/cluster/haproxy.cfg" >"$state/haproxy.cfg"
  for node in "${NODES[@]}"; do
    echo "  server node-$node 127.0.0.1:$(http_port "$node") check" >>"$state/haproxy.cfg"
  done
  setsid nohup haproxy -db -f "$state/haproxy.cfg" >"$state/haproxy.log" 2>&1 </dev/null &
  echo $! >"$state/haproxy.pid"
  local deadline=$((SECONDS + START_SECONDS_MAX))
  until is_open "$FRONT_PORT"; do
    if ! lives haproxy || ((SECONDS >= deadline)); then
      echo "front    haproxy did not start: $(tail -n 3 "$state/haproxy.log")" >&2
      exit 1
    fi
    sleep 0.1
  done
}

up() {
  if [[ ! -x $binary ]]; then
    echo "$binary does not exist; build it with: cargo build --release -p forge-node" >&2
    exit 1
  fi
  # Root's nodes run the database as another user, who has to get through.
  mkdir -p -m "$([[ $EUID == 0 ]] && echo 711 || echo 700)" .forge
  umask 077
  mkdir -p "$state"
  # The first node starts the embedded database; the others start together.
  start_node "${NODES[0]}"
  await_ready "${NODES[0]}"
  for node in "${NODES[@]:1}"; do start_node "$node"; done
  for node in "${NODES[@]:1}"; do await_ready "$node"; done
  start_front
  if front_runs; then echo "front    http://127.0.0.1:$FRONT_PORT"; fi
  for node in "${NODES[@]}"; do echo "node-$node  http://127.0.0.1:$(http_port "$node")   log $state/node-$node.log"; done
  "$binary" cluster status --url "http://127.0.0.1:$(http_port "${NODES[0]}")"
}

stop() {
  local pid second
  pid=$(pid_of "$1")
  if runs "$1" "$2"; then
    kill -TERM "$pid"
    for ((second = 0; second < STOP_SECONDS_MAX * 5; second++)); do
      if ! runs "$1" "$2"; then break; fi
      sleep 0.2
    done
    if runs "$1" "$2"; then
      echo "$1 did not stop within $STOP_SECONDS_MAX s; killing it" >&2
      kill -KILL "$pid"
    fi
    echo "$1 stopped"
  fi
  rm -f "$state/$1.pid"
}

down() {
  stop haproxy "$state/haproxy.cfg"
  # The first node stops last, because it started the embedded database.
  for ((index = ${#NODES[@]} - 1; index >= 0; index--)); do
    stop "node-${NODES[index]}" "--name node-${NODES[index]} "
  done
}

roll() {
  for node in "${NODES[@]}"; do
    stop "node-$node" "--name node-$node "
    start_node "$node"
    await_ready "$node"
    echo "node-$node started"
  done
}

kill_node() {
  if ! node_runs "$1"; then
    echo "node-$1 is not running" >&2
    exit 1
  fi
  kill -KILL "$(pid_of "node-$1")"
  rm -f "$state/node-$1.pid"
  echo "node-$1 killed; \`just cluster-up\` starts it again"
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  roll) roll ;;
  kill)
    if [[ ! ${2:-} =~ ^[1-3]$ ]]; then echo "usage: $0 kill 1|2|3" >&2 && exit 2; fi
    kill_node "$2"
    ;;
  *)
    echo "usage: $0 up | kill <n> | roll | down" >&2
    exit 2
    ;;
esac
