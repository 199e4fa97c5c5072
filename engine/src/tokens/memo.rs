//! The token counts of short pieces, as a table of fixed size.

/// Bytes of a piece that fits the table: nearly all pieces of prose and code do.
pub(super) const SHORT_PIECE_BYTES_MAX: usize = 15;
/// Logarithm of the slots: 32,768 of 16 bytes, 512 KiB.
const SLOTS_LOG2: u32 = 15;
/// A piece's length sits above its bytes, its count above its length.
const LENGTH_SHIFT: u32 = 8 * SHORT_PIECE_BYTES_MAX as u32;
const COUNT_SHIFT: u32 = LENGTH_SHIFT + 4;
const KEY: u128 = (1 << COUNT_SHIFT) - 1;

/// A piece's bytes and length in one number, without its count. No piece is 0.
pub(super) type Key = u128;

/// Each piece has one slot; of two that share it the later stays. That bounds memory and the time
/// of a look-up whatever the pieces are.
pub(super) struct ShortPieces {
    slots: Vec<u128>,
}

impl ShortPieces {
    pub(super) fn new() -> ShortPieces {
        ShortPieces {
            slots: vec![0; 1 << SLOTS_LOG2],
        }
    }

    /// The key of `text[start..end]`, at most [`SHORT_PIECE_BYTES_MAX`] bytes.
    #[inline]
    pub(super) fn key(text: &[u8], start: usize, end: usize) -> Key {
        let length = end.saturating_sub(start).min(SHORT_PIECE_BYTES_MAX);
        let rest = text.get(start..).unwrap_or_default();
        let bytes = match rest.first_chunk::<16>() {
            Some(chunk) => u128::from_le_bytes(*chunk),
            None => {
                let mut chunk = [0; 16];
                for (byte, source) in chunk.iter_mut().zip(rest) {
                    *byte = *source;
                }
                u128::from_le_bytes(chunk)
            }
        };
        let kept = bytes & ((1 << (8 * length)) - 1);
        kept | ((length as u128) << LENGTH_SHIFT)
    }

    #[inline]
    pub(super) fn count(&self, key: Key) -> Option<u64> {
        let slot = self
            .slots
            .get(slot_of(key))
            .filter(|slot| **slot & KEY == key)?;
        Some((slot >> COUNT_SHIFT) as u64)
    }

    /// Keeps a count. A piece has no more tokens than bytes, so that four bits hold it.
    pub(super) fn remember(&mut self, key: Key, count: u64) {
        if let Some(slot) = self.slots.get_mut(slot_of(key))
            && count <= SHORT_PIECE_BYTES_MAX as u64
        {
            *slot = key | (u128::from(count) << COUNT_SHIFT);
        }
    }
}

/// Multiplicative hashing; 64-bit factors, because wider ones are slow in wasm.
#[inline]
fn slot_of(key: Key) -> usize {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let (low, high) = (key as u64, (key >> 64) as u64);
    let mixed = (low ^ high.wrapping_mul(SPREAD).rotate_left(32)).wrapping_mul(SPREAD);
    (mixed >> (u64::BITS - SLOTS_LOG2)) as usize
}
