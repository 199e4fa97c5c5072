//! The stream of an answer: metered as the provider's format has it, written in the client's.

use super::native::Native;
use crate::dialect::{Stop, StreamDecoder, responses};
use crate::guard::AnswerGuard;
use crate::ingress::{Ingress, StreamEncoder};
use crate::usage::Usage;

/// What a stream costs and how it ends, whoever reads it.
pub(super) trait Metered {
    /// Whether the provider's own end was seen.
    fn finished(&self) -> bool;
    /// Whether the stream broke off or reported an error.
    fn failed(&self) -> bool;
    /// What the provider says the exchange consumed.
    fn usage(&self) -> Option<Usage>;
    /// The text delivered since the last take, for counting.
    fn take_text(&mut self) -> Option<String>;
    /// The same, left there.
    fn text(&self) -> &str;
}

impl Metered for StreamDecoder {
    fn finished(&self) -> bool {
        StreamDecoder::finished(self)
    }

    fn failed(&self) -> bool {
        StreamDecoder::failed(self)
    }

    fn usage(&self) -> Option<Usage> {
        StreamDecoder::usage(self)
    }

    fn take_text(&mut self) -> Option<String> {
        StreamDecoder::take_text(self)
    }

    fn text(&self) -> &str {
        StreamDecoder::text(self)
    }
}

impl Metered for responses::Meter {
    fn finished(&self) -> bool {
        responses::Meter::finished(self)
    }

    fn failed(&self) -> bool {
        responses::Meter::failed(self)
    }

    fn usage(&self) -> Option<Usage> {
        responses::Meter::usage(self)
    }

    fn take_text(&mut self) -> Option<String> {
        responses::Meter::take_text(self)
    }

    fn text(&self) -> &str {
        responses::Meter::text(self)
    }
}

/// A stream on its way.
#[derive(Debug)]
pub(super) enum AnswerStream {
    /// The client gets what the decoder makes of it.
    Decoded(Box<Decoded>),
    /// The client gets that in another form.
    Encoded(Box<Encoded>),
    /// The client gets the provider's own events.
    Native(Native),
}

/// A stream that is decoded, and watched over where a rule says so.
#[derive(Debug)]
pub(super) struct Decoded {
    decoder: StreamDecoder,
    guard: Option<Box<AnswerGuard>>,
    unguarded: Vec<u8>,
}

impl Decoded {
    pub(super) fn new(decoder: StreamDecoder, guard: Option<Box<AnswerGuard>>) -> Decoded {
        Decoded {
            decoder,
            guard,
            unguarded: Vec::new(),
        }
    }

    /// What waits is said before the end, unless that is why it ends.
    fn stop(
        &mut self,
        why: Stop,
        out: &mut Vec<u8>,
        stop: impl FnOnce(&mut StreamDecoder, &mut Vec<u8>),
    ) {
        match why {
            Stop::Length => self.pass(out, stop),
            Stop::ContentFilter => stop(&mut self.decoder, out),
        }
    }

    fn pass(&mut self, out: &mut Vec<u8>, decode: impl FnOnce(&mut StreamDecoder, &mut Vec<u8>)) {
        let Some(guard) = &mut self.guard else {
            return decode(&mut self.decoder, out);
        };
        self.unguarded.clear();
        decode(&mut self.decoder, &mut self.unguarded);
        guard.push(&self.unguarded, out);
        if self.decoder.finished() {
            guard.finish(out);
        }
    }
}

/// A stream that is decoded, and encoded in the client's form.
#[derive(Debug)]
pub(super) struct Encoded {
    ingress: Ingress,
    decoded: Decoded,
    encoder: StreamEncoder,
    middle: Vec<u8>,
}

impl Encoded {
    pub(super) fn new(ingress: Ingress, decoded: Decoded, encoder: StreamEncoder) -> Encoded {
        Encoded {
            ingress,
            decoded,
            encoder,
            middle: Vec::new(),
        }
    }

    fn pass(&mut self, out: &mut Vec<u8>, decode: impl FnOnce(&mut StreamDecoder, &mut Vec<u8>)) {
        self.middle.clear();
        self.decoded.pass(&mut self.middle, decode);
        self.encoder.push(&self.middle, out);
    }
}

impl AnswerStream {
    /// Takes the provider's next bytes and appends what the client may have of them.
    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match self {
            AnswerStream::Decoded(decoded) => {
                decoded.pass(out, |decoder, out| decoder.push(chunk, out));
            }
            AnswerStream::Encoded(encoded) => {
                encoded.pass(out, |decoder, out| decoder.push(chunk, out));
            }
            AnswerStream::Native(native) => native.push(chunk, out),
        }
    }

    /// The provider has closed the stream.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            AnswerStream::Decoded(decoded) => decoded.pass(out, StreamDecoder::end),
            AnswerStream::Encoded(encoded) => encoded.pass(out, StreamDecoder::end),
            AnswerStream::Native(native) => native.end(out),
        }
    }

    /// Ends a stream before its provider does: [`AnswerStream::close`] then has the last word.
    /// `choices` were asked for; `usage` is what it has come to.
    pub(super) fn stop(&mut self, why: Stop, choices: u32, usage: &Usage, out: &mut Vec<u8>) {
        let stop = |decoder: &mut StreamDecoder, out: &mut Vec<u8>| {
            decoder.stop(why, choices, out);
        };
        match self {
            AnswerStream::Decoded(decoded) => decoded.stop(why, out, stop),
            AnswerStream::Encoded(encoded) => {
                encoded.middle.clear();
                encoded.decoded.stop(why, &mut encoded.middle, stop);
                encoded.encoder.push(&encoded.middle, out);
            }
            AnswerStream::Native(native) => native.stop(why, usage, out),
        }
    }

    /// Ends a stream that has finished, in the client's form.
    pub(super) fn close(&mut self, metadata_json: &str, out: &mut Vec<u8>) {
        match self {
            AnswerStream::Decoded(decoded) => decoded.decoder.tail(metadata_json, out),
            AnswerStream::Encoded(encoded) => {
                encoded.middle.clear();
                let decoder = &mut encoded.decoded.decoder;
                decoder.tail(metadata_json, &mut encoded.middle);
                encoded.encoder.push(&encoded.middle, out);
            }
            AnswerStream::Native(_) => {}
        }
    }

    /// Takes a report for the last chunk of a chat; gives it back where the form has another last event.
    pub(super) fn report(&mut self, hook_results: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            AnswerStream::Decoded(decoded) => {
                decoded.decoder.report(hook_results);
                None
            }
            _ => Some(hook_results),
        }
    }

    /// Whether what the stream cost goes into a comment at its end: the formats that have a place
    /// for it say it there.
    pub(super) fn wants_comment(&self) -> bool {
        match self {
            AnswerStream::Decoded(_) => false,
            AnswerStream::Encoded(encoded) => encoded.ingress != Ingress::Completions,
            AnswerStream::Native(_) => true,
        }
    }

    /// Our own count, for the end of a stream that has none.
    pub(super) fn set_usage(&mut self, usage: Usage) {
        match self {
            AnswerStream::Decoded(decoded) => decoded.decoder.set_usage(usage),
            AnswerStream::Encoded(encoded) => encoded.decoded.decoder.set_usage(usage),
            AnswerStream::Native(_) => {}
        }
    }

    /// Takes what watches over it.
    pub(super) fn take_guard(&mut self) -> Option<Box<AnswerGuard>> {
        match self {
            AnswerStream::Decoded(decoded) => decoded.guard.take(),
            AnswerStream::Encoded(encoded) => encoded.decoded.guard.take(),
            AnswerStream::Native(native) => native.guard.take(),
        }
    }

    /// What watches over it.
    pub(super) fn guard(&mut self) -> Option<&mut AnswerGuard> {
        match self {
            AnswerStream::Decoded(decoded) => decoded.guard.as_deref_mut(),
            AnswerStream::Encoded(encoded) => encoded.decoded.guard.as_deref_mut(),
            AnswerStream::Native(native) => native.guard.as_deref_mut(),
        }
    }

    /// What reads the stream.
    pub(super) fn meter(&mut self) -> &mut dyn Metered {
        match self {
            AnswerStream::Decoded(decoded) => &mut decoded.decoder,
            AnswerStream::Encoded(encoded) => &mut encoded.decoded.decoder,
            AnswerStream::Native(native) => native.meter(),
        }
    }

    /// Bytes of delivered text that were not counted yet.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            AnswerStream::Decoded(decoded) => decoded.decoder.text_bytes(),
            AnswerStream::Encoded(encoded) => encoded.decoded.decoder.text_bytes(),
            AnswerStream::Native(native) => native.text_bytes(),
        }
    }
}

/// What a stream cost, where clients do not look for it.
pub(super) fn write_comment(metadata_json: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b": weir ");
    out.extend_from_slice(metadata_json.as_bytes());
    out.extend_from_slice(b"\n\n");
}
