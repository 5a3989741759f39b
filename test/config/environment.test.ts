import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { variableNames } from "../../src/config/sources.ts"
import { loadedFrom, mistakesOf } from "./reading.ts"

/** What Kubernetes sets in every pod beside a service of this name with these ports. */
const serviceLinks = (service: string, ports: ReadonlyArray<readonly [name: string, port: number]>) => {
  const name = service.toUpperCase().replaceAll("-", "_")
  const [[, first] = ["", 0]] = ports
  const env: Record<string, string> = {
    [`${name}_SERVICE_HOST`]: "10.96.0.12",
    [`${name}_SERVICE_PORT`]: String(first),
    [`${name}_PORT`]: `tcp://10.96.0.12:${first}`
  }
  for (const [word, port] of ports) {
    if (word !== "") env[`${name}_SERVICE_PORT_${word.toUpperCase().replaceAll("-", "_")}`] = String(port)
    env[`${name}_PORT_${port}_TCP`] = `tcp://10.96.0.12:${port}`
    env[`${name}_PORT_${port}_TCP_PROTO`] = "tcp"
    env[`${name}_PORT_${port}_TCP_PORT`] = String(port)
    env[`${name}_PORT_${port}_TCP_ADDR`] = "10.96.0.12"
  }
  return env
}

const silent = (env: Readonly<Record<string, string>>) => {
  const { warnings, settings } = loadedFrom(undefined, { env })
  expect(warnings).toEqual([])
  return settings
}

describe("beside a Kubernetes Service of that name Nexus starts with its own settings:", () => {
  for (const service of ["nexus", "nexus-server", "nexus-llm", "nexus-log", "nexus-host", "nexus-server-http"]) {
    test(service, () => {
      const env = serviceLinks(service, [
        ["", 8000],
        ["http-metrics", 9090]
      ])
      expect(silent(env).server).toEqual(loadedFrom(undefined).settings.server)
    })
  }

  test("on addresses of IPv6, and over UDP and SCTP", () => {
    for (const value of ["tcp://[fd00::1]:8000", "udp://10.0.0.1:53", "sctp://10.0.0.1:9", " tcp://10.0.0.1:80 "]) {
      expect(silent({ NEXUS_PORT: value }).server.port).toBe(8000)
    }
  })

  test("and a port that is really set counts beside it", () => {
    expect(silent({ ...serviceLinks("nexus", [["", 8000]]), NEXUS_SERVER_PORT: "9000" }).server.port).toBe(9000)
    expect(silent({ ...serviceLinks("nexus-server", [["", 8000]]), NEXUS_PORT: "9000" }).server.port).toBe(9000)
  })

  test("which Docker's links set as well", () => {
    silent({ ...serviceLinks("nexus", [["", 8000]]), NEXUS_NAME: "/web/nexus", NEXUS_ENV_PATH: "/bin" })
  })

  test("which `config check` and doctor can tell of", () => {
    const { notes } = loadedFrom(undefined, { env: serviceLinks("nexus", [["", 8000]]) })
    expect(notes).toEqual([
      "NEXUS_PORT, NEXUS_PORT_8000_TCP and 5 more: set by Kubernetes or Docker for a service of that name, no setting of Nexus"
    ])
  })
})

describe("variables of another product called Nexus", () => {
  const names = [
    "URL",
    "USERNAME",
    "PASSWORD",
    "USER",
    "PASS",
    "HOME",
    "DATA",
    "CONTEXT",
    "REPOSITORY",
    "REPO_URL",
    "REGISTRY",
    "NPM_TOKEN",
    "MAVEN_PASSWORD",
    "DOCKER_REGISTRY_URL",
    "SECURITY_RANDOMPASSWORD",
    "DATASTORE_NEXUS_JDBCURL",
    "IQ_SERVER",
    "CREDENTIALS_USR_TOKEN",
    "APIKEY"
  ].map((name) => `NEXUS_${name}`)

  for (const name of names) {
    test(`${name} is no reason for a warning`, () => {
      const { warnings, notes } = loadedFrom(undefined, { env: { [name]: "https://nexus.example" } })
      expect(warnings).toEqual([])
      expect(notes).toEqual([`${name}: of another product called Nexus, no setting of Nexus`])
    })
  }

  test("are told of by name alone: their values may be secrets", () => {
    expect(JSON.stringify(loadedFrom(undefined, { env: { NEXUS_PASSWORD: "hunter2" } }))).not.toContain("hunter2")
  })
})

describe("an unknown variable is told of with the one that was meant, and Nexus starts:", () => {
  const rows: ReadonlyArray<readonly [name: string, meant: string | undefined]> = [
    ["NEXUS_PROT", "NEXUS_PORT"],
    ["NEXUS_LOGLEVEL", "NEXUS_LOG_LEVEL"],
    ["NEXUS_WORKER", "NEXUS_WORKERS"],
    ["NEXUS_STRATEGY", "NEXUS_ROUTING_STRATEGY"],
    ["NEXUS_MAX_BODY_MB", "NEXUS_SERVER_MAX_BODY_MB"],
    ["NEXUS_CONFG", "NEXUS_CONFIG"],
    ["NEXUS_FOO", undefined],
    ["NEXUS_SERVER_TOKEN", undefined]
  ]
  for (const [name, meant] of rows) {
    test(name, () => {
      const { warnings } = loadedFrom(undefined, { env: { [name]: "1" } })
      const told = meant === undefined ? "" : `; did you mean ${meant}?`
      expect(warnings).toEqual([`unknown variable ${name} has no effect${told}`])
    })
  }

  for (const [name, key] of [
    ["NEXUS_SERVER_ALLOWED_HOSTS", "server.allowed_hosts"],
    ["NEXUS_AUTH_KEYS", "auth.keys"],
    ["NEXUS_BACKENDS_0_URL", "backends"],
    ["NEXUS_ROUTING_ALIASES", "routing.aliases"]
  ] as const) {
    test(`${name}, for what only the file can hold`, () => {
      const { warnings } = loadedFrom(undefined, { env: { [name]: "x" } })
      expect(warnings).toEqual([`${name} has no effect: ${key} stands in the file alone`])
    })
  }

  test("never by its value", () => {
    expect(JSON.stringify(loadedFrom(undefined, { env: { NEXUS_SERCET: "hunter2" } }))).not.toContain("hunter2")
  })
})

describe("a variable that is", () => {
  test("empty counts as not set (law)", () => {
    fc.assert(
      fc.property(fc.constantFrom(...variableNames()), fc.constantFrom("", " ", "\t"), (name, empty) => {
        const file = "[server]\nport = 7"
        expect(loadedFrom(file, { env: { [name]: empty } })).toEqual(loadedFrom(file))
      })
    )
  })

  test("a number counts as one where a word may stand as well", () => {
    const rate = (value: string) =>
      loadedFrom(undefined, { env: { NEXUS_TELEMETRY_OTLP_TRACES_PER_SECOND: value } }).settings.telemetry.otlp
        .traces_per_second
    expect([rate("50"), rate(" 0.5 "), rate("unlimited")]).toEqual([50, 0.5, "unlimited"])
  })

  test("malformed is refused when it is a setting", () => {
    for (const value of ["abc", "http://h:80", "-1", "80a"]) {
      expect(mistakesOf(undefined, { env: { NEXUS_PORT: value } })).toHaveLength(1)
    }
    expect(mistakesOf(undefined, { env: { NEXUS_LOG_LEVEL: "loud" } })).toHaveLength(1)
  })

  test("no setting of Nexus never keeps it from starting (law)", () => {
    const known = new Set(variableNames())
    const name = fc.stringMatching(/^NEXUS_[A-Z0-9_]{0,24}$/).filter((each) => !known.has(each))
    fc.assert(
      fc.property(fc.dictionary(name, fc.string()), (env) => {
        expect(mistakesOf(undefined, { env })).toEqual([])
      })
    )
  })
})
