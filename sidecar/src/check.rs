//! `weir check`: the file itself, then what it renders to by Envoy's own judgement.

use sidecar::config::{Config, Purpose, Secret, StoreConfig};
use sidecar::vault::{self, Access};
use sidecar::{envoy, render};

use crate::arguments::Arguments;

/// What stands for a secret that was not asked for: Envoy wants something.
const NOT_ASKED: &str = "not-asked-for";

pub(crate) async fn run(
    arguments: &Arguments,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let mut config = Config::load(&arguments.config, env).map_err(|error| error.to_string())?;
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
    store(&config);
    vaults(arguments.online, &mut config, env).await?;
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

/// Where state is kept, without passwords.
fn store(config: &Config) {
    let place = |secret: &Secret| {
        let address = secret.expose();
        let after = address.rsplit_once('@').map(|(_, after)| after);
        let after = after.or_else(|| address.split_once("://").map(|(_, after)| after));
        let place = after.unwrap_or_default();
        let place = place.split('?').next().unwrap_or_default().to_owned();
        match secret.reference() {
            Some(reference) => format!("the address in vault {}", reference.vault),
            None => place,
        }
    };
    let StoreConfig {
        redis, database, ..
    } = &config.store;
    match (redis, database) {
        (_, None) => println!("store: SQLite in {}", config.data.display()),
        (None, Some(database)) => println!(
            "store: PostgreSQL at {}, for one state service: several need a Redis too",
            place(database)
        ),
        (Some(redis), Some(database)) => println!(
            "store: Redis at {}, PostgreSQL at {}",
            place(redis),
            place(database)
        ),
    }
}

/// What the file wants of vaults, and with `--online` whether they have it.
async fn vaults(
    online: bool,
    config: &mut Config,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let all = [Purpose::Service, Purpose::Administration, Purpose::Envoy];
    let wanted = config.references(&all);
    for vault in &config.vaults {
        let of_it = wanted.iter().filter(|used| used.vault == vault.name);
        println!(
            "vault {} ({}): {}",
            vault.name,
            vault.provider().name(),
            count(of_it.count(), "secret"),
        );
    }
    if !online {
        config.fill(&|_| Some(NOT_ASKED.to_owned()));
        return Ok(());
    }
    let authorities = render::system_ca(env);
    let mut heard = |access: &Access| {
        println!(
            "vault {}: secret {}: {}",
            access.vault,
            access.secret,
            access.result()
        );
    };
    let filled = vault::fill(config, &all, authorities.as_ref(), &mut heard).await;
    filled.map(|_| ())
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
