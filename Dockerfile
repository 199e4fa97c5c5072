# The state service and the filter: `docker compose up` builds it.
FROM rust:1.95-bookworm AS build
RUN rustup target add wasm32-wasip1
WORKDIR /src
COPY . .
RUN cargo build --release -p weir --bins \
 && cargo build --release -p weir-filter --target wasm32-wasip1

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/weir /usr/local/bin/weir
COPY --from=build /src/target/wasm32-wasip1/release/weir_filter.wasm /usr/local/share/weir/weir_filter.wasm
COPY weir.yaml /etc/weir/weir.yaml
# `data` of weir.yaml is relative to here.
WORKDIR /run/weir
ENTRYPOINT ["weir"]
CMD ["serve", "--config", "/etc/weir/weir.yaml"]
