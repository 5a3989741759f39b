import { expect, test } from "bun:test"
import { loadedFrom } from "./reading.ts"

const backends = (zone: string) => `[[backends]]\nname = "a"\nurl = "http://127.0.0.1:1"\nzone = "${zone}"\n`

const warningsOf = (rest: string): ReadonlyArray<string> => loadedFrom(`${backends("eu-dc")}${rest}`).warnings

test("a zone that no backend is in is worth a word wherever it stands, with the one that was meant", () => {
  const sha256 = "a".repeat(64)
  const told = (line: number, place: string, zone: string, meant: string) =>
    `nexus.toml:${line}: ${place} = "${zone}": no [[backends]] is in this zone${meant}`
  expect(warningsOf(`[[auth.keys]]\nname = "k"\nsha256 = "${sha256}"\nzones = ["local", "eu-cd"]`)).toEqual([
    told(8, "auth.keys[0].zones[1]", "eu-cd", "; did you mean eu-dc?")
  ])
  expect(warningsOf(`[[models]]\nname = "m"\nzones = ["loacl"]`)).toEqual([
    told(7, "models[0].zones[0]", "loacl", "; did you mean local?")
  ])
  expect(warningsOf(`[[routes]]\nname = "r"\nmodel = "m"\nzones = ["elsewhere"]`)).toEqual([
    told(8, "routes[0].zones[0]", "elsewhere", "; there are local, lan, cloud, eu-dc")
  ])
  const issuer = `[[auth.issuers]]\nname = "corp"\nissuer = "https://login.example"\naudience = ["x"]\n`
  expect(
    warningsOf(`${issuer}zones = ["eu"]\n[[auth.issuers.roles]]\nname = "r"\nclaims = { a = ["b"] }\nzones = ["lna"]`)
  ).toEqual([
    told(9, "auth.issuers[0].zones[0]", "eu", "; there are local, lan, cloud, eu-dc"),
    told(13, "auth.issuers[0].roles[0].zones[0]", "lna", "; did you mean lan?")
  ])
})

test("zones of backends, and those that there are without anybody naming one, are none", () => {
  expect(warningsOf(`[[models]]\nname = "m"\nzones = ["local", "lan", "cloud", "eu-dc"]`)).toEqual([])
})
