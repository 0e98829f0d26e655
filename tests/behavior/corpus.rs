//! The inputs of the fuzz targets, those that once broke something among them, through the targets' own functions.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

fn names_in(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().expect("a name");
            stem.to_str().expect("UTF-8").to_owned()
        })
        .collect()
}

#[test]
fn every_seed_holds() {
    for (name, target) in targets::TARGETS {
        let folder = Path::new(FOLDER).join("seeds").join(name);
        let mut seeds = 0;
        for entry in fs::read_dir(&folder).expect("seeds") {
            let path = entry.expect("an entry").path();
            let data = fs::read(&path).expect("readable");
            if let Err(panic) = std::panic::catch_unwind(|| target(&data)) {
                eprintln!("{}", path.display());
                std::panic::resume_unwind(panic);
            }
            seeds += 1;
        }
        assert!(seeds >= 8, "{name} has {seeds} seeds");
    }
}

#[test]
fn targets_programs_and_seeds_are_the_same() {
    let targets: BTreeSet<String> = targets::TARGETS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(targets, names_in(&Path::new(FOLDER).join("fuzz_targets")));
    assert_eq!(targets, names_in(&Path::new(FOLDER).join("seeds")));
}
