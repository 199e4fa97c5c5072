//! `weir check`: the file itself, then what it renders to by Envoy's own judgement.

use sidecar::config::Config;
use sidecar::{envoy, render};

use crate::arguments::Arguments;

pub(crate) fn run(
    arguments: &Arguments,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let config = Config::load(&arguments.config, env).map_err(|error| error.to_string())?;
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    let names: Vec<&str> = config
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    println!(
        "{}: {} ({}), {}, {}",
        arguments.config.display(),
        count(names.len(), "provider"),
        names.join(", "),
        count(config.models.len(), "model"),
        count(config.virtual_keys.len(), "virtual key"),
    );
    let options = arguments.render(env);
    if !std::path::Path::new(&options.wasm).is_file() {
        println!(
            "not checked by Envoy: there is no filter at {}",
            options.wasm
        );
        return Ok(());
    }
    let program = match envoy::find(arguments.envoy.as_deref(), env) {
        Ok(program) => program,
        Err(message) if arguments.envoy.is_some() => return Err(message),
        Err(message) => {
            println!("not checked by Envoy: {message}");
            return Ok(());
        }
    };
    let path = std::env::temp_dir().join(format!("weir-check-{}.yaml", std::process::id()));
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::write(&path, render::bootstrap(&config, &options)).map_err(failed)?;
    let verdict = program.validate(&path);
    let _ = std::fs::remove_file(&path);
    verdict?;
    println!("Envoy {} accepts what it renders to", program.version);
    Ok(())
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
