import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cause, Effect, Exit, Option, Redacted } from "effect"
import { difference } from "../../src/config/difference.ts"
import { readConfig } from "../../src/config/NexusConfig.ts"
import type { ReadConfig } from "../../src/config/read.ts"
import { shownSettings } from "../../src/config/show.ts"
import { authority, client, good, issued } from "../kit/tls.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-tls-files-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const files: Readonly<Record<string, string>> = {
  "ca.pem": `a comment\n${authority}${good.cert}`,
  "client.pem": client.cert + authority,
  "client.key": client.key,
  "both.pem": client.key + client.cert,
  "other.key": issued.key,
  "torn.pem": authority.replace(/\n[^-]+\n-----END/, "\nAAAA\n-----END"),
  "torn.key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
  "locked.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
  "words.pem": "no certificate at all\n"
}
for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)

const config = join(folder, "n.toml")

const reading = async (more: string, url = "https://h"): Promise<ReadConfig | ReadonlyArray<string>> => {
  writeFileSync(config, `[[backends]]\nname = "a"\nurl = "${url}"\n${more}`)
  const exit = await Effect.runPromiseExit(readConfig({ path: Option.some(config), overrides: {} }))
  if (Exit.isSuccess(exit)) return exit.value
  const error = Cause.squash(exit.cause)
  return String(error instanceof Error ? error.message : error)
    .replaceAll(config, "n.toml")
    .split("\n")
}

const read = async (more: string): Promise<ReadConfig> => {
  const found = await reading(more)
  if ("loaded" in found) return found
  throw new Error(found.join("\n"))
}

describe("the files of TLS are read beside the config, and what they hold goes with the backend:", () => {
  test("authorities, a certificate and its key", async () => {
    const { loaded } = await read('ca_file = "ca.pem"\nclient_cert_file = "client.pem"\nclient_key_file = "client.key"')
    const tls = loaded.backends[0]?.tls
    expect([tls?.ca, tls?.cert]).toEqual([files["ca.pem"], files["client.pem"]])
    expect(tls?.key && Redacted.value(tls.key)).toBe(client.key)
  })

  test("one file for certificate and key", async () => {
    const { loaded } = await read('client_cert_file = "both.pem"\nclient_key_file = "both.pem"')
    expect(loaded.backends[0]?.tls?.cert).toBe(files["both.pem"])
  })

  test("nothing where nothing is said", async () => {
    expect((await read("")).loaded.backends[0]).not.toHaveProperty("tls")
  })
})

describe("a mistake in the files of TLS is told with its place:", () => {
  const rows: ReadonlyArray<readonly [more: string, told: ReadonlyArray<string>, url?: string]> = [
    ['ca_file = "gone.pem"', ['n.toml:4: backends[0].ca_file = "gone.pem": there is no such file']],
    ['ca_file = "words.pem"', ['n.toml:4: backends[0].ca_file = "words.pem": this file holds no certificate (PEM)']],
    ['ca_file = "client.key"', ['n.toml:4: backends[0].ca_file = "client.key": this file holds no certificate (PEM)']],
    [
      'ca_file = "torn.pem"',
      ['n.toml:4: backends[0].ca_file = "torn.pem": this file holds a certificate that cannot be read']
    ],
    [
      'client_cert_file = "client.pem"\nclient_key_file = "client.pem"',
      ['n.toml:5: backends[0].client_key_file = "client.pem": this file holds no private key (PEM)']
    ],
    [
      'client_cert_file = "client.pem"\nclient_key_file = "torn.key"',
      ['n.toml:5: backends[0].client_key_file = "torn.key": this file holds a private key that cannot be read']
    ],
    [
      'client_cert_file = "client.pem"\nclient_key_file = "locked.key"',
      [
        'n.toml:5: backends[0].client_key_file = "locked.key": this file holds a key with a passphrase, which nobody is there to type'
      ]
    ],
    [
      'client_cert_file = "client.pem"\nclient_key_file = "other.key"',
      [
        'n.toml:5: backends[0].client_key_file = "other.key": this key is not the one of the certificate in client_cert_file'
      ]
    ],
    [
      'client_cert_file = "client.pem"',
      [
        'n.toml:4: backends[0].client_cert_file = "client.pem": it needs client_key_file as well; one file may hold both'
      ]
    ],
    [
      'client_key_file = "client.key"',
      [
        'n.toml:4: backends[0].client_key_file = "client.key": it needs client_cert_file as well; one file may hold both'
      ]
    ],
    [
      'ca_file = "ca.pem"\ninsecure_skip_verify = true',
      ["n.toml:5: backends[0].insecure_skip_verify = true: with it ca_file would not be looked at: keep one"]
    ],
    [
      "insecure_skip_verify = true",
      [
        "n.toml:4: backends[0].insecure_skip_verify = true: it is for TLS, and the url of this backend begins with http://"
      ],
      "http://h"
    ],
    ["insecure_skip_verify = 1", ["n.toml:4: backends[0].insecure_skip_verify = 1: expected true or false"]]
  ]
  for (const [more, told, url] of rows) {
    test(more.replaceAll("\n", ", "), async () => {
      expect(await reading(more, url)).toEqual(told)
    })
  }
})

test("insecure_skip_verify is warned of, and names what to use in its place", async () => {
  const { loaded } = await read("insecure_skip_verify = true")
  expect(loaded.warnings.join()).toMatch(/backend a: insecure_skip_verify takes any certificate.*ca_file/)
})

test("config show and config diff tell the names of the files and nothing of what they hold", async () => {
  const before = await read('client_cert_file = "client.pem"\nclient_key_file = "client.key"')
  writeFileSync(join(folder, "client.key"), `${client.key}\n`)
  const after = await read('client_cert_file = "client.pem"\nclient_key_file = "client.key"')
  writeFileSync(join(folder, "client.key"), client.key)
  const changes = difference(before, after)
  expect(changes.map(({ key }) => key)).toEqual(["backends.a.tls_files"])
  const told = JSON.stringify([shownSettings(before), changes])
  expect(told).toContain("client.key")
  for (const line of (client.key + client.cert).trim().split("\n")) expect(told).not.toContain(line)
})
