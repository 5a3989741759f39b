import { describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import type { Job, ServicePaths } from "../../src/cli/service/job.ts"
import { launchd } from "../../src/cli/service/launchd.ts"
import { commandLine, systemd } from "../../src/cli/service/systemd.ts"

const places: ServicePaths = { home: "/home/o'x", config: "/home/o'x/.config", uid: 501 }

const job: Job = {
  command: ["/opt/nexus", "serve"],
  scope: "user",
  account: undefined,
  graceSeconds: 30,
  lowPort: false
}

/** Words of a value as systemd reads it: quotes and backslashes, then specifiers, then variables (not in the first). */
const readBack = (line: string): ReadonlyArray<string> => {
  const words: Array<string> = []
  let at = 0
  while (at < line.length) {
    let text = ""
    let quote = ""
    for (; at < line.length; at += 1) {
      const char = line[at] ?? ""
      if (char === "\\") {
        const next = line[(at += 1)] ?? ""
        if (next === "x") text += String.fromCharCode(Number.parseInt(line.slice(at + 1, (at += 2) + 1), 16))
        else text += ({ n: "\n", r: "\r", t: "\t" } as Record<string, string>)[next] ?? next
      } else if (quote !== "") {
        if (char === quote) quote = ""
        else text += char
      } else if (char === '"' || char === "'") quote = char
      else if (/\s/.test(char)) break
      else text += char
    }
    expect(quote).toBe("")
    at += 1
    expect(text.replaceAll("%%", "")).not.toContain("%")
    text = text.replaceAll("%%", "%")
    if (words.length > 0) {
      expect(text.replaceAll("$$", "")).not.toContain("$")
      text = text.replaceAll("$$", "$")
    }
    words.push(text)
  }
  return words
}

const anyWord = fc
  .oneof(
    fc.string(),
    fc.string({ unit: "binary" }),
    fc.constantFrom("%h", "$HOME", "${X}", "a b", "'", '"', "\\", ";", "#")
  )
  .filter((text) => !text.includes("\0"))

const word = fc.oneof(
  anyWord,
  fc.array(anyWord, { maxLength: 4 }).map((parts) => parts.join(""))
)

describe("a unit for systemd", () => {
  test("starts the very program with the very arguments, whatever characters are in them", () =>
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 4 }), (path, args) => {
        const command = [`/${path}`, ...args] as const
        const line = commandLine(command)
        expect(line).not.toMatch(/[\r\n]/)
        const words = readBack(line)
        expect(words[0]).not.toMatch(/["'\\]/)
        const run = words[0] === "/bin/sh" && words[2] === 'exec "$@"' ? words.slice(4) : words
        expect(run).toEqual([...command])
      }),
      { numRuns: 2000 }
    ))

  test("gives the gateway more time to end than the gateway gives its requests", () =>
    fc.assert(
      fc.property(fc.double({ min: 0, max: 86_400, noNaN: true }), (graceSeconds) => {
        const text = systemd.text({ ...job, graceSeconds }, places)
        expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1])).toBeGreaterThan(graceSeconds)
        const plist = launchd.text({ ...job, graceSeconds }, places)
        expect(Number(/ExitTimeOut<\/key>\s*<integer>(\d+)</.exec(plist)?.[1])).toBeGreaterThan(graceSeconds)
      })
    ))

  test("of the machine runs as nobody in particular, and may take a low port only when it has one", () => {
    const text = systemd.text({ ...job, scope: "system" }, places)
    expect(text).toContain("\nDynamicUser=yes\n")
    expect(text).toContain("\nCapabilityBoundingSet=\n")
    expect(text).toContain("\nWantedBy=multi-user.target\n")
    const other = systemd.text({ ...job, scope: "system", account: "llm", lowPort: true }, places)
    expect(other).toContain("\nUser=llm\n")
    expect(other).not.toContain("DynamicUser")
    expect(other).toContain("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n")
  })

  test("never forbids what a just-in-time compiler does", () => {
    for (const scope of ["user", "system"] as const) {
      expect(systemd.text({ ...job, scope }, places)).not.toMatch(/MemoryDenyWriteExecute|SystemCallFilter/)
    }
  })

  const analyze = Bun.which("systemd-analyze")
  test.skipIf(analyze === null)("is one that systemd finds no fault with", () => {
    const folder = mkdtempSync(join(tmpdir(), 'nexus it\'s 100% "odd" $HOME '))
    const program = join(folder, "a program")
    writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 })
    const file = join(folder, "nexus.service")
    try {
      for (const account of [undefined, "root"]) {
        const command = [program, "serve", "-c", join(folder, "nexus.toml")] as const
        writeFileSync(file, systemd.text({ ...job, scope: "system", account, command }, places))
        const { status, stderr } = spawnSync(analyze ?? "", ["verify", file], { encoding: "utf8" })
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** The texts of a property list in order, and whether its tags are nested as they should be. */
const readTexts = (xml: string): ReadonlyArray<string> => {
  const open: Array<string> = []
  const texts: Array<string> = []
  const body = xml.slice(xml.indexOf("<plist"))
  for (const [, close, name = "", , empty, text = ""] of body.matchAll(/<(\/?)(\w+)([^<>]*?)(\/?)>([^<]*)/g)) {
    if (close === "/") expect(open.pop()).toBe(name)
    else if (empty !== "/") open.push(name)
    if (close === "" && name === "string") {
      expect(text.replace(/&(amp|lt|gt|#13);/g, "")).not.toMatch(/[&<>]/)
      texts.push(
        text.replace(/&(amp|lt|gt|#13);/g, (_, entity: string) => ({ amp: "&", lt: "<", gt: ">" })[entity] ?? "\r")
      )
    }
  }
  expect(open).toEqual([])
  return texts
}

describe("a property list for launchd", () => {
  // Characters that no XML may hold are refused before.
  const xmlWord = word.filter(
    (text) => text.isWellFormed() && !/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text)
  )

  test("starts the very program with the very arguments, whatever characters are in them", () =>
    fc.assert(
      fc.property(xmlWord, fc.array(xmlWord, { maxLength: 4 }), (path, args) => {
        const command = [`/${path}`, ...args] as const
        expect(readTexts(launchd.text({ ...job, command }, places)).slice(1, command.length + 1)).toEqual([...command])
      }),
      { numRuns: 1000 }
    ))

  test("of the machine does not run as root", () => {
    expect(launchd.text({ ...job, scope: "system" }, places)).toMatch(/UserName<\/key>\s*<string>nobody</)
    expect(launchd.text(job, places)).not.toContain("UserName")
  })
})
