// A client in Rust (reqwest): client MODE PORT
use futures_util::StreamExt;
use serde_json::{json, Value};
use std::time::Duration;

fn body(text: &str, stream: bool) -> Value {
    json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": text }] })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), reqwest::Error> {
    let args: Vec<String> = std::env::args().collect();
    let (mode, port) = (args[1].as_str(), args[2].as_str());
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    if mode == "chat" || mode == "large" {
        for nth in 0..(if mode == "chat" { 3 } else { 1 }) {
            let text = if mode == "chat" { format!("chat {nth}") } else { format!("large {}", "x".repeat(3_000_000)) };
            let answer: Value = http.post(&url).json(&body(&text, false)).send().await?.json().await?;
            println!("{}", answer["choices"][0]["message"]["content"]);
        }
        return Ok(());
    }
    let mut pieces = http.post(&url).json(&body(mode, true)).send().await?.bytes_stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(bytes) => print!("{}", String::from_utf8_lossy(&bytes)),
            Err(error) => {
                println!("BROKEN {error}");
                return Ok(());
            }
        }
        if mode == "abort" {
            return Ok(());
        }
    }
    println!("ENDED");
    Ok(())
}
