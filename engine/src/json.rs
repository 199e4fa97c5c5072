//! A scanner that locates and never rebuilds.
