//! What the state service answers to filters.

use std::sync::Arc;

use engine::limit::{Exceeded, Measure};
use engine::reply::Code;
use engine::wire::{Admission, Rates, Refused};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// [`Admission`] with a cached answer that is sent as it was stored.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum AdmitReply {
    Decided(Admission),
    /// A refusal because too many run: the end of one may be on its way.
    Busy(Admission),
    Cached(CachedReply),
}

impl AdmitReply {
    /// What there is to say when nobody can tell.
    pub(crate) fn unavailable() -> AdmitReply {
        refuse(refused(Code::StateUnavailable))
    }

    /// The same with another state of limits.
    pub(crate) fn with_rate(self, told: Rates) -> AdmitReply {
        match self {
            AdmitReply::Cached(CachedReply::Cached { answer, .. }) => {
                AdmitReply::Cached(CachedReply::Cached { answer, rate: told })
            }
            other => other,
        }
    }
}

/// Mirrors [`Admission::Cached`].
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CachedReply {
    Cached {
        #[serde(serialize_with = "as_stored")]
        answer: Arc<RawValue>,
        #[serde(skip_serializing_if = "Rates::is_empty")]
        rate: Rates,
    },
}

/// Mirrors [`PolicyAnswer`].
#[derive(Serialize)]
pub(crate) struct PolicyReply<'a> {
    pub(super) version: u64,
    pub(super) keys_version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<&'a RawValue>,
}

fn as_stored<S: Serializer>(answer: &Arc<RawValue>, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::serialize(answer, serializer)
}

pub(super) fn refuse(refused: Refused) -> AdmitReply {
    AdmitReply::Decided(Admission::Refused(refused))
}

pub(super) fn refused(code: Code) -> Refused {
    let message = String::new();
    Refused {
        code: code.row().name.to_owned(),
        message,
        retry_after_s: None,
        rate: Rates::default(),
    }
}

pub(super) fn rate_refusal(exceeded: &Exceeded, mut rate: Rates) -> AdmitReply {
    exceeded.tell(&mut rate);
    let refused = Admission::Refused(Refused {
        code: Code::RateLimitExceeded.row().name.to_owned(),
        message: exceeded.message(),
        retry_after_s: exceeded.retry_after_s(),
        rate,
    });
    match exceeded.bound.measure {
        Measure::Running => AdmitReply::Busy(refused),
        Measure::Requests | Measure::Tokens => AdmitReply::Decided(refused),
    }
}
