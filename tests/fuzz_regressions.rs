//! The fuzz targets' checks as ordinary tests: every seed, and what a fuzzer
//! once found is a seed from then on. And a little noise of our own.

#[path = "fuzz/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn every_seed_holds() {
    for (name, check) in checks::ALL {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "no seeds for {name}");
        seeds.iter().for_each(|seed| check(seed));
    }
}

#[test]
fn so_do_seeds_with_a_few_bytes_changed() {
    for number in 0..64 {
        let mut random = fastrand::Rng::with_seed(number);
        for (name, check) in checks::ALL {
            for mut seed in seeds(name) {
                for _ in 0..random.usize(..8) {
                    let at = random.usize(..=seed.len());
                    match random.u8(..3) {
                        0 if at < seed.len() => seed[at] = random.u8(..),
                        1 if at < seed.len() => drop(seed.remove(at)),
                        _ => seed.insert(at, random.u8(..)),
                    }
                }
                check(&seed);
            }
        }
    }
}

#[test]
fn every_target_has_its_check() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/targets");
    let mut targets: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().display().to_string())
        .collect();
    targets.sort();
    let mut names: Vec<&str> = checks::ALL.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(targets, names);
}
