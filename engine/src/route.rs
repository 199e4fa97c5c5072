//! Route configuration of a request.
