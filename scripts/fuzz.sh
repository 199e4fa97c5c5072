#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: each fuzz target for so long. libFuzzer where nightly and cargo-fuzz
# are there, else inputs changed at random by the engine's own tests, from a seed that is printed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
targets=("$@")
if ((${#targets[@]} == 0)); then
  for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
if cargo +nightly fuzz --version >/dev/null 2>&1; then
  for target in "${targets[@]}"; do
    # What it learns goes beside the seeds, which stay few and small.
    learnt=fuzz/target/corpus/$target
    mkdir -p "$learnt"
    cargo +nightly fuzz run --fuzz-dir fuzz "$target" "$learnt" "fuzz/corpus/$target" -- \
      -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1
  done
else
  echo "cargo-fuzz or nightly is missing: random inputs on stable"
  export WEIR_FUZZ_SECONDS=$seconds WEIR_FUZZ_SEED=${WEIR_FUZZ_SEED:-$RANDOM}
  echo "seed $WEIR_FUZZ_SEED"
  for target in "${targets[@]}"; do
    cargo test -q --release -p weir-engine --test fuzz -- --exact "$target" --nocapture
  done
fi
