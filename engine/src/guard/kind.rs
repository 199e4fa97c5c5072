//! The table of detectors: what is looked for, how it is named, and how sure it must be.

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    ApiKey,
    Card,
    Cccd,
    Cmnd,
    Crypto,
    DateOfBirth,
    Email,
    Iban,
    Ip,
    Name,
    Passport,
    Phone,
    Secret,
    Ssn,
    UrlCredentials,
}

/// What a detector believes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The shape says little; a word nearby must name it.
    Context,
    /// The shape is enough unless a word nearby names something else.
    Shape,
    /// A checksum or an issuer's own prefix proves it.
    Proof,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    pub kind: Kind,
    /// Name in counts, headers and metrics.
    pub name: &'static str,
    /// What stands in the text after redaction.
    pub token: &'static str,
    /// The weakest evidence that is accepted.
    pub evidence: Evidence,
}

macro_rules! detectors {
    ($($kind:ident $name:literal $evidence:ident;)*) => {
        const DETECTORS: &[Detector] = &[$(Detector {
            kind: Kind::$kind,
            name: $name,
            token: concat!("[", $name, "_REDACTED]"),
            evidence: Evidence::$evidence,
        }),*];

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Name in counts, headers and metrics, such as `EMAIL`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            /// What stands in the text after redaction, such as `[EMAIL_REDACTED]`.
            pub const fn token(self) -> &'static str {
                match self { $(Self::$kind => concat!("[", $name, "_REDACTED]")),* }
            }
        }
    };
}

detectors! {
    ApiKey "API_KEY" Context;
    Card "CREDIT_CARD" Proof;
    Cccd "CCCD" Context;
    Cmnd "CMND" Context;
    Crypto "CRYPTO" Proof;
    DateOfBirth "DATE_OF_BIRTH" Context;
    Email "EMAIL" Shape;
    Iban "IBAN" Proof;
    Ip "IP" Shape;
    Name "NAME" Context;
    Passport "PASSPORT" Context;
    Phone "PHONE" Context;
    Secret "SECRET" Context;
    Ssn "SSN" Context;
    UrlCredentials "URL_CREDENTIALS" Shape;
}

/// The table of detectors.
pub const fn detectors() -> &'static [Detector] {
    DETECTORS
}
