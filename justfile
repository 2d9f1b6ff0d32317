# Forge: the project's verbs. `just` alone lists them.

[private]
default:
  @just --list --unsorted

# Install what the other verbs need (Postgres, nextest), and build
setup:
  tests/run nothing_matches_this --no-tests pass

# Serve the demo application, with an embedded Postgres in .forge
dev *arguments:
  cargo run -- start --dev {{arguments}}

# Run the tests whose name contains the words; none: the whole suite with lints and docs
test *words:
  tests/run {{words}}

# Formatting and clippy, as the suite checks them
lint:
  cargo fmt --all --check
  cargo clippy --workspace --all-targets -- -D warnings

# What must pass before a commit
verify:
  tests/run

# Write the TypeScript that the demo's page is compiled against; `--check` compares only
generate *flags:
  cargo run -- generate --out forge-node/demo/web/src/forge {{flags}}

# Print the benchmarks' ratios: all, actor, rpc, panic, recovery, tax, fanout, live, jobs, drain, enqueue, idle, limits, workflows; by name only, since they take long: storm, churn, pages, attacks, slow-clients
bench *which="all":
  cargo build --release -p forge-tests --bins
  cargo run --release -p forge-tests --bin bench -- {{which}}

# Start three nodes on this machine, ports 8081-8083, with haproxy on 8080 where it is installed; may be repeated
cluster-up:
  cargo build --release -p forge-node
  deploy/cluster/cluster.sh up

# kill -9 one of the three nodes
cluster-kill node:
  deploy/cluster/cluster.sh kill {{node}}

# Stop and start one node after the other, as a deploy does
cluster-roll:
  deploy/cluster/cluster.sh roll

# Stop the three nodes in order
cluster-down:
  deploy/cluster/cluster.sh down
