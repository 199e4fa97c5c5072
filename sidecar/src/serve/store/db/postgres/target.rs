//! Where a PostgreSQL is and how it is spoken to, from an address as libpq reads it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::tls::{Check, Tls};

/// Name under which the server lists our connections, when the address gives none.
const APPLICATION: &str = "weir";

/// A database server.
#[derive(Clone)]
pub(crate) struct Target {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl Target {
    /// Reads `postgresql://user:password@host:port/database?sslmode=...`. `authorities` are the
    /// certificates that `verify-full` and `verify-ca` go by when `sslrootcert` names none.
    ///
    /// # Errors
    /// It is none, or its certificates cannot be read; worded for the operator, without password.
    pub(crate) fn parse(url: &str, authorities: &Path) -> Result<Target, String> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = ("prefer", None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", "system")) => mode = "verify-full",
                Some(("sslrootcert", value)) => {
                    roots = Some(PathBuf::from(crate::http::decoded(value)))
                }
                _ => rest.push(pair),
            }
        }
        let plain = format!("{address}?{}", rest.join("&"));
        let plain = plain.trim_end_matches('?');
        // Its own words may hold parts of the address.
        let mut config = Config::from_str(plain)
            .map_err(|_| "the address of the database cannot be read".to_owned())?;
        if config.get_application_name().is_none() {
            config.application_name(APPLICATION);
        }
        let (ssl, check) = match mode {
            "disable" => (SslMode::Disable, Check::Nothing),
            "allow" | "prefer" => (SslMode::Prefer, Check::Nothing),
            // As libpq has it: with a file of authorities it is checked by them.
            "require" if roots.is_none() => (SslMode::Require, Check::Nothing),
            "require" | "verify-ca" => (SslMode::Require, Check::Authority),
            "verify-full" => (SslMode::Require, Check::AuthorityAndName),
            other => {
                return Err(format!(
                    "the address of the database: sslmode `{other}` is none of disable, allow, prefer, \
                     require, verify-ca, verify-full"
                ));
            }
        };
        config.ssl_mode(ssl);
        let roots = roots.unwrap_or_else(|| authorities.to_owned());
        let tls = Tls::new(check, &roots)?;
        Ok(Target { config, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<SslMode, String> {
        let target = Target::parse(url, Path::new("/nowhere"));
        target.map(|target| target.config.get_ssl_mode())
    }

    #[test]
    fn modes_are_those_of_libpq() {
        let mode = |query: &str| parse(&format!("postgresql://u:p@h:1/d{query}"));
        assert_eq!(mode(""), Ok(SslMode::Prefer));
        assert_eq!(mode("?sslmode=disable"), Ok(SslMode::Disable));
        assert_eq!(
            mode("?connect_timeout=3&sslmode=require"),
            Ok(SslMode::Require)
        );
        assert!(
            mode("?sslmode=verify-full")
                .unwrap_err()
                .contains("/nowhere")
        );
        assert!(
            mode("?sslmode=yes")
                .unwrap_err()
                .contains("none of disable")
        );
    }

    #[test]
    fn an_address_that_is_none_is_not_repeated() {
        let odd = parse("postgresql://u:secret@h:port/d").unwrap_err();
        assert!(!odd.contains("secret"), "{odd}");
    }
}
