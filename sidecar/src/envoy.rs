//! The Envoy program: where it is, whether it is new enough, and what it says of a configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `refresh_cluster_on_retry` came with it.
const VERSION_MIN: (u32, u32) = (1, 39);
/// Where `make setup` puts it.
const PRIVATE: &str = ".tools/bin/envoy";

/// A usable Envoy.
#[derive(Clone, Debug)]
pub struct Envoy {
    /// The program.
    pub path: PathBuf,
    /// Its version, `1.40.0`.
    pub version: String,
}

/// Finds Envoy: `given`, else `ENVOY_BIN`, else `.tools/bin/envoy`, else the `PATH`.
///
/// # Errors
/// There is none or it is too old; worded for the operator.
pub fn find(given: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Envoy, String> {
    if let Some(path) = given
        .map(Path::to_owned)
        .or_else(|| env("ENVOY_BIN").map(PathBuf::from))
    {
        return usable(&path);
    }
    let path = env("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("envoy"));
    let mut reason =
        "there is no Envoy: `make setup` fetches one, or name one with --envoy".to_owned();
    for candidate in std::iter::once(PathBuf::from(PRIVATE))
        .chain(on_path)
        .filter(|path| path.is_file())
    {
        match usable(&candidate) {
            Ok(envoy) => return Ok(envoy),
            Err(message) => reason = message,
        }
    }
    Err(reason)
}

fn usable(path: &Path) -> Result<Envoy, String> {
    let shown = path.display();
    let output = Command::new(path)
        .arg("--version")
        .output()
        .map_err(|error| format!("{shown}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version =
        version(&text).ok_or_else(|| format!("{shown} --version does not look like Envoy's"))?;
    let mut numbers = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < VERSION_MIN {
        let (major, minor) = VERSION_MIN;
        return Err(format!(
            "{shown} is Envoy {version}; Weir needs {major}.{minor} or later"
        ));
    }
    Ok(Envoy {
        path: path.to_owned(),
        version: version.to_owned(),
    })
}

/// The version in `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(text: &str) -> Option<&str> {
    text.split_once("version:")?.1.split('/').nth(1)
}

impl Envoy {
    /// Lets Envoy itself check a configuration file.
    ///
    /// # Errors
    /// Envoy's own words.
    pub fn validate(&self, config: &Path) -> Result<(), String> {
        let mut command = Command::new(&self.path);
        command
            .args(["--mode", "validate", "-l", "error", "-c"])
            .arg(config);
        let output = command
            .output()
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "{}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        ))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_read_from_what_envoy_prints() {
        let text = "\n./envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(super::version(text), Some("1.40.0"));
        assert_eq!(super::version("bash 5.2"), None);
    }
}
