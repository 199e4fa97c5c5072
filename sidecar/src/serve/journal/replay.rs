//! Journals, read.

use super::*;

/// A hold as a journal tells of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    /// Its scopes are empty: the reader knows them by the key.
    pub(crate) hold: Hold,
    /// Scopes with limits that it counts in.
    pub(crate) limited: Vec<Scope>,
    /// What it counts there.
    pub(crate) counted: Counted,
}

/// Reads a journal: holds by exchange, the last word on each; a torn last line is passed over.
pub(crate) fn replay(path: &Path) -> io::Result<Vec<(String, Noted)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut holds: HashMap<String, Noted> = HashMap::new();
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice::<OwnedLine>(&line?) {
            Ok(OwnedLine::Held(held)) => {
                holds.insert(held.x.clone(), held.noted());
            }
            Ok(OwnedLine::Renewed(live)) => {
                for (exchange, cost) in live {
                    if let Some(Noted { hold, .. }) = holds.get_mut(&exchange) {
                        hold.metered_nano = if hold.lease_requests.is_some() {
                            cost
                        } else {
                            hold.metered_nano.max(cost)
                        };
                        hold.amount_nano = hold.amount_nano.max(cost);
                    }
                }
            }
            Ok(OwnedLine::Ended(lease)) => {
                holds.remove(&lease);
            }
            Err(_) => {}
        }
    }
    Ok(holds.into_iter().collect())
}

/// [`Line`] as it is read: escaped strings cannot be borrowed.
#[derive(Deserialize)]
enum OwnedLine {
    #[serde(rename = "h")]
    Held(Box<OwnedHold>),
    #[serde(rename = "r")]
    Renewed(Vec<(String, NanoUsd)>),
    #[serde(rename = "e")]
    Ended(String),
}

#[derive(Deserialize)]
struct OwnedHold {
    x: String,
    k: String,
    p: String,
    m: String,
    a: NanoUsd,
    c: NanoUsd,
    t: u64,
    n: u64,
    #[serde(default)]
    l: Option<u64>,
    #[serde(default)]
    u: String,
    #[serde(default)]
    g: Vec<String>,
    #[serde(default)]
    q: Vec<String>,
    #[serde(default)]
    w: (u64, u64, u64),
}

impl OwnedHold {
    fn noted(self) -> Noted {
        let (requests, tokens, running) = self.w;
        Noted {
            limited: self
                .q
                .iter()
                .filter_map(|text| Scope::parse(text))
                .collect(),
            counted: Counted {
                at_ms: self.t,
                requests,
                tokens,
                running,
            },
            hold: Hold {
                amount_nano: self.a,
                metered_nano: self.c,
                admitted_ms: self.t,
                expires_ms: 0,
                scopes: Vec::new(),
                key: self.k,
                provider: self.p,
                model: self.m,
                tokens_in: self.n,
                user: self.u,
                tags: self.g,
                lease_requests: self.l,
            },
        }
    }
}
