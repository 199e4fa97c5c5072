//! Holds on disk, so that a restarted service still knows what is promised.
//!
//! One line of JSON for each admission, written by one `write(2)` before the admission is answered
//! and not synced: it survives the death of the process, which is all that is asked. After a loss
//! of power the ledger is still exact; only holds may be missing, and their settlements charge
//! without them. Settlements are not written here: the ledger's table says what was settled.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use engine::ledger::{Hold, Ledger, Scope};
use engine::limit::{Counted, Limits};
use engine::usage::NanoUsd;
use serde::{Deserialize, Serialize};

mod replay;

pub(crate) use replay::{Noted, replay};

/// Size at which the journal is rewritten with the holds that are still open. When these alone take
/// more than half of it, it grows to twice their size first.
pub(crate) const JOURNAL_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One line.
#[derive(Serialize)]
enum Line<'a> {
    /// A hold was made.
    #[serde(rename = "h")]
    Held {
        #[serde(rename = "x")]
        exchange: &'a str,
        #[serde(rename = "k")]
        key: &'a str,
        #[serde(rename = "p")]
        provider: &'a str,
        #[serde(rename = "m")]
        model: &'a str,
        #[serde(rename = "a")]
        amount_nano: NanoUsd,
        #[serde(rename = "c")]
        metered_nano: NanoUsd,
        #[serde(rename = "t")]
        admitted_ms: u64,
        #[serde(rename = "n")]
        tokens_in: u64,
        #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
        lease_requests: Option<u64>,
        #[serde(rename = "u", skip_serializing_if = "str::is_empty")]
        user: &'a str,
        #[serde(rename = "g", skip_serializing_if = "<[_]>::is_empty")]
        tags: &'a [String],
        /// Scopes with limits that it counts in.
        #[serde(rename = "q", skip_serializing_if = "Vec::is_empty")]
        limited: Vec<String>,
        /// Requests, tokens and running exchanges that it counts there.
        #[serde(rename = "w", skip_serializing_if = "Option::is_none")]
        counted: Option<(u64, u64, u64)>,
    },
    /// An exchange has cost this much so far.
    #[serde(rename = "r")]
    Renewed(Vec<(&'a str, NanoUsd)>),
    /// A lease has ended.
    #[serde(rename = "e")]
    Ended(&'a str),
}

/// The open journal.
pub(crate) struct Journal {
    path: PathBuf,
    /// `None` where holds are kept elsewhere.
    file: Option<File>,
    bytes: u64,
    bytes_max: u64,
    line: Vec<u8>,
}

impl Journal {
    /// One that notes nothing: holds are kept elsewhere.
    pub(crate) fn none() -> Journal {
        Journal {
            path: PathBuf::new(),
            file: None,
            bytes: 0,
            bytes_max: JOURNAL_BYTES_MAX,
            line: Vec::new(),
        }
    }

    /// Opens the journal in `path`, or starts one.
    pub(crate) fn open(path: &Path) -> io::Result<Journal> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Journal {
            path: path.to_owned(),
            file: Some(file),
            bytes,
            bytes_max: JOURNAL_BYTES_MAX,
            line: Vec::with_capacity(512),
        })
    }

    /// Notes one hold and what it counts in `limits`.
    pub(crate) fn hold(&mut self, exchange: &str, hold: &Hold, limits: &Limits) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        self.note(exchange, hold, counts(exchange, limits))
    }

    /// The same of one that is kept elsewhere.
    pub(crate) fn note(&mut self, exchange: &str, hold: &Hold, counts: Counts) -> io::Result<()> {
        self.line.clear();
        write_hold(&mut self.line, exchange, hold, counts)?;
        self.append()
    }

    /// Notes that a lease has ended. Ends of exchanges stand in the ledger's table.
    pub(crate) fn end(&mut self, lease: &str) -> io::Result<()> {
        self.line.clear();
        write_line(&mut self.line, &Line::Ended(lease))?;
        self.append()
    }

    /// Notes what running exchanges have cost so far.
    pub(crate) fn renew(&mut self, live: &[(String, NanoUsd)]) -> io::Result<()> {
        if live.is_empty() {
            return Ok(());
        }
        self.line.clear();
        let live = live
            .iter()
            .map(|(exchange, cost)| (exchange.as_str(), *cost))
            .collect();
        write_line(&mut self.line, &Line::Renewed(live))?;
        self.append()
    }

    /// Whether [`Journal::compact`] is due.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    /// Rewrites the journal with the holds of `ledger` alone.
    pub(crate) fn compact(&mut self, ledger: &Ledger, limits: &Limits) -> io::Result<()> {
        let holds = ledger.holds();
        let holds = holds.map(|(id, hold)| (id, hold.clone(), counts(id, limits)));
        self.rewrite(holds)
    }

    /// The same with holds that are kept elsewhere.
    pub(crate) fn rewrite<'a>(
        &mut self,
        holds: impl Iterator<Item = (&'a str, Hold, Counts)>,
    ) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut lines = Vec::new();
        for (exchange, hold, counts) in holds {
            write_hold(&mut lines, exchange, &hold, counts)?;
        }
        let _stale = fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&lines)?;
        fs::rename(&fresh, &self.path)?;
        *self = Journal::open(&self.path)?;
        self.bytes_max = JOURNAL_BYTES_MAX.max(self.bytes.saturating_mul(2));
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(&self.line)?;
        self.bytes = self.bytes.saturating_add(self.line.len() as u64);
        Ok(())
    }
}

/// Scopes with limits that a hold counts in; and the requests, tokens and running exchanges that it counts
/// there.
pub(crate) type Counts = (Vec<String>, Option<(u64, u64, u64)>);

fn counts(exchange: &str, limits: &Limits) -> Counts {
    let pass = limits.pass_of(exchange);
    let scopes = pass.map(|pass| limits.scopes_of(pass).map(Scope::to_string).collect());
    let counts = pass.map(|pass| (pass.requests, pass.tokens, pass.running));
    (scopes.unwrap_or_default(), counts)
}

fn write_hold(
    out: &mut Vec<u8>,
    exchange: &str,
    hold: &Hold,
    (limited, counted): Counts,
) -> io::Result<()> {
    let line = Line::Held {
        exchange,
        key: &hold.key,
        provider: &hold.provider,
        model: &hold.model,
        amount_nano: hold.amount_nano,
        metered_nano: hold.metered_nano,
        admitted_ms: hold.admitted_ms,
        tokens_in: hold.tokens_in,
        user: &hold.user,
        tags: &hold.tags,
        lease_requests: hold.lease_requests,
        limited,
        counted,
    };
    write_line(out, &line)
}

fn write_line(out: &mut Vec<u8>, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use engine::limit::{Bound, Measure};

    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holds.journal");
        let mut journal = Journal::open(&path).unwrap();
        let hold = Hold {
            amount_nano: 100,
            metered_nano: 7,
            admitted_ms: 5,
            expires_ms: 0,
            scopes: Vec::new(),
            key: "key_a".into(),
            provider: "p".into(),
            model: "quo\"te".into(),
            tokens_in: 3,
            user: "ada".into(),
            tags: vec!["env=prod".into()],
            lease_requests: None,
        };
        let mut limits = Limits::default();
        let bounds = [Bound {
            measure: Measure::Running,
            limit: 9,
            window_ms: 0,
        }];
        let scope = Scope::Tag("env=prod".into());
        let place = limits.open(&scope, &bounds, 5).unwrap();
        limits.pass("a", vec![place], 3, 5);
        journal.hold("a", &hold, &limits).unwrap();
        journal.hold("b", &hold, &limits).unwrap();
        journal.hold("lease", &hold, &limits).unwrap();
        journal.end("lease").unwrap();
        journal
            .renew(&[("b".into(), 120), ("gone".into(), 1)])
            .unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"h\":{\"x\":\"c")
            .unwrap();
        let mut holds = replay(&path).unwrap();
        holds.sort_by(|a, b| a.0.cmp(&b.0));
        let raised = Hold {
            amount_nano: 120,
            metered_nano: 120,
            ..hold.clone()
        };
        let counted = Counted {
            at_ms: 5,
            requests: 1,
            tokens: 3,
            running: 1,
        };
        let first = Noted {
            hold: hold.clone(),
            limited: vec![scope],
            counted,
        };
        let second = Noted {
            hold: raised,
            limited: Vec::new(),
            counted: Counted {
                at_ms: 5,
                ..Counted::default()
            },
        };
        assert_eq!(holds, [("a".into(), first.clone()), ("b".into(), second)]);

        let mut ledger = Ledger::default();
        ledger.restore("a".into(), hold, 9);
        journal.compact(&ledger, &limits).unwrap();
        journal.renew(&[("a".into(), 50)]).unwrap();
        let holds = replay(&path).unwrap();
        assert_eq!(
            (
                holds.len(),
                holds[0].1.hold.metered_nano,
                &holds[0].1.limited
            ),
            (1, 50, &first.limited)
        );
        assert!(replay(&folder.path().join("none")).unwrap().is_empty());
    }
}
