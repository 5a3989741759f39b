/**
 * What thoughts are signed with: a signature means something to the one alone who has made it, and Nexus makes some that
 * mean nothing to anybody.
 */

/** The signature of thoughts that nobody has signed. */
export const unsigned = "nexus.unsigned"

const callMark = "nexus2."

/** What a call is signed with, in place of a signature of thoughts: clients of Anthropic's keep no other. */
export const sealedCall = (signature: string): string =>
  `${callMark}${Buffer.from(signature, "utf8").toString("base64url")}`

/** What the call is signed with that follows thoughts signed so; undefined where they are signed by themselves. */
export const unsealedCall = (seal: string): string | undefined =>
  seal.startsWith(callMark) ? Buffer.from(seal.slice(callMark.length), "base64url").toString("utf8") : undefined

/** Whether a signature is one of Nexus's own. */
export const isSealed = (signature: string): boolean => /^nexus\d*\./.test(signature)
