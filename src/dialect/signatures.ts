/**
 * What thoughts are signed with: a signature means something to the one alone who has made it, and Nexus makes some that
 * mean nothing to anybody.
 */

/** The signature of thoughts that nobody has signed. */
export const unsigned = "nexus.unsigned"

/** Whether a signature is one of Nexus's own. */
export const isSealed = (signature: string): boolean => /^nexus\d*\./.test(signature)
