import { expect, test } from "bun:test"
import { mistakesOf } from "./reading.ts"

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
  ]
]

test.each(rows)("%s is told of", (_, toml, told) => {
  expect(mistakesOf(toml)).toEqual([told])
})
