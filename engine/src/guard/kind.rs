//! The table of detectors: what is looked for, how it is named, and how sure it must be.

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
    /// What it takes, for the manual.
    pub what: &'static str,
    /// A text with one such finding.
    pub example: &'static str,
}

macro_rules! detectors {
    ($($kind:ident $name:literal $evidence:ident $what:literal $example:literal;)*) => {
        /// What a finding is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($kind,)*
            /// A detector of the configuration, by its place there. Its name and token are
            /// [`Detectors::name`](super::Detectors::name) and
            /// [`Detectors::token`](super::Detectors::token).
            Custom(u16),
        }

        const DETECTORS: &[Detector] = &[$(Detector {
            kind: Kind::$kind,
            name: $name,
            token: concat!("[", $name, "_REDACTED]"),
            evidence: Evidence::$evidence,
            what: $what,
            example: $example,
        }),*];

        impl Kind {
            /// Every built-in kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Name in counts, headers and metrics, such as `EMAIL`; `CUSTOM` for one of the
            /// configuration.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* Self::Custom(_) => "CUSTOM" }
            }

            /// What stands in the text after redaction, such as `[EMAIL_REDACTED]`.
            pub const fn token(self) -> &'static str {
                match self {
                    $(Self::$kind => concat!("[", $name, "_REDACTED]"),)*
                    Self::Custom(_) => "[CUSTOM_REDACTED]",
                }
            }
        }
    };
}

detectors! {
    ApiKey "API_KEY" Context
        "keys and tokens by their issuer's form (`sk-`, `ghp_`, `AKIA`, `xoxb-`, JWT and more), others by the word before them"
        "access_token: 9f86d081884c7d659a2feaa0c55ad015";
    Card "CREDIT_CARD" Proof
        "payment cards: an issuer's prefix and length, and the Luhn check"
        "card 4111 1111 1111 1111";
    Cccd "CCCD" Context
        "Vietnamese citizen identity numbers, 12 digits with a province's code"
        "CCCD 079203001234";
    Cmnd "CMND" Context
        "Vietnamese identity card numbers, 9 digits"
        "CMND 123456789";
    Crypto "CRYPTO" Proof
        "Bitcoin addresses with their checksum, Ethereum addresses"
        "send to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    DateOfBirth "DATE_OF_BIRTH" Context
        "a date that a word for birth announces"
        "born on March 22, 1959";
    Email "EMAIL" Shape
        "mail addresses"
        "write to jane.doe@example.com";
    Iban "IBAN" Proof
        "bank accounts: the country's length and the check digits"
        "DE89 3704 0044 0532 0130 00";
    Ip "IP" Shape
        "IPv4 and IPv6 addresses, not loopback or unspecified ones"
        "from 203.0.113.42";
    Name "NAME" Context
        "a person's name after a title or a word that announces one"
        "Nhân viên Nguyễn Văn A";
    Passport "PASSPORT" Context
        "passport numbers after a word for passport"
        "passport number C01234567";
    Phone "PHONE" Context
        "telephone numbers, international and of several countries"
        "SĐT: 0912345678";
    Secret "SECRET" Context
        "passwords after a word for password, private keys in PEM form"
        "password: Tr0ub4dor&3";
    Ssn "SSN" Context
        "US social security numbers"
        "SSN 219-09-9999";
    UrlCredentials "URL_CREDENTIALS" Shape
        "user and password, or a key, inside a URL"
        "postgres://app:s3cr3tpw@db.example.com/prod";
}

impl Kind {
    /// Reported without being asked for.
    pub const fn by_default(self) -> bool {
        true
    }
}

/// The table of built-in detectors.
pub const fn detectors() -> &'static [Detector] {
    DETECTORS
}
