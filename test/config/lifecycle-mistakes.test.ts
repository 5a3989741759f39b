import { expect, test } from "bun:test"
import { mistakesOf } from "./reading.ts"

const backend = (lines: string) => `[[backends]]\nname = "a"\nurl = "http://x:1"\n${lines}\n`

const rows: ReadonlyArray<readonly [what: string, toml: string, told: string]> = [
  [
    "a model to be kept warm without its backend",
    `[routing]\nkeep_warm = ["llama3"]`,
    `nexus.toml:2: routing.keep_warm[0] = "llama3": expected model@backend`
  ],
  [
    "a model to be kept warm at nobody's",
    `[routing]\nkeep_warm = ["llama3@gone"]`,
    `nexus.toml:2: routing.keep_warm[0] = "llama3@gone": no [[backends]] is called gone`
  ],
  [
    "a model to be kept warm where none can be loaded",
    `[routing]\nkeep_warm = ["m@a"]\n[[backends]]\nname = "a"\nurl = "http://x:1"\ntype = "sglang"`,
    `nexus.toml:2: routing.keep_warm[0] = "m@a": a is of type sglang, which loads no models when asked to`
  ],
  [
    "an address of no network card",
    backend(`wake = "aa:bb:cc:dd:ee"`),
    `nexus.toml:4: backends[0].wake = "aa:bb:cc:dd:ee": expected 12 hexadecimal digits, such as aa:bb:cc:dd:ee:ff`
  ],
  [
    "a place that no packet goes to",
    backend(`wake = "aabbccddeeff"\nwake_address = "http://x"`),
    `nexus.toml:5: backends[0].wake_address = "http://x": expected an IPv4 address or a name, such as 192.168.1.255 or 192.168.1.255:7`
  ],
  [
    "how to wake what cannot be woken",
    backend(`wake_timeout_seconds = 5`),
    `nexus.toml:4: backends[0].wake_timeout_seconds = 5: without wake it would not be looked at`
  ]
]

test("a password that is none is told of, and not shown", () => {
  const toml = backend(`wake = "aabbccddeeff"\nwake_password_env = "WOL"`)
  const told = `nexus.toml:5: backends[0].wake_password_env = "WOL": this environment variable does not hold a password such as aa:bb:cc:dd:ee:ff`
  expect(mistakesOf(toml, { env: { WOL: "hidden" } })).toEqual([told])
  expect(mistakesOf(toml, { env: { WOL: "01:02:03:04:05:06" } })).toEqual([])
})

test.each(rows)("%s is told of", (_, toml, told) => {
  expect(mistakesOf(toml)).toEqual([told])
})
