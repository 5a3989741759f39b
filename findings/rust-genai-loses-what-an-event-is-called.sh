#!/usr/bin/env bash
# What genai, a client of many providers in Rust, hears of Messages streams that the official SDKs take alike.
#
# genai 0.7.2 makes LF of the CR at the end of a piece before it has seen the LF behind it, so that an event whose lines end in
# CR LF is parted where a piece ends between the two: its data is then of no name, and what is of no name is passed over without a
# word. A piece of text is missing in an answer that ends well. A `citations_delta`, which Claude sends within a text that cites a
# document, is an error, and the answer goes no further.
#
# Seen:
#   LF: "half and half", ended true, error false
#   CR LF: "half and half", ended true, error false
#   CR LF, a piece ends in between: "half ", ended true, error false
#   a citation: "half ", ended false, error true
#
# Needs Rust 1.88 or newer.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "seen"
version = "0.0.0"
edition = "2024"

[dependencies]
futures = "=0.3.31"
genai = { version = "=0.7.2", default-features = false }
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt-multi-thread", "time"] }
TOML
cat > src/main.rs <<'RUST'
use futures::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatRequest, ChatStreamEvent};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#;
const OPEN: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const CITATION: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"type":"char_location","cited_text":"x","document_index":0,"document_title":"x","start_char_index":0,"end_char_index":1}}}"#;

fn text(text: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#)
}

fn event(name: &str, data: &str, end: &str) -> String {
    format!("event: {name}{end}data: {data}{end}{end}")
}

fn begun(end: &str) -> String {
    event("message_start", START, end)
        + &event("content_block_start", OPEN, end)
        + &event("content_block_delta", &text("half "), end)
}

fn rest(end: &str) -> String {
    event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#, end)
        + &event(
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":3}}"#,
            end,
        )
        + &event("message_stop", r#"{"type":"message_stop"}"#, end)
}

/// Answers one request with these pieces, each in a chunk of its own.
async fn serve(pieces: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut asked = vec![0; 65536];
        let mut seen = String::new();
        while !seen.contains("\"stream\":true") {
            let count = socket.read(&mut asked).await.unwrap();
            seen += &String::from_utf8_lossy(&asked[..count]);
        }
        socket
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        for piece in pieces {
            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
            socket.write_all(chunk.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        socket.write_all(b"0\r\n\r\n").await.unwrap();
    });
    address
}

async fn hear(name: &str, pieces: Vec<String>) {
    let address = serve(pieces).await;
    let resolver = ServiceTargetResolver::from_resolver_fn(
        move |_: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            Ok(ServiceTarget {
                endpoint: Endpoint::from_owned(address.clone()),
                auth: AuthData::from_single("none"),
                model: ModelIden::new(AdapterKind::Anthropic, "claude-sonnet-4-5"),
            })
        },
    );
    let client = Client::builder().with_service_target_resolver(resolver).build().unwrap();
    let request = ChatRequest::default().append_message(ChatMessage::user("hi"));
    let mut stream = client
        .exec_chat_stream("claude-sonnet-4-5", request, None)
        .await
        .unwrap()
        .stream;
    let (mut heard, mut ended, mut failed) = (String::new(), false, false);
    while let Some(item) = stream.next().await {
        match item {
            Ok(ChatStreamEvent::Chunk(chunk)) => heard += &chunk.content,
            Ok(ChatStreamEvent::End(_)) => ended = true,
            Ok(_) => (),
            Err(_) => {
                failed = true;
                break;
            }
        }
    }
    println!("{name}: {heard:?}, ended {ended}, error {failed}");
}

#[tokio::main]
async fn main() {
    for (name, end) in [("LF", "\n"), ("CR LF", "\r\n")] {
        hear(name, vec![begun(end), event("content_block_delta", &text("and half"), end) + &rest(end)]).await;
    }
    let second = event("content_block_delta", &text("and half"), "\r\n");
    let (front, back) = second.split_at("event: content_block_delta\r".len());
    hear(
        "CR LF, a piece ends in between",
        vec![begun("\r\n") + front, back.to_string() + &rest("\r\n")],
    )
    .await;
    hear(
        "a citation",
        vec![
            begun("\n") + &event("content_block_delta", CITATION, "\n"),
            event("content_block_delta", &text("and half"), "\n") + &rest("\n"),
        ],
    )
    .await;
}
RUST
cargo run --quiet 2> log.txt | tee seen.txt || { tail -40 log.txt; exit 1; }
cat > wanted.txt <<'TXT'
LF: "half and half", ended true, error false
CR LF: "half and half", ended true, error false
CR LF, a piece ends in between: "half ", ended true, error false
a citation: "half ", ended false, error true
TXT
diff wanted.txt seen.txt
