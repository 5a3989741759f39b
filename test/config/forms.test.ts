import { expect, test } from "bun:test"
import { mistakesOf } from "./reading.ts"

test.each([
  [
    "a zone",
    `[[backends]]\nname = "one"\nurl = "http://h:1"\nzone = "moon base"`,
    `nexus.toml:4: backends[0].zone = "moon base": expected a zone such as local, lan, cloud or eu-dc: lower-case letters, digits, dots, dashes and underscores`
  ],
  [
    "a time of the day",
    `[[routes]]\nname = "night"\nmatch = { time = "10pm-6am" }\nmodel = "m"`,
    `nexus.toml:3: routes[0].match.time = "10pm-6am": expected a time of the day such as 08:00-18:00, or 22:00-06:00 over midnight`
  ],
  [
    "what a backend is told by `User-Agent`",
    `[[backends]]\nname = "one"\nurl = "http://h:1"\nuser_agent = " mine"`,
    `nexus.toml:4: backends[0].user_agent = " mine": expected 1 to 200 printable ASCII characters, no blank at the ends`
  ]
])("%s that has another form is told which it is to have", (_, toml, told) => {
  expect(mistakesOf(toml)).toEqual([told])
})

const hint = "; a text needs quotes"

test.each([
  "host = 127.0.0.1",
  "host = localhost",
  "host = 127.0.0.1 # here",
  '"host" = gpu-box:8000',
  "host = /run/nexus",
  "host = http://h:1"
])("a text without quotes is told to need them: %s", (line) => {
  expect(mistakesOf(`[server]\n${line}`)[0]).toMatch(new RegExp(`^nexus\\.toml:2:\\d+: no valid TOML: .*${hint}$`))
})

test.each([
  "port = 08",
  "port = ",
  "port = 1__0",
  "host = 'h",
  "[server",
  "port = 1 2",
  "at = 2026-13-01T00:00:00Z",
  "a = [b]"
])("what is no text without quotes is not told so: %s", (line) => {
  const [told] = mistakesOf(`[x]\n${line}`)
  expect(told).toStartWith("nexus.toml:2:")
  expect(told).not.toContain(hint)
})

test.each(["watch_config = True", "watch_config = no # never", "watch_config = ON"])(
  "what is true or false in another language is told to be one of them in small letters, and to need no quotes: %s",
  (line) => {
    const [told] = mistakesOf(`[server]\n${line}`)
    expect(told).toStartWith("nexus.toml:2:")
    expect(told).toEndWith("; it is true or false, in small letters")
  }
)

test.each([
  ["a key twice", "port = 1\nport = 2", 3, "server.port is in line 2 already; keep one"],
  ["a table twice", "port = 1\n[queue]\n[server]", 4, "server is in line 1 already; keep one"],
  ["a table in place of a list", "[backends]\n[[backends]]", 3, "backends is in line 2 already; keep one"],
  ["an inline table twice", "cors = { origins = [] }\n[server.cors]", 3, "server.cors is in line 2 already; keep one"],
  ["a header without its end", "[queue", 2, "the name of a table ends in ]"],
  ["a list without its end", 'allowed_hosts = [\n"a"\n', 4, "a list ends in ], a table in }"],
  [
    "a text without its end",
    'host = "127.0.0.1\nport = 1',
    2,
    "the quote that it begins with has to end it, in the same line"
  ],
  [
    "a text without its end at the end",
    "host = '127.0.0.1",
    2,
    "the quote that it begins with has to end it, in the same line"
  ],
  [
    "a text of several lines without its end",
    'host = """\n127.0.0.1\nport = 1',
    2,
    "the three quotes that it begins with have to end it"
  ],
  ["an address with a query", "host = http://h/x?y=", 2, "a text needs quotes"],
  ["a comment that ends in =", "port = 80% # of=", 2, "a number stands without its unit, a text in quotes"],
  ["a header with a space", "[[back ends]]", 2, "a key is of letters, digits, - and _, or stands in quotes"],
  ["typographic quotes", "host = “127.0.0.1”", 2, "the quotes of a text are straight ones, \" or '"],
  ["a backslash", 'host = "C:\\data"', 2, "in \"…\" a backslash is written \\\\, in '…' it stands for itself"],
  ["YAML's colon", "port: 8000", 2, "a key and its value are joined by ="],
  ["no sign at all", "port 8000", 2, "a key and its value are joined by ="],
  ["a comment of JavaScript", "// here", 2, "a comment begins with #"],
  ["a comma at the end", "port = 8000,\nhost = 'x'", 2, "no comma stands between keys"],
  ["no value", "port = # none", 2, "its value is missing"],
  ["a unit", "idle_timeout_seconds = 30s", 2, "a number stands without its unit, a text in quotes"],
  ["a number that is too large", "port = 99999999999999999999", 2, "it is too large"],
  ["a key of other signs", "ñ = 1", 2, "a key is of letters, digits, - and _, or stands in quotes"]
])("%s is told where it is and what would be right", (_, rest, line, told) => {
  const [first] = mistakesOf(`[server]\n${rest}`)
  expect(first).toStartWith(`nexus.toml:${line}:`)
  expect(first).toEndWith(`; ${told}`)
})

const expectedHost = "expected an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all it has"

test.each([
  ["server.host", `[server]\nhost = "not an address"`, `"not an address": ${expectedHost}`],
  ["server.host", `[server]\nhost = "http://0.0.0.0"`, `"http://0.0.0.0": ${expectedHost}`],
  [
    "server.host",
    `[server]\nhost = "0.0.0.0:8000"`,
    `"0.0.0.0:8000": expected the address alone; the port is server.port`
  ],
  [
    "backends[0].keep_alive",
    `[[backends]]\nkeep_alive = "forever"\nname = "a"\nurl = "http://h:1"\ntype = "ollama"`,
    `"forever": expected a time such as "30m" or "1h30m", or a number of seconds, -1 for ever`
  ]
])("%s that nobody could use is refused before anything starts", (key, toml, told) => {
  expect(mistakesOf(toml)).toEqual([`nexus.toml:2: ${key} = ${told}`])
})

test.each(['"::"', '"fe80::1%eth0"', '"[::1]"', '"gateway-1.example"'])("an address may be %s", (host) => {
  expect(mistakesOf(`[server]\ninsecure = true\nhost = ${host}`)).toEqual([])
})

test.each(['"30m"', '"1h30m"', '"-1s"', '"0"', '"1.5h"', "-1", "300"])("a model may be kept for %s", (time) => {
  const backend = `[[backends]]\nname = "a"\nurl = "http://h:1"\ntype = "ollama"\nkeep_alive = ${time}`
  expect(mistakesOf(backend)).toEqual([])
})

test("a table of another section is found at the top", () => {
  expect(mistakesOf(`[limits.models."a"]\ntokens_per_minute = 5`)).toEqual([
    "nexus.toml:1: unknown key limits.models; did you mean models?"
  ])
})
