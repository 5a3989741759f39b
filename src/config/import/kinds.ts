/**
 * The settings that can be imported.
 */

/** Names that `--from` takes. */
export const kinds = ["litellm", "olla", "llama-swap", "nexus-rust"] as const

/** One of {@link kinds}. */
export type Kind = (typeof kinds)[number]
