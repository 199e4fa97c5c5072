//! Fuzz targets of the engine.

pub mod targets;
