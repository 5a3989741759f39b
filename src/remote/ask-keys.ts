/**
 * Keys made, listed, revoked and rotated, and tokens revoked: by the gateway that runs, or in its file of keys where none does.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { LoadedConfig } from "../config/NexusConfig.ts"
import { ClientKeys, type ListedKey } from "../admission/ClientKeys.ts"
import type { ClientKeyEntry, MadeClientKey, NewClientKey, NewRevocation, RevocationEntry } from "../api/keys-api.ts"
import { keyEntryOf, madeKeyOf, revocationTeller } from "../operations/handlers/key-handlers.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import type { Transport } from "../upstream/Transport.ts"
import { type TargetGateway, withTransport } from "./target.ts"
import {
  askKeys,
  askLift,
  askNewKey,
  askRevocations,
  askRevokeKey,
  askRevokeTokens,
  askRotateKey,
  type NotDone,
  Unanswerable
} from "./gateway-client.ts"

type Keys = ClientKeys["Service"]

// What others are to know of it they are told by the gateway, when it runs.
const keysIn = (loaded: LoadedConfig, path: string) =>
  ClientKeys.layerWith(
    () => loaded.authKeys,
    path,
    () => loaded.issuers
  ).pipe(Layer.provide(SharedStore.none))

const inFile = <A>(
  loaded: LoadedConfig,
  path: string,
  use: (keys: Keys) => Effect.Effect<A, { readonly message: string }>
) =>
  Effect.flatMap(ClientKeys, use).pipe(
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: a one-shot command opens the file for itself
    Effect.provide(keysIn(loaded, path)),
    Effect.mapError(({ message }) => new Unanswerable({ message }))
  )

/** The keys of a config. */
export const keyEntriesOf = (keys: LoadedConfig["authKeys"]): ReadonlyArray<ClientKeyEntry> =>
  keys.map(({ previous, ...key }) =>
    keyEntryOf({ key, from: "config", made: undefined, previousUntil: previous?.until })
  )

/** The keys of a gateway at an address, or of its file while it does not run. */
export const keptKeysAt = (address: TargetGateway, loaded: LoadedConfig, path: string) => {
  // Of the gateway that its config is for; whoever may write the file needs no key for that.
  const isOurs = (error: NotDone): boolean =>
    address.assumed &&
    (error._tag === "NoGateway" ||
      (error._tag === "GatewayRefused" && error.status === 401 && address.key === undefined))
  const either = <A>(
    asked: Effect.Effect<A, NotDone, Transport>,
    use: (keys: Keys) => Effect.Effect<A, { readonly message: string }>
  ): Effect.Effect<A, NotDone> => withTransport(Effect.catchIf(asked, isOurs, () => inFile(loaded, path, use)))
  return {
    list: either<ReadonlyArray<ClientKeyEntry>>(askKeys(address), (keys) =>
      Effect.sync(() => keys.list().map((key: ListedKey) => keyEntryOf(key)))
    ),
    make: (terms: NewClientKey) =>
      either<MadeClientKey>(askNewKey(address, terms), (keys) =>
        Effect.map(keys.add(terms), (made) => madeKeyOf(terms.name, made))
      ),
    revoke: (name: string) =>
      either<{ readonly name: string }>(askRevokeKey(address, name), (keys) => Effect.as(keys.revoke(name), { name })),
    revocations: either<ReadonlyArray<RevocationEntry>>(askRevocations(address), (keys) =>
      Effect.sync(() => keys.revocations().map(revocationTeller(keys)))
    ),
    revokeTokens: (written: NewRevocation) =>
      either<RevocationEntry>(askRevokeTokens(address, written), (keys) =>
        Effect.map(keys.revokeTokens(written), revocationTeller(keys))
      ),
    lift: (id: string) =>
      either<RevocationEntry>(askLift(address, id), (keys) => Effect.map(keys.lift(id), revocationTeller(keys))),
    rotate: (name: string, overlapSeconds: number) =>
      either<MadeClientKey>(askRotateKey(address, name, overlapSeconds), (keys) =>
        Effect.map(keys.rotate(name, overlapSeconds * 1000), (made) => madeKeyOf(name, made))
      )
  }
}
