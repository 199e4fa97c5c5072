//! What stands in place of a value: a mask, a keyed hash.

use super::Kind;
use super::digest::hmac;
use super::rules::is_secret;

/// Secret that hashes and tags are made with. Empty for none: then they are the same everywhere.
#[derive(Clone, Copy, Default)]
pub struct Key<'a>(pub &'a [u8]);

impl std::fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// The key of a tenant, from the one of the installation: what one tenant's hashes show cannot be
/// compared with another's.
pub fn tenant_key(of_all: &[u8], tenant: &str) -> [u8; 32] {
    hmac(of_all, &[b"tenant\0", tenant.as_bytes()])
}

/// Bytes of a code that a hash shows, twice as many characters.
const HASH_BYTES: usize = 6;

/// `[EMAIL_1f3a9c0b7d2e]`: the same for every way to write a value.
pub(super) fn hashed(key: Key<'_>, kind: Kind, name: &str, value: &str) -> String {
    let plain: String = match kind {
        // One may be another's twin in all but case.
        Kind::ApiKey | Kind::Crypto | Kind::Secret | Kind::UrlCredentials => value.to_owned(),
        Kind::Email | Kind::Name | Kind::Ip => value.to_lowercase(),
        _ => {
            let kept = value.chars().filter(|letter| letter.is_alphanumeric());
            kept.flat_map(char::to_uppercase).collect()
        }
    };
    let code = hmac(
        key.0,
        &[b"value\0", name.as_bytes(), b"\0", plain.as_bytes()],
    );
    let hex: String = code
        .iter()
        .take(HASH_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("[{name}_{hex}]")
}

/// The value with a `*` for every letter and digit but the last `keep`, of which never more than
/// half the value is left, and of a secret nothing. Marks that group characters stay.
pub(super) fn masked(kind: Kind, value: &str, keep: u8) -> String {
    let is_shown = |letter: &char| letter.is_alphanumeric();
    let count = value.chars().filter(is_shown).count();
    let keep = if is_secret(kind) {
        0
    } else {
        usize::from(keep).min(count / 2)
    };
    let mut hidden = count - keep;
    value
        .chars()
        .map(|letter| match letter {
            ' ' | '-' | '.' | '/' | ':' | '@' | '+' | '(' | ')' => letter,
            _ if is_shown(&letter) && hidden == 0 => letter,
            _ => {
                if is_shown(&letter) {
                    hidden -= 1;
                }
                '*'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_show_the_last_characters_and_never_more_than_half() {
        for (kind, value, keep, wanted) in [
            (Kind::Card, "4111-1111 1111 1234", 4, "****-**** **** 1234"),
            (Kind::Phone, "+84 912 345 678", 3, "+** *** *** 678"),
            (Kind::Email, "ann@example.com", 4, "***@******e.com"),
            (Kind::Name, "Nguyễn Văn A", 0, "****** *** *"),
            (Kind::Cmnd, "123456789", 8, "*****6789"),
            (Kind::Secret, "a\"b\\c", 4, "*****"),
        ] {
            assert_eq!(masked(kind, value, keep), wanted);
        }
    }

    #[test]
    fn hashes_tell_values_and_tenants_apart_and_not_their_spelling() {
        let key = tenant_key(b"all", "acme");
        let hash = |kind, value| hashed(Key(&key), kind, kind.name(), value);
        let card = hash(Kind::Card, "4111 1111 1111 1111");
        assert_eq!(card, hash(Kind::Card, "4111-1111-1111-1111"));
        assert_ne!(card, hash(Kind::Card, "4111 1111 1111 1112"));
        assert!(
            card.starts_with("[CREDIT_CARD_") && card.len() == 26,
            "{card}"
        );
        let mail = hash(Kind::Email, "Ann@Example.com");
        assert_eq!(mail, hash(Kind::Email, "ann@example.com"));
        let other = tenant_key(b"all", "other");
        assert_ne!(
            mail,
            hashed(Key(&other), Kind::Email, "EMAIL", "ann@example.com")
        );
        assert_ne!(hash(Kind::ApiKey, "aB"), hash(Kind::ApiKey, "ab"));
    }
}
