import { describe, expect, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { healthCommand } from "../../src/cli/health.ts"
import { targets } from "../../.ci/targets.ts"
import { version } from "../../src/domain/version.ts"

const root = join(import.meta.dir, "../..")
const textOf = (file: string) => readFileSync(join(root, file), "utf8")

/** Instructions of the Dockerfile in order, comments left out and continued lines joined. */
const instructions = textOf("Dockerfile")
  .replace(/^#.*\n/gm, "")
  .replace(/\\\n/g, " ")
  .split("\n")
  .filter((line) => line.trim() !== "")
  .map((line) => /^([A-Z]+) +(.*)$/.exec(line))
  .map((found) => ({ name: found?.[1] ?? "", value: found?.[2] ?? "" }))

const last = (name: string) => instructions.findLast((each) => each.name === name)?.value ?? ""

describe("the Dockerfile", () => {
  test("is made of instructions alone", () => {
    expect(instructions.map(({ name }) => name).filter((name) => name === "")).toEqual([])
    expect(instructions.filter(({ name }) => name === "FROM").map(({ value }) => value)).toEqual([
      "--platform=$BUILDPLATFORM ${BUN} AS build",
      "${BASE}"
    ])
  })

  test("pins its images, and builds with the Bun of the project", () => {
    const args = new Map(
      instructions.filter(({ name }) => name === "ARG").map(({ value }) => value.split("=") as [string, string])
    )
    const { packageManager } = JSON.parse(textOf("package.json"))
    expect(args.get("BUN")).toBe(`oven/bun:${packageManager.replace("bun@", "")}-slim`)
    expect(args.get("BASE")).toMatch(/^gcr\.io\/distroless\/base-nossl-debian12:nonroot@sha256:[0-9a-f]{64}$/)
  })

  test("copies files that are there, and that are let into the build", () => {
    const ignored = textOf(".dockerignore").split("\n")
    expect(ignored).toContain("*")
    const copied = instructions
      .filter(({ name, value }) => name === "COPY" && !value.startsWith("--from"))
      .flatMap(({ value }) => value.split(/ +/).slice(0, -1))
    expect(copied.length).toBeGreaterThan(0)
    for (const file of copied) {
      expect({ file, exists: existsSync(join(root, file)) }).toEqual({ file, exists: true })
      expect(ignored).toContain(`!${file}`)
    }
    const admitted = ignored.filter((line) => line.startsWith("!")).map((line) => line.slice(1))
    expect(admitted.toSorted()).toEqual(copied.toSorted())
  })

  test("builds for the machines that images are for", () => {
    expect(targets).toContain("linux-x64")
    expect(targets).toContain("linux-arm64")
    expect(instructions.some(({ name, value }) => name === "RUN" && value.includes("bun .ci/build.ts --target"))).toBe(
      true
    )
  })

  test("runs as an account without rights, answers beyond the container, and ends by SIGTERM", () => {
    expect(last("USER")).toBe("65532:65532")
    expect(last("STOPSIGNAL")).toBe("SIGTERM")
    expect(last("EXPOSE")).toBe("8000")
    expect(last("ENV")).toBe("NEXUS_HOST=0.0.0.0")
    expect(JSON.parse(last("ENTRYPOINT"))).toEqual(["/usr/bin/nexus"])
    expect(JSON.parse(last("CMD"))).toEqual(["serve"])
  })

  test("asks after its health with a command that Nexus has, and no shell", () => {
    const check = /^(?:--\S+ +)*CMD (\[.*\])$/.exec(last("HEALTHCHECK"))?.[1] ?? "[]"
    const [program, command, ...flags] = JSON.parse(check)
    expect([program, command]).toEqual(["/usr/bin/nexus", healthCommand.name])
    expect(flags).toEqual(["--live"])
  })

  test("lays no secret down in a layer", () => {
    const text = instructions.map(({ value }) => value).join("\n")
    expect(text).not.toMatch(/(KEY|TOKEN|SECRET|PASSWORD)=/i)
    expect(textOf(".dockerignore")).not.toMatch(/^!.*(env|toml\.local|\.key)/m)
  })
})

interface Service {
  readonly image?: string
  readonly build?: string
  readonly ports?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly healthcheck?: { readonly test: ReadonlyArray<string> }
  readonly configs?: ReadonlyArray<{ readonly source: string; readonly target: string }>
  readonly volumes?: ReadonlyArray<string>
  readonly stop_grace_period?: string
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly configs: Readonly<Record<string, { readonly content: string }>>
  readonly volumes: Readonly<Record<string, unknown>>
}

describe("compose.yaml", () => {
  const compose = Bun.YAML.parse(textOf("compose.yaml")) as Compose
  const { nexus, ollama } = compose.services

  test("starts Nexus once Ollama is healthy", () => {
    expect(nexus?.depends_on).toEqual({ ollama: { condition: "service_healthy" } })
    expect(ollama?.healthcheck?.test[0]).toBe("CMD")
    expect(nexus?.build).toBe(".")
  })

  test("publishes Nexus on this machine alone, Ollama not at all, and wants a key", () => {
    expect(nexus?.ports).toEqual(["127.0.0.1:8000:8000"])
    expect(ollama?.ports).toBeUndefined()
    expect(nexus?.environment?.["NEXUS_KEY"]).toMatch(/^\$\{NEXUS_KEY:\?.+\}$/)
  })

  test("names only volumes and configs that it declares, and gives Nexus the time it takes to end", () => {
    expect(Object.keys(compose.volumes)).toEqual(ollama?.volumes?.map((each) => each.split(":")[0] ?? "") ?? [])
    expect(nexus?.configs).toEqual([{ source: "nexus", target: "/etc/nexus/nexus.toml" }])
    expect(Number.parseInt(nexus?.stop_grace_period ?? "0", 10)).toBeGreaterThan(30)
  })

  test("carries a config that Nexus takes as it is, beyond loopback, with the key of the environment", async () => {
    const child = Bun.spawn([process.execPath, join(root, "src/main.ts"), "config", "check", "-c", "/dev/stdin"], {
      env: { PATH: process.env["PATH"] ?? "", NEXUS_HOST: "0.0.0.0", NEXUS_KEY: `nx-${version}` },
      stdin: new Blob([compose.configs["nexus"]?.content ?? ""]),
      stdout: "pipe",
      stderr: "pipe"
    })
    const stderr = await new Response(child.stderr).text()
    expect({ stderr, code: await child.exited }).toEqual({ stderr: "", code: 0 })
    expect(compose.configs["nexus"]?.content).toContain(`url = "http://ollama:11434"`)
  })
})
