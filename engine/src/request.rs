//! A chat request as located spans.
