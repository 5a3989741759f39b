/**
 * The keys that count at this moment.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { AuthKey } from "../domain/grant.ts"
import { KeyRing } from "./key-ring.ts"

/** The keys of clients, wherever they stand. */
export class ClientKeys extends Context.Service<
  ClientKeys,
  {
    /** Those of this moment; a plain read for the request path. */
    readonly ring: () => KeyRing
  }
>()("nexus/admission/ClientKeys") {
  /** The keys of the settings of the moment. */
  static readonly layer = (configured: () => ReadonlyArray<AuthKey>) =>
    Layer.sync(ClientKeys, () => {
      let of: ReadonlyArray<AuthKey> | undefined
      let ring = new KeyRing([])
      return ClientKeys.of({
        ring: () => {
          const keys = configured()
          if (keys !== of) ring = new KeyRing((of = keys))
          return ring
        }
      })
    })
}
