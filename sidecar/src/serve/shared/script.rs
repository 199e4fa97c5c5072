//! The scripts, as they are sent.

use std::sync::LazyLock;

macro_rules! script {
    ($($part:literal),+) => {
        LazyLock::new(|| {
            Source::new(concat!(
                include_str!("scripts/group.lua"),
                $(include_str!(concat!("scripts/", $part, ".lua"))),+
            ))
        })
    };
}

/// One script.
pub(super) type Script = LazyLock<Source>;

/// A script's text and the name that Redis gives it.
pub(super) struct Source {
    code: &'static str,
    pub(super) name: String,
}

impl Source {
    fn new(code: &'static str) -> Source {
        Source {
            code,
            name: redis::Script::new(code).get_hash().to_owned(),
        }
    }

    /// Its call with one key and nothing more.
    pub(super) fn evaluation(&self, key: &str) -> redis::Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.code).arg(1).arg(key);
        command
    }
}

/// The same call with the whole script, which makes it known to the server that is asked. `None` when it is a call of
/// none of them.
pub(super) fn spelled(call: &redis::Cmd) -> Option<redis::Cmd> {
    let mut arguments = call.args_iter().filter_map(|argument| match argument {
        redis::Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let name = arguments.nth(1)?;
    let script = all().into_iter().find(|it| it.name.as_bytes() == name)?;
    let mut command = redis::cmd("EVAL");
    command.arg(script.code);
    for argument in arguments {
        command.arg(argument);
    }
    Some(command)
}

pub(super) static READ: Script = script!("where", "read");
pub(super) static ADMIT: Script = script!("admit", "where", "admit_rest");
pub(super) static SETTLE: Script = script!("settle");
pub(super) static RENEW: Script = script!("renew");
pub(super) static PEEK: Script = script!("peek");
pub(super) static GROW: Script = script!("grow", "where", "grow_rest");
pub(super) static EXPIRE: Script = script!("expire");
pub(super) static FINISH: Script = script!("finish");
pub(super) static PENDING: Script = script!("pending");
pub(super) static INIT: Script = script!("init");
pub(super) static STAND: Script = script!("stand");
pub(super) static STORED: Script = script!("stored");
pub(super) static COUNT: Script = script!("count");
pub(super) static STANDING: Script = script!("standing");
pub(super) static FORGET: Script = script!("forget");
pub(super) static SWEEP: Script = script!("sweep");

pub(super) static EPOCH: Script = LazyLock::new(|| Source::new(include_str!("scripts/epoch.lua")));
pub(super) static DISTRUST: Script =
    LazyLock::new(|| Source::new(include_str!("scripts/distrust.lua")));

/// All of them.
pub(super) fn all() -> [&'static Script; 18] {
    [
        &READ, &ADMIT, &SETTLE, &RENEW, &PEEK, &GROW, &EXPIRE, &FINISH, &PENDING, &INIT, &STAND,
        &STORED, &COUNT, &STANDING, &FORGET, &SWEEP, &EPOCH, &DISTRUST,
    ]
}
