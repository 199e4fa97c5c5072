//! Where the programs under test are. A missing or stale one is an error: a test that passes on
//! yesterday's build says nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Root of the repository.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The `weir` program: `WEIR_BIN`, else the newer of `target/{debug,release}/weir`.
pub fn weir() -> PathBuf {
    let built = ["debug", "release"].map(|profile| target().join(profile).join("weir"));
    let newest = built
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(|path| modified(path));
    fresh(find("WEIR_BIN", newest, "make build"))
}

/// The filter: `WEIR_WASM`, else `target/wasm32-wasip1/release/weir_filter.wasm`.
pub fn wasm() -> PathBuf {
    let built = target().join("wasm32-wasip1/release/weir_filter.wasm");
    fresh(find("WEIR_WASM", Some(built), "make wasm"))
}

/// Envoy: `ENVOY_BIN`, else `.tools`, else the `PATH`.
pub fn envoy() -> PathBuf {
    let tools = root().join(".tools");
    let places = ["envoy", "bin/envoy", "envoy/bin/envoy"].map(|place| tools.join(place));
    let found = places
        .into_iter()
        .find(|path| path.is_file())
        .or_else(|| on_path("envoy"));
    find("ENVOY_BIN", found, "make envoy")
}

/// The fake provider, built together with the tests.
pub fn fake_provider() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    let beside = exe
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("fake-provider"));
    let found = beside.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no fake-provider near {}", exe.display()))
}

/// A Python that has the packages of `tests/python`: `WEIR_VENV`, else `.venv` of the repository.
pub fn python() -> PathBuf {
    let venv = root().join(".venv");
    let told = std::env::var_os("WEIR_VENV").filter(|value| value != OsStr::new(""));
    let python = told.map_or(venv, PathBuf::from).join("bin/python");
    assert!(
        python.is_file(),
        "the Python clients are missing: run `scripts/python.sh`"
    );
    python
}

/// The folder of scripts for Node.js, with what they import: `WEIR_NODE`, else `tests/node`.
pub fn node() -> PathBuf {
    let told = std::env::var_os("WEIR_NODE").filter(|value| value != OsStr::new(""));
    let folder = told.map_or_else(|| root().join("tests/node"), PathBuf::from);
    assert!(
        folder.join("node_modules").is_dir(),
        "the Node.js clients are missing: run `scripts/node.sh`"
    );
    folder
}

/// The first program of that name on the `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn find(variable: &str, built: Option<PathBuf>, command: &str) -> PathBuf {
    let told = std::env::var_os(variable).filter(|value| value != OsStr::new(""));
    match told.map(PathBuf::from).or(built) {
        Some(path) if path.is_file() => path,
        Some(path) => panic!(
            "{} is missing: run `{command}` or set {variable}",
            path.display()
        ),
        None => panic!("nothing built: run `{command}` or set {variable}"),
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// Panics when a source is newer than what was built from it. Cargo lists the sources in a `.d`
/// file beside the artefact; an installed one has none and is trusted.
fn fresh(artefact: PathBuf) -> PathBuf {
    let list = std::fs::read_to_string(artefact.with_extension("d")).unwrap_or_default();
    let built = modified(&artefact);
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    let newer = sources
        .split_whitespace()
        .find(|source| modified(Path::new(source)) > built);
    if let Some(source) = newer {
        panic!("{} is older than {source}: build again", artefact.display());
    }
    artefact
}
