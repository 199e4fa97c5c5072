//! A stream in the client's own form: it is read for what it costs and how it ends, and rewritten only
//! where something watches over it.

use super::stream::Metered;
use crate::dialect::{self, Stop, StreamDecoder, responses};
use crate::guard::AnswerGuard;
use crate::ingress::{self, Ingress};
use crate::limits::EVENT_BYTES_MAX;
use crate::reply::Code;
use crate::sse;
use crate::usage::Usage;

/// See the module.
#[derive(Debug)]
pub(super) struct Native {
    meter: Meter,
    pub(super) guard: Option<Box<AnswerGuard>>,
    /// An event that is not complete: a client that had its beginning would take an error of ours
    /// for its rest.
    held: Vec<u8>,
    /// What the decoder writes and nobody gets.
    unused: Vec<u8>,
}

/// What reads the stream.
#[derive(Debug)]
enum Meter {
    Messages(Box<StreamDecoder>),
    Responses(Box<responses::Meter>),
}

impl Native {
    pub(super) fn new(
        ingress: Ingress,
        decoder: StreamDecoder,
        guard: Option<Box<AnswerGuard>>,
    ) -> Native {
        Native {
            guard,
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
        match &mut self.guard {
            Some(guard) => guard.push(chunk, out),
            None => self.pass(chunk, out),
        }
        if self.meter().failed() && !self.reported() {
            self.flush(out);
            self.write_error(Code::UpstreamInvalidAnswer, out);
        }
    }

    /// The provider has closed the stream.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.meter {
            Meter::Messages(decoder) => decoder.end(&mut self.unused),
            Meter::Responses(meter) => meter.end(),
        }
        if let Some(guard) = &mut self.guard {
            guard.end(out);
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
        if why == Stop::Length {
            self.flush(out);
            if self.guard.as_deref().is_some_and(AnswerGuard::denied) {
                // It ends for that reason, and the caller sees to it.
                return;
            }
        }
        self.renumber();
        match &mut self.meter {
            Meter::Messages(decoder) => {
                let open = match &self.guard {
                    Some(guard) => guard.open_block(),
                    None => decoder.open_block(),
                };
                ingress::messages_stop(open, why, usage, out);
                decoder.stop(why, 1, &mut self.unused);
            }
            Meter::Responses(meter) => meter.stop(why, usage, out),
        }
    }

    /// What waits is said.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(guard) = &mut self.guard {
            guard.finish(out);
        }
    }

    /// An event of ours follows those that the client has.
    fn renumber(&mut self) {
        let number = self.guard.as_deref().and_then(AnswerGuard::sequence);
        if let (Meter::Responses(meter), Some(number)) = (&mut self.meter, number) {
            meter.go_on_from(number);
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

    fn write_error(&mut self, code: Code, out: &mut Vec<u8>) {
        self.renumber();
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
