//! `weir`: the state service and the command line.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line prints")]

use std::path::PathBuf;
use std::process::ExitCode;

use sidecar::config::Config;
use sidecar::render;

const USAGE: &str = "\
usage: weir COMMAND [OPTIONS]

  render --config FILE [--wasm FILE] [--ca FILE] [--port N]   print Envoy's configuration
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    use lexopt::prelude::*;
    let mut args = lexopt::Parser::from_env();
    let mut config = PathBuf::from("weir.yaml");
    let mut options = render::Options::default();
    let mut command = None;
    while let Some(arg) = args.next().map_err(|error| error.to_string())? {
        match arg {
            Value(value) if command.is_none() => command = Some(value.to_string_lossy().into_owned()),
            Long("config") => config = args.value().map_err(|error| error.to_string())?.into(),
            Long("wasm") => {
                options.wasm = args.value().map_err(|error| error.to_string())?.to_string_lossy().into_owned();
            }
            Long("ca") => options.ca = args.value().map_err(|error| error.to_string())?.to_string_lossy().into_owned(),
            Long("port") => {
                options.port = Some(args.value().and_then(|value| value.parse()).map_err(|error| error.to_string())?);
            }
            _ => return Err(arg.unexpected().to_string()),
        }
    }
    match command.as_deref() {
        Some("render") => {
            let config = Config::load(&config, &|name| std::env::var(name).ok()).map_err(|error| error.to_string())?;
            print!("{}", render::bootstrap(&config, &options));
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(USAGE.to_owned()),
    }
}
