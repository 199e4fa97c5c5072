//! Provider keys at rest: XChaCha20-Poly1305 under a key that lies beside the database in a file of
//! its own, readable by the service's user alone. It keeps keys out of copies of the database, not
//! from somebody who can read the whole directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use ring::hmac;

use super::StoreError;

const SECRET_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Seals and opens provider keys.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    guard_key: Vec<u8>,
    fingerprint: i64,
}

impl Sealer {
    /// Reads the key file, or makes one where there is none.
    pub(crate) fn open(path: &Path) -> Result<Sealer, StoreError> {
        let secret = match fs::read(path) {
            Ok(secret) => secret,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(error.into()),
        };
        let secret: [u8; SECRET_BYTES] = secret
            .try_into()
            .map_err(|_| StoreError::Secret("is not 32 bytes long"))?;
        Ok(Sealer::new(secret))
    }

    /// From 64 hexadecimal digits.
    pub(crate) fn from_hex(digits: &str) -> Result<Sealer, StoreError> {
        const WRONG: StoreError =
            StoreError::Secret("(store.secret_key) is not 64 hexadecimal digits");
        let mut secret = [0; SECRET_BYTES];
        if digits.len() != SECRET_BYTES * 2 || !digits.is_ascii() {
            return Err(WRONG);
        }
        for (index, byte) in secret.iter_mut().enumerate() {
            let pair = digits.get(index * 2..index * 2 + 2).ok_or(WRONG)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
        }
        Ok(Sealer::new(secret))
    }

    fn new(secret: [u8; SECRET_BYTES]) -> Sealer {
        let derived = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let tag = hmac::sign(&derived, b"weir: which key is this");
        // As much as fits a column, and tells nothing of the key.
        let first = tag.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        Sealer {
            cipher: XChaCha20Poly1305::new(&Key::from(secret)),
            guard_key: hmac::sign(&derived, b"guardrails").as_ref().to_vec(),
            fingerprint: i64::from_be_bytes(first),
        }
    }

    /// The secret that guardrails make hashes and placeholders with: as stable as the key file.
    pub(crate) fn guard_key(&self) -> Vec<u8> {
        self.guard_key.clone()
    }

    /// A number that is another for another key.
    pub(crate) fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    /// Nonce and ciphertext of `text`, bound to the virtual key with this id.
    pub(crate) fn seal(&self, key_id: &str, text: &str) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let payload = Payload {
            msg: text.as_bytes(),
            aad: key_id.as_bytes(),
        };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| StoreError::Secret("cannot seal"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// The text that was sealed for the virtual key with this id.
    pub(crate) fn unseal(&self, key_id: &str, sealed: &[u8]) -> Result<String, StoreError> {
        const WRONG: StoreError = StoreError::Secret("does not open what the database holds");
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(WRONG)?;
        let payload = Payload {
            msg: sealed,
            aad: key_id.as_bytes(),
        };
        let text = self
            .cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| WRONG)?;
        String::from_utf8(text).map_err(|_| WRONG)
    }
}

/// Fills `bytes` from the system's random source.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes)
        .map_err(|_| StoreError::Secret("needs random bytes, the system has none"))
}

fn create(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut secret = [0; SECRET_BYTES];
    random(&mut secret)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    Ok(secret.to_vec())
}
