/**
 * The settings that can be imported.
 */

/** Names that `--from` takes. */
export const importFormats = ["litellm", "olla", "llama-swap", "bifrost", "nexus-rust"] as const

/** One of {@link importFormats}. */
export type ImportFormat = (typeof importFormats)[number]
