//! PostgreSQL as it is when it does not behave.

use test_servers::postgres::Postgres;

use super::*;

fn connect(url: &str) -> Result<Db, DbError> {
    let target = db::Target::parse(url, Path::new("/none")).unwrap();
    Db::server(&target)
}

#[test]
fn services_may_start_together() {
    let server = Postgres::start();
    std::thread::scope(|scope| {
        let start = || {
            let mut db = connect(&server.url()).unwrap();
            schema::migrate(&mut db).unwrap();
        };
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        for start in starts {
            start.join().unwrap();
        }
    });
    assert_eq!(
        server.sql("SELECT version FROM schema_version").unwrap(),
        "1\n2\n3"
    );
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let server = Postgres::start();
    let mut db = connect(&server.url()).unwrap();
    server.freeze();
    let began_ms = crate::clock::now_ms();
    let said = db.batch("SELECT 1");
    assert!(matches!(said, Err(DbError::TooSlow(_))), "{said:?}");
    assert!(db.is_lost());
    let refused = connect(&server.url());
    assert!(matches!(refused, Err(DbError::TooSlow(_))));
    assert!(crate::clock::now_ms() - began_ms < 12_000);
    server.thaw();
    connect(&server.url()).unwrap().batch("SELECT 1").unwrap();
}

#[test]
fn a_server_that_is_gone_is_found_again() {
    let mut server = Postgres::start();
    let mut db = connect(&server.url()).unwrap();
    db.batch("SELECT 1").unwrap();
    server.kill();
    assert!(db.batch("SELECT 1").is_err() && db.is_lost());
    assert!(connect(&server.url()).is_err());
    server.restart();
    connect(&server.url()).unwrap().batch("SELECT 1").unwrap();
}

#[test]
fn certificates_are_checked_as_the_mode_says() {
    let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["db.example".into()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let stranger = file("stranger.pem", other.cert.pem());
    let key = issued.signing_key.serialize_pem();
    let server = Postgres::start_with_tls(&issued.cert.pem(), &key);
    let own = file("own.pem", issued.cert.pem());
    let with = |query: &str| {
        connect(&format!("{}?{query}", server.url())).map(|mut db| {
            let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            row::<bool>(&mut db, sql)
        })
    };
    assert!(!with("sslmode=disable").unwrap());
    assert!(with("sslmode=prefer").unwrap());
    assert!(with("sslmode=require").unwrap());
    assert!(with(&format!("sslmode=verify-full&sslrootcert={own}")).unwrap());
    assert!(with(&format!("sslmode=verify-full&sslrootcert={stranger}")).is_err());
    assert!(with(&format!("sslmode=verify-ca&sslrootcert={stranger}")).is_err());
    let server = Postgres::start_with_tls(&other.cert.pem(), &other.signing_key.serialize_pem());
    let with = |query: &str| connect(&format!("{}?{query}", server.url()));
    assert!(with(&format!("sslmode=verify-ca&sslrootcert={stranger}")).is_ok());
    assert!(with(&format!("sslmode=verify-full&sslrootcert={stranger}")).is_err());
}
