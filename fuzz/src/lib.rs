//! What the fuzz targets assert. `tests/corpus.rs` asserts it too, of every input that is kept.

pub mod properties;
