/**
 * What is stored of prompts and answers, so that nobody reads it without a key that is kept elsewhere: AES-256-GCM, with a nonce
 * of its own for each text.
 */
import { createHash } from "node:crypto"

const nonceBytes = 12

/** Which key something is sealed with: the same for the same key, and nothing by which that could be found. */
export const secretMark = (secret: Uint8Array): string =>
  createHash("sha256").update("nexus capture\n").update(secret).digest("hex").slice(0, 16)

/** Seals and opens with one key. */
export interface Seal {
  /** `place` is where it is put: somewhere else it does not open. */
  readonly close: (plain: Uint8Array, place: string) => Promise<Uint8Array>
  /** Undefined where it was sealed with another key, for another place, or was changed. */
  readonly open: (sealed: Uint8Array, place: string) => Promise<Uint8Array | undefined>
}

const encoder = new TextEncoder()

const plainly = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer> // reason: none of it sits on shared memory

/** The seal of a key. */
export const sealOf = (secret: Uint8Array): Seal => {
  const { subtle } = crypto
  const key = subtle.importKey("raw", plainly(secret), "AES-GCM", false, ["encrypt", "decrypt"])
  const how = (iv: Uint8Array, place: string) => ({
    name: "AES-GCM",
    iv: plainly(iv),
    additionalData: encoder.encode(place)
  })
  return {
    close: async (plain, place) => {
      const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes))
      const sealed = await subtle.encrypt(how(nonce, place), await key, plainly(plain))
      return Buffer.concat([nonce, new Uint8Array(sealed)])
    },
    open: async (sealed, place) => {
      const nonce = sealed.subarray(0, nonceBytes)
      const used = await key
      return subtle.decrypt(how(nonce, place), used, plainly(sealed.subarray(nonceBytes))).then(
        (plain) => new Uint8Array(plain),
        () => undefined
      )
    }
  }
}
