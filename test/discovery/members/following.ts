/**
 * Backends whose names are followed, and a registry that is kept in step with them, for tests.
 */
import { Effect, Layer, Logger, References } from "effect"
import type { Followed } from "../../../src/backend/followed.ts"
import type { Registry as RegistryService } from "../../../src/registry/Registry.ts"
import { layerOf, type MemberSettings } from "../../../src/discovery/members/Members.ts"
import { Registry } from "../../../src/registry/Registry.ts"
import { Transport } from "../../../src/upstream/Transport.ts"
import { loadedFrom } from "../../config/reading.ts"

/** The one backend of a config that is followed. */
export const followed = (url: string, by: "dns" | "kubernetes", more = ""): Followed => {
  const [found] = loadedFrom(
    `[[backends]]\nname = "vllm"\nurl = "${url}"\ntype = "vllm"\nmembers = "${by}"\n${more}`
  ).followed
  if (found === undefined) throw new Error("nothing is followed")
  return found
}

/** The members of a registry: name, and where they are called. */
export const membersIn = ({ snapshot }: RegistryService["Service"]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...snapshot().backends.values()].flatMap(({ backend: { address, name, url } }) =>
      address === undefined ? [] : [[name, `${address} ${url}`]]
    )
  )

/** What was logged, as `LEVEL message {annotations}`. */
const logOf = (lines: Array<string>) =>
  Logger.layer([
    Logger.make(({ fiber, logLevel, message }) => {
      const about = fiber.getRef(References.CurrentLogAnnotations)
      lines.push(`${logLevel} ${String(message)} ${JSON.stringify(about)}`)
    })
  ])

/** Follows names over a registry that is given to the test. */
export const following = (
  settings: Partial<MemberSettings> & Pick<MemberSettings, "followed">,
  log: Array<string> = []
) =>
  layerOf({
    graceMs: 60_000,
    keptMs: 30_000,
    questions: { ipv4: () => Effect.never, ipv6: () => Effect.never, service: () => Effect.never },
    completion: Effect.succeed({ search: [], dots: 1 }),
    kubernetes: undefined,
    ...settings
  }).pipe(
    Layer.provideMerge(Registry.layer(() => ({ failures: 3, recoveries: 2 }))),
    Layer.provideMerge(Layer.merge(Transport.layer, logOf(log)))
  )
