//! `weir`: the state service and the command line.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line prints"
)]

use std::process::ExitCode;

use sidecar::config::{Address, Config, Purpose};
use sidecar::{demo, keys, render, serve, up, vault};

mod arguments;
mod check;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn load(arguments: &Arguments) -> Result<Config, String> {
    let config = Config::load(&arguments.config, &env).map_err(|error| error.to_string())?;
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(config)
}

/// Puts in what vaults keep for this purpose.
fn filled(mut config: Config, purpose: Purpose) -> Result<Config, String> {
    let (purposes, ca) = ([purpose], render::system_ca(&env));
    let mut heard = |access: &vault::Access| eprintln!("vault access {}", access.fields());
    let filling = vault::fill(&mut config, &purposes, ca.as_ref(), &mut heard);
    single_thread()?.block_on(filling)?;
    Ok(config)
}

fn run(arguments: Arguments) -> Result<(), String> {
    match &arguments.command {
        Command::Help(text) => print!("{text}"),
        Command::Version => println!("weir {}", env!("CARGO_PKG_VERSION")),
        Command::Render => print!(
            "{}",
            render::bootstrap(
                &filled(load(&arguments)?, Purpose::Envoy)?,
                &arguments.render(&env)
            )
        ),
        Command::Snippet(name) => print!(
            "{}",
            render::snippet::text(
                name,
                &filled(load(&arguments)?, Purpose::Envoy)?,
                &arguments.render(&env)
            )?
        ),
        Command::Check => single_thread()?.block_on(check::run(&arguments, &env))?,
        Command::Serve => {
            let config = load(&arguments)?;
            several_threads()?
                .block_on(serve::run(config))
                .map_err(|error| error.to_string())?;
        }
        Command::Demo(address) => single_thread()?.block_on(demonstrate(address))?,
        Command::Up => single_thread()?.block_on(up::run(&arguments.up(), &env))?,
        Command::Keys(action) => {
            let config =
                Config::load(&arguments.config, &env).map_err(|error| error.to_string())?;
            let config = filled(config, Purpose::Administration)?;
            println!("{}", single_thread()?.block_on(keys::run(action, &config))?);
        }
    }
    Ok(())
}

async fn demonstrate(address: &Address) -> Result<(), String> {
    demo::run(address)
        .await
        .map(|_| ())
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

fn single_thread() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

fn several_threads() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}
