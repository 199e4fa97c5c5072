//! What `weir --help` and `weir COMMAND --help` print; `docs/operations.md` shows the same.

use crate::config::closest;

/// A command and its help.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its line in the overview.
    pub summary: &'static str,
    /// How it is called, then what its options mean.
    pub usage: &'static str,
}

const CONFIG: &str = "--config FILE       default weir.yaml";

/// Every command.
pub const COMMANDS: [Command; 6] = [
    Command {
        name: "up",
        summary: "start state service and Envoy together, on one machine",
        usage: "\
usage: weir up [--config FILE] [--port N] [--wasm FILE] [--envoy FILE]

Starts the state service, the demo provider if weir.yaml has one, and Envoy; prints a key and a
curl; starts again what stops. Ctrl-C or SIGTERM stops everything.

  --port N            clients' port, instead of the one in `listen`
  --wasm FILE         the filter; default target/wasm32-wasip1/release/weir_filter.wasm
  --envoy FILE        Envoy; default ENVOY_BIN, .tools/bin/envoy, then the PATH
",
    },
    Command {
        name: "serve",
        summary: "run the state service alone; Envoy runs elsewhere",
        usage: "\
usage: weir serve [--config FILE]

Runs the state service until SIGTERM or SIGINT. One JSON object a line goes to standard output.

  LOG_LEVEL           debug, info, warn or error; default info
  WEIR_ADMIN_TOKEN    admin token, when weir.yaml names none
  WEIR_DEV_KEY        one more virtual key, named `dev`
  LLM_GATEWAY_DB_URL  PostgreSQL for keys and ledger, when weir.yaml names none; or DATABASE_URL
  REDIS_URL           Redis that several state services count in, when weir.yaml names none
",
    },
    Command {
        name: "render",
        summary: "print Envoy's configuration, or what to paste into an Envoy you already run",
        usage: "\
usage: weir render [filter | route | cluster | istio] [--config FILE] [--port N] [--wasm FILE] [--ca FILE]

Without a name: a whole bootstrap. With one: the piece to paste, or Istio's EnvoyFilter.

  --port N            clients' port, instead of the one in `listen`
  --wasm FILE         the filter as Envoy will open it;
                      default target/wasm32-wasip1/release/weir_filter.wasm
  --ca FILE           certificates that providers are checked against, as Envoy will open them;
                      default SSL_CERT_FILE, then /etc/ssl/certs/ca-certificates.crt
",
    },
    Command {
        name: "check",
        summary: "check weir.yaml, and what it renders to with Envoy itself",
        usage: "\
usage: weir check [--online] [--config FILE] [--wasm FILE] [--ca FILE] [--envoy FILE]

Ends with 0 when the file is good. With the filter and an Envoy at hand, Envoy judges the rendered
result too.

  --online            ask the vaults for every secret that the file names
  --wasm FILE         the filter; default target/wasm32-wasip1/release/weir_filter.wasm
  --ca FILE           certificates that providers are checked against
  --envoy FILE        Envoy; default ENVOY_BIN, .tools/bin/envoy, then the PATH
",
    },
    Command {
        name: "keys",
        summary: "list, create, rotate or delete virtual keys of the running service",
        usage: "\
usage: weir keys [list]
       weir keys create NAME [--set MEMBER=VALUE]...
       weir keys rotate ID --set new_api_key=VALUE
       weir keys delete ID

Speaks to the running state service as /admin/virtual-keys does, with WEIR_ADMIN_TOKEN, the
configuration's admin_token or that of a running `weir up`. Prints JSON.

  --set MEMBER=VALUE  for example rate_limit=100, budget_limit_usd=500, provider=openai,
                      real_api_key=sk-..., models='[\"gpt-4o-mini\"]'
",
    },
    Command {
        name: "demo",
        summary: "run the demo provider, which answers with an echo",
        usage: "\
usage: weir demo --listen ADDRESS

  --listen ADDRESS    IP:PORT or unix:PATH
",
    },
];

/// The overview.
pub fn overview() -> String {
    let mut text = "usage: weir COMMAND [OPTIONS]\n\n".to_owned();
    for command in COMMANDS {
        text.push_str(&format!("  {:8} {}\n", command.name, command.summary));
    }
    text.push_str(&format!(
        "\n  {CONFIG}\n  --help              of weir or of a command\n  --version\n"
    ));
    text
}

/// The help of one command.
pub fn of(name: &str) -> Option<String> {
    let command = COMMANDS.iter().find(|command| command.name == name)?;
    let config = match name {
        "demo" => String::new(),
        _ => format!("  {CONFIG}\n"),
    };
    Some(format!("{}{config}", command.usage))
}

/// What is said of a command that does not exist.
pub fn unknown(name: &str) -> String {
    let names = COMMANDS.map(|command| command.name);
    format!(
        "no such command: {name}{}\n\n{}",
        closest(name, &names),
        overview()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help_of_its_own() {
        for command in COMMANDS {
            let help = of(command.name).unwrap();
            let call = format!("usage: weir {}", command.name);
            assert!(help.starts_with(&call), "{help}");
            assert!(overview().contains(command.summary));
            assert!(help.lines().all(|line| line.len() <= 110), "{help}");
        }
        assert_eq!(of("nothing"), None);
    }

    #[test]
    fn a_slip_of_the_pen_is_answered_with_the_likely_command() {
        assert!(unknown("rendr").starts_with("no such command: rendr; did you mean `render`?\n"));
        assert!(unknown("frobnicate").starts_with("no such command: frobnicate\n"));
    }
}
