//! A stream whose bytes pass: it is read only for what it costs and how it ends.

use super::stream::Metered;
use crate::dialect::{self, Stop, StreamDecoder, responses};
use crate::ingress::{self, Ingress};
use crate::limits::EVENT_BYTES_MAX;
use crate::reply::Code;
use crate::sse;
use crate::usage::Usage;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Native {
    meter: Meter,
    /// An event that is not complete: a client that had its beginning would take an error of ours
    /// for its rest.
    held: Vec<u8>,
    /// What the decoder writes and nobody gets.
    unused: Vec<u8>,
}

/// What reads the stream.
#[derive(Clone, Debug)]
enum Meter {
    Messages(Box<StreamDecoder>),
    Responses(Box<responses::Meter>),
}

impl Native {
    pub(super) fn new(ingress: Ingress, decoder: StreamDecoder) -> Native {
        Native {
            meter: match ingress {
                Ingress::Responses => Meter::Responses(Box::default()),
                Ingress::Completions | Ingress::Messages => Meter::Messages(Box::new(decoder)),
            },
            held: Vec::new(),
            unused: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.unused.clear();
        match &mut self.meter {
            Meter::Messages(decoder) => decoder.push(chunk, &mut self.unused),
            Meter::Responses(meter) => meter.push(chunk),
        }
        self.pass(chunk, out);
        if self.meter().failed() && !self.reported() {
            self.write_error(Code::UpstreamInvalidAnswer, out);
        }
    }

    /// The provider has closed the stream.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.meter {
            Meter::Messages(decoder) => decoder.end(&mut self.unused),
            Meter::Responses(meter) => meter.end(),
        }
        if self.meter().failed() && !self.reported() {
            self.held.clear();
            self.write_error(Code::UpstreamStreamInterrupted, out);
        }
        if !self.held.is_empty() {
            // Its blank line never came, and something of ours follows.
            out.append(&mut self.held);
            out.extend_from_slice(b"\n\n");
        }
    }

    /// Ends the stream before its provider does. `usage` is what it has come to.
    pub(super) fn stop(&mut self, why: Stop, usage: &Usage, out: &mut Vec<u8>) {
        self.held.clear();
        match &mut self.meter {
            Meter::Messages(decoder) => {
                ingress::messages_stop(decoder.open_block(), why, usage, out);
                decoder.stop(why, 1, &mut self.unused);
            }
            Meter::Responses(meter) => meter.stop(why, usage, out),
        }
    }

    pub(super) fn meter(&mut self) -> &mut dyn Metered {
        match &mut self.meter {
            Meter::Messages(decoder) => decoder.as_mut(),
            Meter::Responses(meter) => meter.as_mut(),
        }
    }

    pub(super) fn text_bytes(&self) -> usize {
        match &self.meter {
            Meter::Messages(decoder) => decoder.text_bytes(),
            Meter::Responses(meter) => meter.text_bytes(),
        }
    }

    fn reported(&self) -> bool {
        match &self.meter {
            Meter::Messages(decoder) => decoder.reported(),
            Meter::Responses(meter) => meter.reported(),
        }
    }

    /// Lets all go but the event that is not complete. One that is too long to keep goes as well.
    fn pass(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let pending = match &self.meter {
            Meter::Messages(decoder) => decoder.pending(),
            Meter::Responses(meter) => meter.pending(),
        };
        let keep = if pending > EVENT_BYTES_MAX {
            0
        } else {
            pending
        };
        if self.held.is_empty() && keep == 0 {
            return out.extend_from_slice(chunk);
        }
        self.held.extend_from_slice(chunk);
        let goes = self.held.len().saturating_sub(keep);
        out.extend(self.held.drain(..goes));
    }

    fn write_error(&self, code: Code, out: &mut Vec<u8>) {
        match &self.meter {
            Meter::Responses(meter) => out.extend(meter.cut_event(code)),
            Meter::Messages(_) => {
                let row = code.row();
                let body = dialect::error_body(row.message, row.kind, None, Some(row.name));
                out.extend_from_slice(b"event: error\n");
                sse::write_event(&Ingress::Messages.error(row.status, body, ""), out);
            }
        }
    }
}
