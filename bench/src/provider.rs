//! A provider that costs next to nothing: it reads requests and sends prepared answers.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{content_length, find};

/// Content chunks of one stream.
const CHUNKS: usize = 64;

/// Prepared answers, in the pieces that are written.
struct Answers {
    whole: Vec<Vec<u8>>,
    stream: Vec<Vec<u8>>,
}

pub(crate) async fn serve(port: u16) {
    let answers: &'static Answers = Box::leak(Box::new(Answers {
        whole: vec![whole()],
        stream: stream(),
    }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .expect("the port");
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(answer(connection, answers));
    }
}

async fn answer(mut connection: TcpStream, answers: &Answers) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let start = match find(&buffer, b"\r\n\r\n") {
            Some(at) => at + 4,
            None => {
                if connection.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                continue;
            }
        };
        let length = content_length(&buffer[..start]).unwrap_or(0);
        while buffer.len() < start + length {
            if connection.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let streams = find(&buffer[start..start + length], b"\"stream\":true").is_some();
        buffer.drain(..start + length);
        let pieces = if streams {
            &answers.stream
        } else {
            &answers.whole
        };
        // A provider sends each token when it has it.
        for piece in pieces {
            connection.write_all(piece).await?;
        }
    }
}

fn whole() -> Vec<u8> {
    let content = "The summary of the quarter is ready. ".repeat(9);
    let body = format!(
        r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1750000000,"model":"gpt-4o-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":190,"completion_tokens":72,"total_tokens":262}}}}"#
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn stream() -> Vec<Vec<u8>> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let mut pieces = vec![head.as_bytes().to_vec()];
    let mut chunk = |data: &str| {
        let event = format!("data: {data}\n\n");
        pieces.push(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes());
    };
    for number in 0..CHUNKS {
        chunk(&format!(
            r#"{{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-mini","choices":[{{"index":0,"delta":{{"content":" word{number}"}},"finish_reason":null}}]}}"#
        ));
    }
    chunk(
        r#"{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    );
    chunk(
        r#"{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1750000000,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":190,"completion_tokens":64,"total_tokens":254}}"#,
    );
    chunk("[DONE]");
    pieces.push(b"0\r\n\r\n".to_vec());
    pieces
}
