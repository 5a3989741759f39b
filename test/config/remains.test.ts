import { describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { Redacted } from "effect"
import fc from "fast-check"
import { partialConfigOf } from "../../src/config/partial.ts"

const digestOf = (text: string): Uint8Array => new Uint8Array(createHash("sha256").update(text).digest())

const remains = (
  text: string,
  env: Readonly<Record<string, string>> = {},
  overrides: Readonly<Record<string, unknown>> = {}
) => partialConfigOf({ file: { path: "nexus.toml", text }, env, overrides, digestOf })

const defaults = { host: "127.0.0.1", port: 8000 }

describe("the address that a config with mistakes still tells", () => {
  test("is that of flags, else of the environment, else of the file, else the default", () => {
    const file = `[server]\nhost = "10.0.0.1"\nport = 1\nprot = 5\n`
    expect(remains("")).toMatchObject(defaults)
    expect(remains(file)).toMatchObject({ host: "10.0.0.1", port: 1 })
    expect(remains(file, { NEXUS_PORT: "2" })).toMatchObject({ host: "10.0.0.1", port: 2 })
    const flags = { server: { port: 3 } }
    expect(remains(file, { NEXUS_PORT: "2", NEXUS_HOST: "::1" }, flags)).toMatchObject({ host: "::1", port: 3 })
  })

  test("passes over a value that is wrong, and keeps its neighbour", () => {
    expect(remains(`[server]\nhost = "10.0.0.1"\nport = 70000\n`)).toMatchObject({ host: "10.0.0.1", port: 8000 })
    expect(remains(`[server]\nhost = "\${UNSET}"\nport = 7\n`)).toMatchObject({ host: "127.0.0.1", port: 7 })
    expect(remains(`[server]\nport = 7\n`, { NEXUS_PORT: "no" })).toMatchObject({ port: 7 })
    expect(remains(`server = 5\n`)).toMatchObject(defaults)
    expect(remains(`[server\nport = 7\n`)).toMatchObject(defaults)
  })

  test("is read from its own lines where the file as a whole is no TOML", () => {
    const rest = `[[backends]]\nname = "a\nport = 5\n[other]\nport = 6\n`
    expect(remains(`[server]\nhost = "10.0.0.1" # here\nport = 7\n${rest}`)).toMatchObject({
      host: "10.0.0.1",
      port: 7
    })
    expect(remains(`server.port = 7\n${rest}[server]\nhost = "::1"\n`)).toMatchObject({ host: "::1", port: 7 })
    expect(remains(`[server]\nhost = "\nport = \${P}\n${rest}`)).toMatchObject(defaults)
    expect(remains(`[server]\nhost = "\${H}"\n${rest}`, { H: "10.0.0.2" })).toMatchObject({ host: "10.0.0.2" })
    expect(remains(rest)).toMatchObject(defaults)
    expect(remains(`[server]\nport = 70000\n${rest}`, { NEXUS_PORT: "3" })).toMatchObject({ port: 3 })
  })

  test("is a host and a port, whatever the text of the file", () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json().map((json) => `server = ${json}`)
        ),
        (text) => {
          const { host, port } = remains(text)
          expect(host).not.toBe("")
          expect(Number.isInteger(port) && port >= 0 && port <= 65_535).toBe(true)
        }
      )
    ))
})

test("the keys that such a config names by variables are known, when they are set", () => {
  const text = `nonsense = 1\n[[auth.keys]]\nname = "a"\nenv = "UNSET"\n[[auth.keys]]\nname = "b"\nenv = "KEY"\n`
  const { authKeys } = remains(text, { KEY: "nx-1" })
  expect(authKeys.map(({ name, key }) => [name, key && Redacted.value(key)])).toEqual([["b", "nx-1"]])
})
