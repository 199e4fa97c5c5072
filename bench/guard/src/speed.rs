//! How fast the detectors read.
