//! Long lines of a stream, without their middle.
//!
//! The events of this format may be of any length: one has a whole image, the last one all that
//! came before. What they cost stands near their end and what they are near their beginning.

/// Bytes at the beginning of a line that are kept.
const HEAD_BYTES: usize = 512 * 1024;
/// Bytes at its end.
const TAIL_BYTES: usize = 64 * 1024;

/// Takes the middle out of long lines. Any split of the bytes gives the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Shortener {
    /// Bytes of the line that went on.
    head: usize,
    /// The bytes that came last, at most twice [`TAIL_BYTES`].
    tail: Vec<u8>,
    /// Bytes left out of this line.
    left_out: usize,
}

impl Shortener {
    /// Takes bytes and hands on what is kept of them, in pieces, each with the number of bytes
    /// left out in front of it.
    pub(super) fn push(&mut self, chunk: &[u8], mut keep: impl FnMut(&[u8], usize)) {
        let reach = self.head.saturating_add(chunk.len());
        if self.pending() == 0 && reach <= HEAD_BYTES {
            let line_end = memchr::memrchr2(b'\n', b'\r', chunk);
            self.head = line_end.map_or(reach, |at| chunk.len().saturating_sub(at + 1));
            return keep(chunk, 0);
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest);
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            let fits = HEAD_BYTES.saturating_sub(self.head).min(line.len());
            let (head, tail) = line.split_at(fits);
            self.head = self.head.saturating_add(fits);
            keep(head, 0);
            self.hold(tail);
            rest = after;
            if let Some((line_end, after)) = after.split_first() {
                self.trim(TAIL_BYTES);
                keep(&self.tail, std::mem::take(&mut self.left_out));
                self.tail.clear();
                self.head = 0;
                keep(std::slice::from_ref(line_end), 0);
                rest = after;
            }
        }
    }

    /// Bytes of the line that have not gone on.
    pub(super) fn pending(&self) -> usize {
        self.left_out.saturating_add(self.tail.len())
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > TAIL_BYTES.saturating_mul(2) {
            self.trim(TAIL_BYTES);
        }
    }

    fn trim(&mut self, length: usize) {
        let more = self.tail.len().saturating_sub(length);
        self.tail.drain(..more);
        self.left_out = self.left_out.saturating_add(more);
    }
}
