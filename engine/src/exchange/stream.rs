//! The stream of an answer: metered as the provider's format has it, written in the client's.

use crate::dialect::{self, StreamDecoder};
use crate::ingress::{Ingress, StreamEncoder};
use crate::reply::Code;
use crate::sse;
use crate::usage::Usage;

/// A stream on its way.
#[derive(Clone, Debug)]
pub(super) struct AnswerStream {
    decoder: StreamDecoder,
    way: Way,
    /// What the decoder wrote and the client does not get as it is.
    middle: Vec<u8>,
}

/// What becomes of a decoded stream.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// The client gets it.
    Decoded,
    /// The client gets it in another form.
    Encoded(Ingress, StreamEncoder),
    /// The client gets the provider's own bytes; decoding only meters them.
    Native(Ingress),
}

impl AnswerStream {
    pub(super) fn new(decoder: StreamDecoder, way: Way) -> AnswerStream {
        AnswerStream {
            decoder,
            way,
            middle: Vec::new(),
        }
    }

    /// Takes the provider's next bytes and appends what the client may have of them.
    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.pass(out, |decoder, out| decoder.push(chunk, out));
        if let Way::Native(ingress) = self.way {
            out.extend_from_slice(chunk);
            if self.decoder.failed() && !self.decoder.reported() {
                write_error(ingress, Code::UpstreamInvalidAnswer, out);
            }
        }
    }

    /// The provider has closed the stream.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.pass(out, StreamDecoder::end);
        if let Way::Native(ingress) = self.way
            && self.decoder.failed()
        {
            write_error(ingress, Code::UpstreamStreamInterrupted, out);
        }
    }

    /// Ends a stream that has finished, in the client's form.
    pub(super) fn close(&mut self, metadata_json: &str, out: &mut Vec<u8>) {
        self.pass(out, |decoder, out| decoder.tail(metadata_json, out));
    }

    /// Whether what the stream cost goes into a comment at its end: the formats that have a place
    /// for it say it there.
    pub(super) fn wants_comment(&self) -> bool {
        match self.way {
            Way::Decoded | Way::Encoded(Ingress::Completions, _) => false,
            Way::Encoded(..) | Way::Native(_) => true,
        }
    }

    fn pass(&mut self, out: &mut Vec<u8>, decode: impl FnOnce(&mut StreamDecoder, &mut Vec<u8>)) {
        match &mut self.way {
            Way::Decoded => decode(&mut self.decoder, out),
            Way::Encoded(_, encoder) => {
                self.middle.clear();
                decode(&mut self.decoder, &mut self.middle);
                encoder.push(&self.middle, out);
            }
            Way::Native(_) => {
                self.middle.clear();
                decode(&mut self.decoder, &mut self.middle);
            }
        }
    }

    pub(super) fn finished(&self) -> bool {
        self.decoder.finished()
    }

    pub(super) fn failed(&self) -> bool {
        self.decoder.failed()
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.decoder.usage()
    }

    pub(super) fn set_usage(&mut self, usage: Usage) {
        self.decoder.set_usage(usage);
    }

    pub(super) fn text_bytes(&self) -> usize {
        self.decoder.text_bytes()
    }

    pub(super) fn take_text(&mut self) -> Option<String> {
        self.decoder.take_text()
    }
}

/// What a stream cost, where clients do not look for it.
pub(super) fn write_comment(metadata_json: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b": weir ");
    out.extend_from_slice(metadata_json.as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// An error of ours at the end of a stream that was the provider's own until then.
fn write_error(ingress: Ingress, code: Code, out: &mut Vec<u8>) {
    let row = code.row();
    let body = dialect::error_body(row.message, row.kind, None, Some(row.name));
    if ingress == Ingress::Messages {
        out.extend_from_slice(b"event: error\n");
    }
    sse::write_event(&ingress.error(row.status, body, ""), out);
}
