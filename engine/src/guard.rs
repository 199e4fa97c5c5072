//! Personal data in requests.
