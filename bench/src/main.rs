//! What Weir costs, against a plain Envoy in the same run: same binary, one worker, same provider.
//!
//! What is measured has one core to itself (Envoy and the state service together); provider and
//! load have another. Variants take turns, and each figure is the median of its rounds.

mod http;
mod load;
mod prompt;
mod provider;
mod report;
mod stage;
mod state;

use std::time::Duration;

use crate::load::{Load, Paced};
use crate::report::{Latency, Report, Throughput};
use crate::stage::{Setup, Side, Stage};

/// Connections of the closed loop.
const CONNECTIONS: usize = 64;
/// Requests a second of the open loops.
const PACED_RPS: u32 = 200;
/// Streams a second when the first chunk is awaited.
const PACED_STREAMS_RPS: u32 = 50;

const USAGE: &str =
    "usage: weir-bench [--rounds N] [--seconds N] [--json FILE] [--only VARIANT] [--state]
--state measures admissions, with counters in the service and with Redis and PostgreSQL.
--only runs the closed loop of one variant and prints process ids, for a profiler.
ENVOY_BIN, WEIR_BIN and WEIR_WASM name what is measured.";

/// One way through an Envoy.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    side: Side,
    /// A route of two targets, so that attempts pass the adapter.
    adapter: bool,
    stream: bool,
}

const fn variant(name: &'static str, side: Side, adapter: bool, stream: bool) -> Variant {
    Variant {
        name,
        side,
        adapter,
        stream,
    }
}

const VARIANTS: [Variant; 6] = [
    variant("plain Envoy", Side::Plain, false, false),
    variant("weir", Side::Weir, false, false),
    variant("weir with adapter", Side::Weir, true, false),
    variant("plain Envoy, stream", Side::Plain, false, true),
    variant("weir, stream", Side::Weir, false, true),
    variant("weir with adapter, stream", Side::Weir, true, true),
];

struct Options {
    rounds: u32,
    seconds: u64,
    json: Option<String>,
    only: Option<String>,
    state: bool,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("provider") {
        let port = arguments.next().and_then(|port| port.parse().ok());
        return runtime().block_on(provider::serve(port.expect("a port")));
    }
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            std::process::exit(2);
        }
    };
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        stage::stop();
        report(panic);
    }));
    runtime().block_on(async {
        tokio::select! {
            () = run(&options) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    });
    stage::stop();
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        rounds: 5,
        seconds: 4,
        json: None,
        only: None,
        state: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("only") => options.only = Some(parser.value()?.string()?),
            Long("state") => options.state = true,
            Long("json") => options.json = Some(parser.value()?.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

async fn run(options: &Options) {
    stage::pin_self();
    if options.state {
        return state::run(Duration::from_secs(options.seconds)).await;
    }
    let stage = Stage::start(&Setup::embedded(1)).await;
    let span = Duration::from_secs(options.seconds);
    let mut report = Report::new(stage.pinned(), options.rounds, options.seconds);

    if let Some(name) = &options.only {
        return one(&stage, name, span).await;
    }
    for variant in VARIANTS {
        closed(&stage, variant, Duration::from_secs(1)).await;
    }
    for round in 1..=options.rounds {
        eprintln!(
            "[weir-bench] throughput, round {round} of {}",
            options.rounds
        );
        for variant in VARIANTS {
            let measured = closed(&stage, variant, span).await;
            report.throughput(variant.name, measured);
        }
    }
    for round in 1..=options.rounds {
        eprintln!("[weir-bench] latency, round {round} of {}", options.rounds);
        for variant in VARIANTS {
            let rps = if variant.stream {
                PACED_STREAMS_RPS
            } else {
                PACED_RPS
            };
            let paced = Paced { rps, span };
            let load = load_of(&stage, variant);
            let samples = load::open(&load, paced).await;
            report.latency(variant.name, Latency::of(samples));
        }
    }
    let one = stage.memory();
    stage::stop();
    eprintln!("[weir-bench] memory, three workers");
    let wide = Stage::start(&Setup::embedded(3)).await;
    for variant in VARIANTS {
        closed(&wide, variant, Duration::from_secs(3)).await;
    }
    report.memory(one, wide.memory());

    println!("{}", report.table());
    if let Some(path) = &options.json {
        std::fs::write(path, report.json().to_string()).expect("the JSON file");
    }
}

async fn one(stage: &Stage, name: &str, span: Duration) {
    let Some(variant) = VARIANTS.iter().find(|variant| variant.name == name) else {
        let names = VARIANTS.map(|variant| variant.name).join(", ");
        eprintln!("no variant {name}; there are: {names}");
        std::process::exit(2);
    };
    println!("{}", stage.processes());
    let measured = closed(stage, *variant, span).await;
    println!(
        "{:.0} rps, {:.4} ms of CPU each, {:.4} of them the state service's",
        measured.rps, measured.cpu_ms, measured.sidecar_ms
    );
}

fn load_of(stage: &Stage, variant: Variant) -> Load {
    Load {
        address: stage.address(variant.side),
        requests: prompt::requests(variant.stream, variant.adapter),
    }
}

async fn closed(stage: &Stage, variant: Variant, span: Duration) -> Throughput {
    let load = load_of(stage, variant);
    let before = stage.cpu(variant.side);
    let done = load::closed(&load, CONNECTIONS, span).await;
    let after = stage.cpu(variant.side);
    let sidecar = after.1 - before.1;
    let cpu = after.0 - before.0 + sidecar;
    let each = |cpu: Duration| cpu.as_secs_f64() * 1000.0 / done.count.max(1) as f64;
    Throughput {
        rps: done.count as f64 / done.took.as_secs_f64(),
        cpu_ms: each(cpu),
        sidecar_ms: each(sidecar),
        busy: cpu.as_secs_f64() / done.took.as_secs_f64(),
    }
}
