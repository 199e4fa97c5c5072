//! Places in a client's request, for errors.

use std::fmt;

use crate::request::RequestError;

/// A place in the client's request, as Anthropic writes it: `messages.0.content.1`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    System {
        block: Option<usize>,
    },
    Message {
        message: usize,
        /// Indices of a block and of one inside of it.
        block: Option<usize>,
        inner: Option<usize>,
    },
}

impl Place {
    pub(super) fn message(message: usize) -> Place {
        Place::Message {
            message,
            block: None,
            inner: None,
        }
    }

    /// The block called `index` of what is here.
    pub(super) fn at(self, index: usize) -> Place {
        match self {
            Place::System { .. } => Place::System { block: Some(index) },
            Place::Message {
                message,
                block: None,
                ..
            } => Place::Message {
                message,
                block: Some(index),
                inner: None,
            },
            Place::Message { message, block, .. } => Place::Message {
                message,
                block,
                inner: Some(index),
            },
        }
    }

    pub(super) fn invalid(self, member: &str, why: impl Into<String>) -> RequestError {
        RequestError::invalid(format!("{self}{member}"), why)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, blocks) = match self {
            Place::System { block } => ("system".to_owned(), [*block, None]),
            Place::Message {
                message,
                block,
                inner,
            } => (format!("messages.{message}"), [*block, *inner]),
        };
        out.write_str(&head)?;
        for index in blocks.into_iter().flatten() {
            match self {
                Place::System { .. } => write!(out, ".{index}")?,
                Place::Message { .. } => write!(out, ".content.{index}")?,
            }
        }
        Ok(())
    }
}
