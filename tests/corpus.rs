//! Every input that the fuzz targets have kept, read again: what they found stays found.
#![allow(clippy::expect_used, reason = "a test fails by panicking, in its helpers as well")]

use std::path::Path;

#[path = "../fuzz/src/properties/mod.rs"]
mod properties;

#[test]
fn what_was_found_stays_found() {
    let mut broken = Vec::new();
    for (target, check) in properties::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let entries = folder.read_dir().expect("each target keeps inputs");
        let files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        assert!(files.len() > 3, "{target} has hardly any inputs");
        for file in files {
            let input = std::fs::read(&file).expect("a file");
            if std::panic::catch_unwind(|| check(&input)).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
