# For the programs beside it: builds in release, starts a server of its own on processor 0 and the load on processor 1.
#
# They call `load SCENARIO KIND ROLE [options of loadgen]` after `parse "$@"`.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
server_processor=${CONSILIUM_SERVER_PROCESSOR:-0}
load_processor=${CONSILIUM_LOAD_PROCESSOR:-1}

# A port that nobody listens on, for TCP and UDP.
free_port() {
  python3 - <<'PYTHON'
import socket
while True:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("0.0.0.0", 0))
        port = tcp.getsockname()[1]
        try:
            udp.bind(("0.0.0.0", port))
        except OSError:
            continue
        print(port)
        break
PYTHON
}

build() {
  if [[ -z ${CONSILIUM_PROGRAMS:-} ]]; then
    (cd "$here" && swift build -c release --product consilium && swift build -c release --product loadgen) >&2
    CONSILIUM_PROGRAMS=$(cd "$here" && swift build -c release --show-bin-path)
  fi
}

stop_server() {
  [[ -n ${server:-} ]] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
  [[ -n ${folder:-} ]] && rm -rf "$folder"
}

# load SCENARIO KIND ROLE [options]
load() {
  local scenario=$1 kind=$2 role=$3
  shift 3
  case " $* " in
    *" --help "* | *" -h "*)
      build
      exec "$CONSILIUM_PROGRAMS/loadgen" "$scenario" --help
      ;;
  esac
  build
  folder=$(mktemp -d)
  trap stop_server EXIT
  trap 'exit 130' INT TERM
  local port media
  port=$(free_port)
  media=$(free_port)
  local settings=(
    --config "$here/Config/consilium.yaml" --set "server.port=$port" --set "media.udpPort=$media" --set media.tcpPort=0
    --set "state.directory=$folder/state" --set "access.secretFile=$folder/state/token-secret"
    # What one core can do is to be found, also where it would refuse and thin cameras to be on the safe side.
    --set media.refuseCamerasAtPercent=0 --set media.thinCamerasAtPercent=0
    --set "recordings.folder=$folder/recordings" --set server.maximumConnectionsPerAddress=4096 --set log.level=warning
  )
  local pin=() push=()
  # With one processor there is nothing to keep apart.
  if (($(nproc) > 1)) && command -v taskset >/dev/null; then
    pin=(taskset -c "$server_processor")
    push=(taskset -c "$load_processor")
  fi
  # On a machine that others use as well: a negative niceness for both (needs root), such as -15.
  if [[ -n ${CONSILIUM_NICE:-} ]]; then
    pin=(nice -n "$CONSILIUM_NICE" "${pin[@]}")
    push=(nice -n "$CONSILIUM_NICE" "${push[@]}")
  fi
  ulimit -n "$(ulimit -H -n)"
  # exec: what is started is the process that is measured.
  (cd "$folder" && exec "${pin[@]}" "$CONSILIUM_PROGRAMS/consilium" serve "${settings[@]}") \
    >"$folder/server.log" 2>&1 &
  server=$!
  local tries=0
  until python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/healthz', timeout=2)" 2>/dev/null; do
    if ! kill -0 "$server" 2>/dev/null || ((++tries > 100)); then
      cat "$folder/server.log" >&2
      echo "The server did not start." >&2
      exit 1
    fi
    sleep 0.1
  done
  local token
  token=$(cd "$folder" && "$CONSILIUM_PROGRAMS/consilium" token "${settings[@]}" \
    --room '*' --name Load --role "$role" --kind "$kind")
  local status=0
  "${push[@]}" "$CONSILIUM_PROGRAMS/loadgen" "$scenario" --port "$port" --media-port "$media" --process "$server" \
    --token "$token" "$@" || status=$?
  if ((status != 0)) && [[ -s $folder/server.log ]]; then
    echo "The server's last words:" >&2
    tail -n 20 "$folder/server.log" >&2
  fi
  exit "$status"
}
