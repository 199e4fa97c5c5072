//! Providers over TLS: checked against the operator's certificates, by the name in `base_url`.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use e2e::client::{marker, prompt};
use e2e::gateway::Gateway;
use e2e::setup::Setup;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_over_tls_are_who_they_say() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (trusted, trusted_pem) = authority();
    let (stranger, _) = authority();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, trusted_pem).expect("ca.pem");
    let good = Front::start(&trusted, "localhost").await;
    let misnamed = Front::start(&trusted, "elsewhere.test").await;
    let unknown = Front::start(&stranger, "localhost").await;

    let fronts = [good.clone(), misnamed.clone(), unknown.clone()];
    let setup = Setup::default().ca(&ca).with(move |config| {
        let plain = config["providers"][0]["base_url"].as_str().expect("a URL");
        let behind = plain["http://".len()..].trim_end_matches("/v1").to_owned();
        for (front, name) in fronts.iter().zip(["good", "misnamed", "unknown"]) {
            front.behind.set(behind.clone()).expect("set once");
            let provider = json!({
                "name": name, "dialect": "openai", "api_key": "sk-tls",
                "base_url": format!("https://localhost:{}/v1", front.port),
                "default_price": {"input": 1, "output": 1},
            });
            config["providers"]
                .as_array_mut()
                .expect("providers")
                .push(provider);
        }
    });
    let gateway = Gateway::start(setup).await;
    let ask = async |provider: &str| {
        let route = json!({"provider": provider, "model": "gpt-4o-mini", "retry": {"attempts": 0}});
        let body = prompt("gpt-4o-mini", &marker());
        gateway.chat(&body).config(&route).send().await
    };
    let answer = ask("good").await;
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("x-weir-provider"), Some("good"));
    assert_eq!(*good.names.lock().expect("names"), ["localhost"], "SNI");
    for (name, front) in [("misnamed", &misnamed), ("unknown", &unknown)] {
        ask(name).await.refused(503, "upstream_unavailable");
        assert_eq!(
            *front.passed.lock().expect("passed"),
            0,
            "{name} got a request"
        );
    }
    gateway.assert_sound().await;
}

/// A server with a certificate that hands on to the fake provider what it decrypts.
struct Front {
    port: u16,
    /// Address of the fake provider.
    behind: OnceLock<String>,
    /// Names that clients asked for.
    names: Mutex<Vec<String>>,
    /// Connections whose handshake was completed.
    passed: Mutex<u32>,
}

impl Front {
    async fn start(issuer: &Issuer<'static, KeyPair>, name: &str) -> Arc<Front> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let front = Arc::new(Front {
            port: listener.local_addr().expect("a port").port(),
            behind: OnceLock::new(),
            names: Mutex::default(),
            passed: Mutex::default(),
        });
        let shared = front.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (front, acceptor) = (shared.clone(), acceptor.clone());
                tokio::spawn(async move { front.serve(&acceptor, client).await });
            }
        });
        front
    }

    async fn serve(&self, acceptor: &TlsAcceptor, client: TcpStream) -> io::Result<()> {
        let mut client = acceptor.accept(client).await?;
        let name = client.get_ref().1.server_name().unwrap_or_default();
        self.names.lock().expect("names").push(name.to_owned());
        // A client that refuses the certificate says so after the handshake: what counts is a
        // connection that carries a request.
        let mut first = [0; 1];
        if client.get_ref().0.peek(&mut first).await? == 0 {
            return Ok(());
        }
        let behind = self.behind.get().expect("an address");
        let mut provider = TcpStream::connect(behind).await?;
        let copied = tokio::io::copy_bidirectional(&mut client, &mut provider).await?;
        if copied.0 > 0 {
            *self.passed.lock().expect("passed") += 1;
        }
        Ok(())
    }
}

/// A certificate authority, and its certificate.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    // A certificate whose issuer has its own name counts as self-signed.
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    let pem = certificate.pem();
    (Issuer::new(params, key), pem)
}
