//! A provider for tests: speaks the wire formats of providers, answers deterministically,
//! misbehaves as told, and remembers what it received.
//!
//! `fake-provider --port N` (0 picks one; the port is printed). Beside the providers' paths:
//! `GET /_requests` and `DELETE /_requests` for the record, `POST /_script` (a
//! [`e2e::behaviour::Script`]) and `DELETE /_script` for faults.

mod anthropic;
mod azure;
mod bedrock;
mod call;
mod chat;
mod delivery;
mod exchange;
mod gemini;
mod mistral;
mod openai;
mod server;
mod state;
mod words;

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut port = 0;
    while let Some(name) = arguments.next() {
        match (name.as_str(), arguments.next()) {
            ("--port", Some(value)) => port = value.parse()?,
            _ => return Err("usage: fake-provider --port N".into()),
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("{}", listener.local_addr()?.port());
    let state = Arc::new(state::State::default());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(server::serve(stream, Arc::clone(&state)));
    }
}
