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
