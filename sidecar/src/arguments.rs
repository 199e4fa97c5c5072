//! The arguments of the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;
use sidecar::config::Address;
use sidecar::{help, keys, render, up};

/// Everything the command line says.
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) config: PathBuf,
    pub(crate) wasm: Option<PathBuf>,
    pub(crate) envoy: Option<PathBuf>,
    /// Whether vaults are asked.
    pub(crate) online: bool,
    ca: Option<String>,
    port: Option<u16>,
}

/// What to do.
pub(crate) enum Command {
    Check,
    Demo(Address),
    /// What to print.
    Help(String),
    Keys(keys::Action),
    Render,
    Serve,
    Snippet(String),
    Up,
    Version,
}

#[derive(Default)]
struct Given {
    words: Vec<String>,
    listen: Option<String>,
    members: Vec<(String, String)>,
}

impl Arguments {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, String> {
        Arguments::read(args).map_err(|error| error.to_string())
    }

    fn read(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, lexopt::Error> {
        let mut parser = lexopt::Parser::from_args(args);
        let mut given = Given::default();
        let mut all = Arguments {
            command: Command::Version,
            config: PathBuf::from("weir.yaml"),
            wasm: None,
            envoy: None,
            online: false,
            ca: None,
            port: None,
        };
        let mut help_wanted = false;
        while let Some(arg) = parser.next()? {
            match arg {
                Value(word) => given.words.push(word.string()?),
                Long("config") | Short('c') => all.config = parser.value()?.into(),
                Long("wasm") => all.wasm = Some(parser.value()?.into()),
                Long("envoy") => all.envoy = Some(parser.value()?.into()),
                Long("ca") => all.ca = Some(parser.value()?.string()?),
                Long("port") => all.port = Some(parser.value()?.parse()?),
                Long("online") => all.online = true,
                Long("listen") => given.listen = Some(parser.value()?.string()?),
                Long("set") => {
                    let text = parser.value()?.string()?;
                    let (name, value) = text
                        .split_once('=')
                        .ok_or_else(|| format!("--set {text}: expected NAME=VALUE"))?;
                    given.members.push((name.to_owned(), value.to_owned()));
                }
                Long("help") | Short('h') => help_wanted = true,
                Long("version") | Short('V') => return Ok(all),
                _ => return Err(arg.unexpected()),
            }
        }
        if help_wanted {
            let word = given.words.iter().find(|word| *word != "help");
            let help = word.map_or_else(|| Some(help::overview()), |name| help::of(name));
            all.command = Command::Help(help.unwrap_or_else(help::overview));
            return Ok(all);
        }
        all.command = command(given)?;
        Ok(all)
    }

    /// What `render` needs besides the configuration.
    pub(crate) fn render(&self, env: &dyn Fn(&str) -> Option<String>) -> render::Options {
        let mut options = render::Options {
            port: self.port,
            ..render::Options::default()
        };
        if let Some(wasm) = &self.wasm {
            options.wasm = wasm.display().to_string();
        }
        if let Some(ca) = self
            .ca
            .clone()
            .or_else(|| env("SSL_CERT_FILE").filter(|path| !path.is_empty()))
        {
            options.ca = ca;
        }
        options
    }

    /// What `up` needs.
    pub(crate) fn up(&self) -> up::Options {
        up::Options {
            config: self.config.clone(),
            wasm: self
                .wasm
                .clone()
                .unwrap_or_else(|| render::Options::default().wasm.into()),
            envoy: self.envoy.clone(),
            port: self.port,
        }
    }
}

fn command(given: Given) -> Result<Command, String> {
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        [] | ["help"] => Command::Help(help::overview()),
        ["help", name] => Command::Help(help::of(name).ok_or_else(|| help::unknown(name))?),
        ["check"] => Command::Check,
        ["demo"] => {
            let text = given
                .listen
                .ok_or("demo needs --listen IP:PORT or --listen unix:PATH")?;
            Command::Demo(
                Address::parse(&text)
                    .ok_or_else(|| format!("--listen {text}: expected IP:PORT or unix:PATH"))?,
            )
        }
        ["keys"] | ["keys", "list"] => Command::Keys(keys::Action::List),
        ["keys", "create", name] => {
            Command::Keys(keys::Action::Create((*name).to_owned(), given.members))
        }
        ["keys", "rotate", id] => {
            Command::Keys(keys::Action::Rotate((*id).to_owned(), given.members))
        }
        ["keys", "delete", id] => Command::Keys(keys::Action::Delete((*id).to_owned())),
        ["render"] => Command::Render,
        ["render", snippet] => Command::Snippet((*snippet).to_owned()),
        ["serve"] => Command::Serve,
        ["up"] => Command::Up,
        [name, ..] => {
            let usage = help::of(name).ok_or_else(|| help::unknown(name))?;
            let call = words.join(" ");
            return Err(format!(
                "weir {call}: a word is missing or too much\n\n{usage}"
            ));
        }
    })
}
