/**
 * TOML documents and raw HTTP requests for the fuzzers.
 */
import * as fc from "fast-check"
import { damaged } from "./arbitraries.ts"

const tomlBase = `
[server]
host = "127.0.0.1"
port = 8000
request_timeout_seconds = 300
max_body_mb = 50
[discovery]
enabled = false
[health_check]
enabled = true
interval_seconds = 30
[routing]
strategy = "smart"
max_retries = 2
[routing.weights]
priority = 50
[routing.aliases]
"gpt-4" = "llama3:70b"
fast = "mistral:7b"
[routing.fallbacks]
"llama3:70b" = ["qwen2:72b", "mistral:7b"]
[[backends]]
name = "one"
url = "http://127.0.0.1:11434/v1/"
type = "ollama"
priority = 1
[[backends.models]]
id = "llava"
vision = true
[[backends]]
name = "two"
url = "https://api.example.com"
forward_authorization = true
[logging]
level = "info"
format = "text"
`

const tomlPieces = fc.oneof(
  fc.constantFrom(
    "[",
    "]",
    "[[",
    "]]",
    "=",
    '"',
    "'",
    "\n",
    ".",
    "#",
    "{",
    "}",
    ",",
    "\u0000",
    "\t",
    "\\",
    '"""',
    "0x",
    "1e999",
    "nan",
    "[[backends]]\n",
    "[server]\n",
    "__proto__ = 1\n",
    'toString = "x"\n',
    "port = -1\n",
    "port = 1.5\n",
    'name = "one"\n',
    '"${HOME}"',
    "${",
    "2024-01-01",
    "99999999999999999999",
    "a.b.c = 1\n",
    'fast = "gpt-4"\n',
    '"gpt-4" = "fast"\n'
  ),
  fc.string({ maxLength: 10, unit: "binary" })
)

/** A nexus.toml with up to six damages, or whole lines mixed up. */
export const tomlText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: damaged(fc.constant(tomlBase), tomlPieces, 6) },
  fc.shuffledSubarray(tomlBase.split("\n")).map((lines) => lines.join("\n")),
  fc.string({ maxLength: 200, unit: "binary" })
)

const method = fc.constantFrom(
  "POST",
  "POST",
  "POST",
  "GET",
  "PUT",
  "DELETE",
  "HEAD",
  "OPTIONS",
  "CONNECT",
  "TRACE",
  "post",
  "P@ST",
  ""
)

const target = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/models") },
  fc.constantFrom(
    "/",
    "*",
    "/v1/../admin",
    "/v1//chat/completions",
    "/v1/%2e%2e/x",
    "//evil/v1/chat/completions",
    "/v1/chat/completions/..",
    "/v1/chat/completions?x=1",
    "http://evil.example/v1/chat/completions",
    "/v1\\chat",
    "/v1/models/a%2Fb:c",
    "/%00",
    "/nexus/backends",
    "/v1/models/%zz",
    "/health",
    "evil:80",
    "/v1/chat/completions#x"
  ),
  fc.string({ maxLength: 20 }).map((text) => `/${text}`)
)

const header = fc.oneof(
  fc.constantFrom(
    "Host: 127.0.0.1",
    "Host: evil.example",
    "Host:",
    "Host: a/x?",
    "Host: u:p@h",
    "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: identity",
    "Content-Encoding: gzip",
    "Connection: close",
    "Connection: keep-alive, x-secret",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "Origin: https://evil.example",
    "Sec-Fetch-Site: cross-site",
    "Authorization: Bearer x",
    "X-Request-Id: a b",
    "X-Nexus-Backend: x",
    " folded: x",
    "Bad Header: 1",
    "X-Long: " + "x".repeat(9000),
    "Content-Type: text/plain",
    "TE: trailers",
    "Proxy-Authorization: x",
    "Cookie: a=b"
  ),
  fc
    .tuple(fc.string({ maxLength: 12 }), fc.string({ maxLength: 20, unit: "binary" }))
    .map(([name, value]) => `${name}: ${value}`)
)

const eol = fc.constantFrom("\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r")

const body = fc.oneof(
  fc.constantFrom(
    "",
    "hello",
    '{"model":"m","messages":[]}',
    "5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhelloXX",
    "0\r\nX: y\r\n\r\n",
    "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
  ),
  fc.string({ maxLength: 40, unit: "binary" })
)

/** A request as it might come from anybody: rarely a right one. */
export const requestText: fc.Arbitrary<string> = fc
  .tuple(
    method,
    target,
    fc.constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.9", ""),
    fc.array(header, { maxLength: 5 }),
    eol,
    body,
    fc.boolean()
  )
  .map(([verb, path, version, headers, end, content, host]) =>
    [`${verb} ${path} ${version}`, ...(host ? ["Host: 127.0.0.1"] : []), ...headers, "", content].join(end)
  )
