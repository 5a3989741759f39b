/**
 * What is answered of the hosts that the gateway may contact, and has contacted.
 */
import * as Effect from "effect/Effect"
import { HttpApiBuilder } from "effect/http-api"
import type { ContactedHost } from "../../api/audit-api.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { possibleHosts } from "../../config/possible-hosts.ts"
import { NexusConfig } from "../../config/NexusConfig.ts"
import { Registry } from "../../registry/Registry.ts"
import { contactedHosts, HostContacts } from "../../upstream/perimeter.ts"
import { siblingQuestions, Siblings } from "../Siblings.ts"

const merged = (all: ReadonlyArray<ContactedHost>): ReadonlyArray<ContactedHost> => {
  const found = new Map<string, ContactedHost>()
  for (const each of all) {
    const key = `${each.host} ${each.port}`
    const before = found.get(key) ?? { ...each, zones: [], addresses: [], connections: 0, calls: 0 }
    found.set(key, {
      ...each,
      zones: [...new Set([...before.zones, ...each.zones])],
      addresses: [...new Set([...before.addresses, ...each.addresses])],
      connections: before.connections + each.connections,
      calls: before.calls + each.calls,
      last_ms_ago: Math.min(before.last_ms_ago, each.last_ms_ago)
    })
  }
  return [...found.values()].toSorted((a, b) => (a.host < b.host ? -1 : a.host > b.host ? 1 : a.port - b.port))
}

/** The handlers of the group. */
export const auditHandlers = HttpApiBuilder.group(
  ContractApi,
  "audit",
  Effect.fnUntraced(function* (handlers) {
    const config = yield* NexusConfig
    const registry = yield* Registry
    const contacts = yield* HostContacts
    const siblings = yield* Siblings
    return handlers.handle("audit", () =>
      Effect.map(siblings.ask(siblingQuestions.contacts, {}), (others) => {
        const loaded = config.current()
        const { mode, networks } = loaded.settings.privacy
        const backends = [...registry.snapshot().backends.values()].map(({ backend }) => backend)
        return {
          mode,
          networks,
          possible: possibleHosts(loaded, backends),
          contacted: merged([...contactedHosts(contacts, performance.now()), ...(others ?? [])]),
          complete: others !== undefined
        }
      })
    )
  })
)
