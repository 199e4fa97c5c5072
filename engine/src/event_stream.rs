//! AWS event streams (`application/vnd.amazon.eventstream`) out of bytes that are cut anywhere.
//!
//! A message is, big endian: total length (4 bytes), length of the headers (4), CRC-32 of those
//! eight (4), headers, payload, CRC-32 of all before it (4). A length is believed only once its own
//! checksum holds, and a payload is handed over only once the message's does. Any split of the same
//! bytes gives the same messages.

use crate::limits::EVENT_BYTES_MAX;

/// Both lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// A checksum.
const CRC_BYTES: usize = 4;
/// A message without headers and payload.
const MESSAGE_BYTES_MIN: usize = PRELUDE_BYTES + CRC_BYTES;
/// The type of a header whose value is text.
const TEXT: u8 = 7;

/// One message, whole and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    headers: &'a [u8],
    /// What it carries.
    pub payload: &'a [u8],
}

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A checksum does not hold.
    Checksum,
    /// Lengths that contradict each other.
    Length,
    /// A message longer than [`EVENT_BYTES_MAX`].
    TooLong,
}

/// Splits a byte stream into messages.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// Start of a message whose end has not come yet; at most [`EVENT_BYTES_MAX`] between calls.
    held: Vec<u8>,
    broken: Option<Broken>,
}

impl Splitter {
    /// Takes the next bytes and hands over each message that they complete. A message that lies
    /// whole in `chunk` is not copied.
    ///
    /// # Errors
    /// What is [`Broken`], from then on for good.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut on_message: impl FnMut(Message<'_>),
    ) -> Result<(), Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let pushed = self.take(chunk, &mut on_message);
        if let Err(broken) = pushed {
            self.broken = Some(broken);
            self.held = Vec::new();
        }
        pushed
    }

    /// Bytes of an unfinished message.
    pub fn pending(&self) -> usize {
        self.held.len()
    }

    fn take(
        &mut self,
        chunk: &[u8],
        on_message: &mut impl FnMut(Message<'_>),
    ) -> Result<(), Broken> {
        let mut rest = chunk;
        while !self.held.is_empty() && !rest.is_empty() {
            // First as much as tells the length, then as much as that says.
            let wanted = match length(&self.held)? {
                None => PRELUDE_BYTES,
                Some(total) => total,
            };
            let missing = wanted.saturating_sub(self.held.len()).min(rest.len());
            let (head, tail) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.held.extend_from_slice(head);
            rest = tail;
            if length(&self.held)? == Some(self.held.len()) {
                on_message(message(&self.held)?);
                self.held.clear();
            }
        }
        while let Some(total) = length(rest)? {
            let Some((whole, tail)) = rest.split_at_checked(total) else {
                break;
            };
            on_message(message(whole)?);
            rest = tail;
        }
        self.held.extend_from_slice(rest);
        Ok(())
    }
}

/// Length of the message that begins `bytes`; `None` while there are too few to tell.
fn length(bytes: &[u8]) -> Result<Option<usize>, Broken> {
    let Some(prelude) = bytes.first_chunk::<PRELUDE_BYTES>() else {
        return Ok(None);
    };
    let [lengths @ .., a, b, c, d] = prelude;
    if crc32(lengths) != u32::from_be_bytes([*a, *b, *c, *d]) {
        return Err(Broken::Checksum);
    }
    let (total, headers) = (number(bytes, 0)?, number(bytes, 4)?);
    if total > EVENT_BYTES_MAX {
        return Err(Broken::TooLong);
    }
    if headers > total.saturating_sub(MESSAGE_BYTES_MIN) || total < MESSAGE_BYTES_MIN {
        return Err(Broken::Length);
    }
    Ok(Some(total))
}

/// A whole message, with its prelude checked before.
fn message(bytes: &[u8]) -> Result<Message<'_>, Broken> {
    let headers = number(bytes, 4)?;
    let (checked, crc) = bytes
        .split_last_chunk::<CRC_BYTES>()
        .ok_or(Broken::Length)?;
    if crc32(checked) != u32::from_be_bytes(*crc) {
        return Err(Broken::Checksum);
    }
    let inside = checked.get(PRELUDE_BYTES..).ok_or(Broken::Length)?;
    let (headers, payload) = inside.split_at_checked(headers).ok_or(Broken::Length)?;
    Ok(Message { headers, payload })
}

fn number(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    let number = u32::from_be_bytes(*four.ok_or(Broken::Length)?);
    usize::try_from(number).map_err(|_| Broken::TooLong)
}

impl<'a> Message<'a> {
    /// The header called `name`, when its value is text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.headers;
        loop {
            let (&name_length, after) = rest.split_first()?;
            let (this, after) = after.split_at_checked(usize::from(name_length))?;
            let (&kind, after) = after.split_first()?;
            let (length, after) = match kind {
                0 | 1 => (0, after),
                2 => (1, after),
                3 => (2, after),
                4 => (4, after),
                5 | 8 => (8, after),
                9 => (16, after),
                6 | TEXT => {
                    let (length, after) = after.split_first_chunk::<2>()?;
                    (usize::from(u16::from_be_bytes(*length)), after)
                }
                _ => return None,
            };
            let (value, after) = after.split_at_checked(length)?;
            if this == name.as_bytes() && kind == TEXT {
                return std::str::from_utf8(value).ok();
            }
            rest = after;
        }
    }
}

/// Remainders of all bytes, for the polynomial of IEEE 802.3 with its bits reversed.
const REMAINDERS: [u32; 256] = remainders();

#[expect(
    clippy::indexing_slicing,
    reason = "bounded by the loop, and checked at compile time"
)]
const fn remainders() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1;
            remainder >>= 1;
            if carry == 1 {
                remainder ^= 0xEDB8_8320;
            }
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
}

/// CRC-32 as zip, gzip and Ethernet have it.
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        let [low, ..] = (sum ^ u32::from(*byte)).to_le_bytes();
        let remainder = REMAINDERS
            .get(usize::from(low))
            .copied()
            .unwrap_or_default();
        (sum >> 8) ^ remainder
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// Writes a message with text headers, as a server would.
#[cfg(test)]
pub(crate) fn write(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        head.push(TEXT);
        head.extend_from_slice(&(value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let total = MESSAGE_BYTES_MIN + head.len() + payload.len();
    let mut out = (total as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&(head.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out
}

#[cfg(test)]
mod tests;
