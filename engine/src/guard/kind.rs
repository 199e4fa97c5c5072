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
    /// Reported without being asked for; others name companies, things or what is often public.
    pub by_default: bool,
}

macro_rules! detectors {
    ($($kind:ident $name:literal $evidence:ident $what:literal $example:literal $($off:ident)?;)*) => {
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
            by_default: !matches!(stringify!($($off)?).as_bytes(), b"off"),
        }),*];

        impl Kind {
            /// Every built-in kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Name in counts, headers and metrics, such as `EMAIL`; `CUSTOM` for one of the
            /// configuration.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* Self::Custom(_) => "CUSTOM" }
            }

            /// Reported without being asked for.
            pub const fn by_default(self) -> bool {
                match self {
                    $(Self::$kind => !matches!(stringify!($($off)?).as_bytes(), b"off"),)*
                    Self::Custom(_) => true,
                }
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
    UsItin "US_ITIN" Context "US individual taxpayer numbers, by their ranges" "ITIN 912-72-1234";
    UsNpi "US_NPI" Context "US health providers' numbers: Luhn" "NPI 2943853566";
    UsMbi "US_MBI" Context "US Medicare beneficiary identifiers, by their form" "MBI 1EG4-TE5-MK73";
    UsDea "US_DEA" Context "US medical licences of the DEA: check digit" "DEA number BX7983629";
    UsRouting "US_ROUTING" Context "US bank routing numbers: weights 3, 7, 1" "routing number 027998195" off;
    UkNhs "UK_NHS" Context "British NHS numbers: modulus 11" "NHS number 836 819 3036";
    UkNino "UK_NINO" Context "British national insurance numbers, by their form" "NINO AB 12 34 56 C";
    CaSin "CA_SIN" Context "Canadian social insurance numbers: Luhn" "SIN 362-241-549";
    AuTfn "AU_TFN" Context "Australian tax file numbers: modulus 11" "TFN 820 198 603";
    AuAbn "AU_ABN" Context "Australian business numbers: modulus 89" "ABN 28 839 917 215" off;
    AuAcn "AU_ACN" Context "Australian company numbers: modulus 10" "ACN 129 306 127" off;
    AuMedicare "AU_MEDICARE" Context "Australian Medicare cards: modulus 10" "Medicare card 3735 02884 4";
    InAadhaar "IN_AADHAAR" Context "Indian Aadhaar numbers: Verhoeff" "Aadhaar 8188 4208 7830";
    InPan "IN_PAN" Context "Indian tax accounts, by their form" "PAN card ABCPK1234L";
    InGstin "IN_GSTIN" Proof "Indian companies' tax numbers: modulus 36" "27AAPFU0939F1ZV" off;
    SgNric "SG_NRIC" Context "Singapore's NRIC and FIN: check letter" "NRIC S8406945J";
    ThId "TH_ID" Context "Thai identity numbers: modulus 11" "Thai ID 4-7432-33526-70-5";
    KrRrn "KR_RRN" Context "Korean resident numbers, by date and sex" "RRN 850715-1234567";
    JpMyNumber "JP_MY_NUMBER" Context "Japan's My Number: modulus 11" "マイナンバー 3639 3874 5779";
    CnId "CN_ID" Proof "Chinese resident numbers: date and ISO 7064" "110105198507151262";
    HkId "HK_ID" Context "Hong Kong identity cards: modulus 11" "HKID K499221(0)";
    TwId "TW_ID" Context "Taiwanese identity cards: modulus 10" "Taiwan ID F292275797";
    TrId "TR_ID" Context "Turkish identity numbers: two check digits" "TC kimlik no 50297152494";
    ZaId "ZA_ID" Context "South African identity numbers: date and Luhn" "SA ID 8507109626172";
    BrCpf "BR_CPF" Proof "Brazilian CPF: two check digits" "688.612.345-93";
    BrCnpj "BR_CNPJ" Proof "Brazilian companies' CNPJ: two check digits" "91.353.032/0001-26" off;
    EsNif "ES_NIF" Context "Spanish DNI, NIF and NIE: check letter" "DNI 12313545N";
    ItFiscalCode "IT_FISCAL_CODE" Proof "Italian codice fiscale: check letter" "RSSMRA85L15H501Q";
    FrNir "FR_NIR" Context "French social security numbers: key of modulus 97" "numéro de sécurité sociale 2 85 07 75 900 616 59";
    DeTaxId "DE_TAX_ID" Context "German tax identification: ISO 7064" "Steuer-ID 16 990 725 320";
    DeSocialSecurity "DE_SOCIAL_SECURITY" Context "German pension insurance: check digit" "Rentenversicherungsnummer 15150785M567";
    PlPesel "PL_PESEL" Context "Polish PESEL: modulus 10" "PESEL 85071775183";
    FiHetu "FI_HETU" Context "Finnish identity codes: modulus 31" "henkilötunnus 150785-363Y";
    SePersonnummer "SE_PERSONNUMMER" Context "Swedish personnummer: date and Luhn" "personnummer 850715-5441";
    NoId "NO_ID" Context "Norwegian identity numbers: two of modulus 11" "fødselsnummer 15078524488";
    DkCpr "DK_CPR" Context "Danish CPR, by their date" "CPR 150785-1234";
    NlBsn "NL_BSN" Context "Dutch BSN: modulus 11" "BSN 156371297";
    BeNationalNumber "BE_NATIONAL_NUMBER" Context "Belgian national numbers: modulus 97" "rijksregisternummer 85.07.15-033.90";
    ChAhv "CH_AHV" Proof "Swiss AHV: modulus 10" "756.1050.5126.44";
    IePps "IE_PPS" Context "Irish PPS numbers: modulus 23" "PPS number 2033335K";
    PtNif "PT_NIF" Context "Portuguese taxpayers: modulus 11" "contribuinte 341217824";
    VnTaxCode "VN_TAX_CODE" Context "Vietnamese tax codes: modulus 11" "Mã số thuế 0364102061" off;
    LicencePlate "LICENCE_PLATE" Context "Vietnamese licence plates" "Biển số 59P1-123.45" off;
    Vin "VIN" Proof "vehicles' numbers: check digit of ISO 3779" "1M8GDM9AXKP042788" off;
    MacAddress "MAC_ADDRESS" Shape "network cards' addresses" "link up 00:1b:44:11:3a:b7" off;
    Address "ADDRESS" Context "the line after a word for address" "Địa chỉ: 12 Nguyễn Trãi, Quận 1" off;
}

/// The table of built-in detectors.
pub const fn detectors() -> &'static [Detector] {
    DETECTORS
}
