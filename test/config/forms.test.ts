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
