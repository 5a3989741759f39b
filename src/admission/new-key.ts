/**
 * Keys made at random.
 */
import { createHash, randomBytes } from "node:crypto"

const keyBytes = 32

/** A key, and its SHA-256 digest. */
export interface MadeKey {
  readonly key: string
  readonly digest: Uint8Array
}

/** A new key. */
export const newKey = (): MadeKey => {
  const key = `nx-${randomBytes(keyBytes).toString("base64url")}`
  return { key, digest: new Uint8Array(createHash("sha256").update(key).digest()) }
}
